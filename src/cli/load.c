/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "commands.h"

/* Up to one byte over the bound; what is longer the parser refuses with its own words. */
static int read_all(int fd, struct ln_buf *text)
{
	char chunk[16384];
	ssize_t n;

	text->max = LN_POLICY_BYTES_MAX + sizeof(chunk) + 1;
	while (text->len <= LN_POLICY_BYTES_MAX) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		ln_buf_add(text, chunk, (size_t)n);
		if (text->failed)
			return -ENOMEM;
	}
	return 0;
}

int ln_load_policy_text(const char *file, bool strict, struct ln_diags *diags, struct stat *ret_st,
			struct ln_error *err, struct ln_buf *ret_text, struct ln_policy **ret)
{
	struct ln_buf text = {0};

	LN_AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, ret_st) < 0)
		return ln_error_set(err, errno == EINVAL ? EIO : errno,
				    "cannot read the policy %s: %s", file, strerror(errno));
	if (S_ISDIR(ret_st->st_mode))
		return ln_error_set(err, EISDIR, "cannot read the policy %s: it is a directory",
				    file);
	int r = read_all(fd, &text);
	if (r < 0)
		r = ln_error_set(err, r == -EINVAL ? EIO : -r, "cannot read the policy %s: %s",
				 file, strerror(-r));
	else
		r = ln_policy_parse(file, text.len ? text.data : "", text.len, strict, diags, ret);
	if (r == -ENOMEM)
		ln_error_set(err, ENOMEM, "out of memory");
	if (r == 0 && ret_text) {
		*ret_text = text;
		return 0;
	}
	ln_buf_done(&text);
	return r;
}

int ln_load_policy(const char *file, bool strict, struct ln_diags *diags, struct stat *ret_st,
		   struct ln_error *err, struct ln_policy **ret)
{
	return ln_load_policy_text(file, strict, diags, ret_st, err, NULL, ret);
}

struct ln_policy *ln_load_policy_or_tell(const char *file)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;
	struct ln_error err = {0};
	struct stat st;
	int r = ln_load_policy(file, false, &diags, &st, &err, &policy);

	for (size_t i = 0; i < diags.n && r < 0; i++)
		ln_print_diag(stderr, file, &diags.list[i]);
	if (r < 0 && err.text[0])
		ln_log(LN_LOG_ERROR, "%s", err.text);
	ln_diags_done(&diags);
	return policy;
}

void ln_print_diag(FILE *to, const char *file, const struct ln_diag *d)
{
	struct ln_buf b = {0};

	ln_text_escape(&b, file, strlen(file));
	/* The file as a whole has no line. */
	if (d->line)
		ln_buf_addf(&b, ":%u:%u", d->line, d->column);
	ln_buf_addf(&b, ": %s", d->warning ? "warning: " : "");
	ln_text_escape(&b, d->text, strlen(d->text));
	fprintf(to, "%s\n", ln_buf_text(&b));
	ln_buf_done(&b);
}
