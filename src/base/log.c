/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include "text.h"

#define MESSAGE_MAX 2048
#define WAIT_MS     1000

static enum ln_log_level max_level = LN_LOG_NOTICE;

static const char *const prefixes[] = {
    [LN_LOG_ERROR] = "linnet: error: ", [LN_LOG_WARNING] = "linnet: warning: ",
    [LN_LOG_NOTICE] = "linnet: ",       [LN_LOG_INFO] = "linnet: ",
    [LN_LOG_DEBUG] = "linnet: debug: ",
};
_Static_assert(LN_ARRAY_SIZE(prefixes) == LN_LOG_DEBUG + 1, "a prefix for each level");

void ln_log_set_level(enum ln_log_level level)
{
	max_level = level;
}

enum ln_log_level ln_log_level(void)
{
	return max_level;
}

void ln_log(enum ln_log_level level, const char *format, ...)
{
	struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
	struct ln_buf line = {0};
	char message[MESSAGE_MAX];
	int saved_errno = errno, wait_ms;
	va_list args;
	size_t len;

	if (level > max_level)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	len = strlen(message);
	if (len > 0 && message[len - 1] == '\n') /* as libraries end their messages */
		len--;
	ln_buf_adds(&line, prefixes[level]);
	ln_text_escape(&line, message, len);
	ln_buf_addc(&line, '\n');
	wait_ms = fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK ? 0 : WAIT_MS;
	/* One write, so that lines of several writers do not mix; what cannot be written to
	 * standard error has nowhere else to go, and nobody waits long for a reader. */
	while (poll(&out, 1, wait_ms) == 1 && write(STDERR_FILENO, line.data, line.len) < 0 &&
	       errno == EINTR)
		;
	ln_buf_done(&line);
	errno = saved_errno;
}
