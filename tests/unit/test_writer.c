/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include "json_fixture.h"
#include "output_fixture.h"

#define LOG_MAX (1 << 20)
static char text[LOG_MAX];

static struct ln_sink *log_to(int fd)
{
	struct ln_sink *s = NULL;

	assert_int_equal(ln_sink_jsonl_new(&(struct ln_jsonl_config){.fd = fd}, &s), 0);
	return s;
}

/* A sink that can have no open file of its own for the same pipe: there is no free descriptor. */
static struct ln_sink *log_to_borrowed_file(int fd)
{
	struct rlimit was, none;
	struct ln_sink *s;

	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	s = log_to(fd);
	setrlimit(RLIMIT_NOFILE, &was);
	return s;
}

static void say(struct ln_sink *s, int times)
{
	while (times-- > 0)
		s->ops->finding(s, &finding);
}

/* Reads what is there now to text, after the `len` bytes that it holds already. */
static size_t take(int fd, size_t len)
{
	ssize_t n;

	do {
		n = read(fd, text + len, LOG_MAX - 1 - len);
		len += (size_t)LN_MAX(n, (ssize_t)0);
	} while (n > 0);
	text[len] = '\0';
	return len;
}

/* Whole lines only. */
static json_t *records_of(const char *at)
{
	json_t *list = json_array();
	const char *end;

	for (; *at; at = end + 1) {
		char *line;

		end = strchr(at, '\n');
		assert_non_null(end);
		line = strndup(at, (size_t)(end + 1 - at));
		json_array_append_new(list, parse_line(line));
		free(line);
	}
	return list;
}

static json_t *read_records(int fd)
{
	take(fd, 0);
	return records_of(text);
}

/* Reading must not wait, whatever the sink's end does. */
static void make_pipe(int fds[2], int flags)
{
	assert_int_equal(pipe2(fds, O_CLOEXEC | flags), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
}

static size_t count_type(json_t *list, const char *type)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += strcmp(json_string_value(field(json_array_get(list, i), "type")), type) == 0;
	return n;
}

static void test_a_closed_pipe_is_counted(void **state)
{
	struct ln_sink *s;
	int fds[2];

	make_pipe(fds, 0);
	s = log_to(fds[1]);
	say(s, 1);
	close(fds[0]);
	say(s, 3);
	assert_int_equal(s->written, 1);
	assert_int_equal(s->dropped, 3);
	assert_int_equal(s->error, EPIPE);
	ln_sink_free(&s);
}

static void test_a_full_disk_is_counted(void **state)
{
	struct ln_sink *s = log_to(open("/dev/full", O_WRONLY | O_APPEND | O_CLOEXEC));

	say(s, 2);
	assert_int_equal(s->written, 0);
	assert_int_equal(s->dropped, 2);
	assert_int_equal(s->error, ENOSPC);
	ln_sink_free(&s);
}

/* A reader that stops must not stop the watch; what it missed is said when it goes on. */
static void check_full_pipe(int flags, bool reopens)
{
	json_t *list, *gap;
	struct ln_sink *s;
	uint64_t written;
	int fds[2];

	make_pipe(fds, flags);
	s = reopens ? log_to(dup(fds[1])) : log_to_borrowed_file(dup(fds[1]));
	while (s->dropped == 0)
		say(s, 1);
	say(s, 4);
	written = s->written;
	assert_true(written > 10);
	assert_int_equal(s->dropped, 5);
	assert_int_equal(s->error, EAGAIN);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, flags & O_NONBLOCK);

	list = read_records(fds[0]);
	assert_int_equal(json_array_size(list), written);
	json_decref(list);
	say(s, 2);
	assert_int_equal(s->written, written + 2);
	list = read_records(fds[0]);
	assert_int_equal(json_array_size(list), 3);
	gap = json_array_get(list, 0);
	assert_text(gap, "type", "log-gap");
	assert_number(gap, "count", 5);
	assert_int_equal(count_type(list, "flow-open"), 2);
	json_decref(list);
	ln_sink_free(&s);
	close(fds[0]);
	close(fds[1]);
}

static void test_a_full_pipe_is_counted(void **state)
{
	check_full_pipe(O_NONBLOCK, true);
}

static void test_a_full_pipe_that_would_block_is_counted(void **state)
{
	check_full_pipe(0, true);
	check_full_pipe(0, false);
}

static void check_cut_line(int flags, bool reopens)
{
	static char longest[20000]; /* longer than PIPE_BUF: a full pipe takes a part */
	struct ln_sink *s;
	json_t *list;
	size_t len;
	int fds[2];

	memset(longest, 'x', sizeof(longest));
	set_args(&agent, longest, sizeof(longest));
	make_pipe(fds, flags);
	s = reopens ? log_to(fds[1]) : log_to_borrowed_file(fds[1]);
	while (s->error == 0)
		say(s, 1);
	assert_int_equal(s->dropped, 0);
	say(s, 1); /* behind the rest of the cut one */
	assert_int_equal(s->dropped, 1);
	len = take(fds[0], 0);
	assert_int_not_equal(text[len - 1], '\n');
	s->ops->flush(s);
	len = take(fds[0], len);
	list = records_of(text);
	assert_int_equal(json_array_size(list), s->written);
	json_decref(list);
	say(s, 1);
	list = read_records(fds[0]);
	assert_int_equal(json_array_size(list), 2);
	assert_number(json_array_get(list, 0), "count", 1);
	json_decref(list);
	ln_sink_free(&s);
	close(fds[0]);
}

static void test_a_line_cut_by_a_full_pipe_is_completed(void **state)
{
	check_cut_line(O_NONBLOCK, true);
	check_cut_line(0, true);
	check_cut_line(0, false);
}

static void test_a_line_cut_by_a_full_disk_is_completed(void **state)
{
	struct rlimit was, tight;
	char path[] = "/tmp/linnet-test-XXXXXX";
	int fd = mkstemp(path);
	struct ln_sink *s = log_to(open(path, O_WRONLY | O_APPEND | O_CLOEXEC));
	json_t *list;

	signal(SIGXFSZ, SIG_IGN);
	say(s, 1);
	getrlimit(RLIMIT_FSIZE, &was);
	tight = was;
	tight.rlim_cur = (rlim_t)lseek(fd, 0, SEEK_END) * 3 / 2;
	setrlimit(RLIMIT_FSIZE, &tight);
	say(s, 3); /* half of the second record fits */
	setrlimit(RLIMIT_FSIZE, &was);
	assert_int_equal(s->written, 2);
	assert_int_equal(s->dropped, 2);
	assert_int_equal(s->error, EFBIG);
	s->ops->flush(s);
	lseek(fd, 0, SEEK_SET);
	list = read_records(fd);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	say(s, 1);
	lseek(fd, 0, SEEK_SET);
	list = read_records(fd);
	assert_int_equal(json_array_size(list), 4);
	assert_number(json_array_get(list, 2), "count", 2);
	json_decref(list);
	ln_sink_free(&s);
	close(fd);
	unlink(path);
}

/* What was written is lost with the file, and so is all that follows. */
static void test_a_deleted_log_is_counted(void **state)
{
	char path[] = "/tmp/linnet-test-XXXXXX";
	struct ln_sink *s = log_to(mkstemp(path));

	say(s, 2);
	s->ops->flush(s);
	assert_int_equal(s->dropped, 0);
	unlink(path);
	s->ops->flush(s);
	say(s, 1);
	s->ops->flush(s);
	assert_int_equal(s->written, 0);
	assert_int_equal(s->dropped, 3);
	assert_int_equal(s->error, ENOENT);
	ln_sink_free(&s);
}

static void test_a_record_beyond_every_bound_is_counted(void **state)
{
	size_t len = 4 << 20;
	char *huge = malloc(len);
	json_t *list;

	memset(huge, 'x', len);
	set_args(&agent, huge, len);
	capture_jsonl(false);
	say(cap.sink, 1);
	assert_int_equal(cap.sink->dropped, 1);
	assert_int_equal(cap.sink->error, EMSGSIZE);
	setup(NULL);
	say(cap.sink, 1);
	list = records_of(next_write());
	assert_int_equal(json_array_size(list), 2);
	assert_text(json_array_get(list, 0), "type", "log-gap");
	json_decref(list);
	capture_end();
	free(huge);
}

/* To a file: what is no alert waits for the end of the look, and an alert takes it along. One that
 * cannot be told is told as missing in its place. */
static void test_records_go_to_a_file_together(void **state)
{
	char path[] = "/tmp/linnet-unit-XXXXXX", *huge = calloc(1, 4 << 20);
	struct ln_sink *s = log_to(mkstemp(path));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	json_t *list;

	finding.alert = false;
	say(s, 1);
	set_args(&agent, memset(huge, 'x', 4 << 20), 4 << 20);
	say(s, 1);
	setup(NULL);
	finding.alert = false;
	say(s, 1);
	assert_int_equal(take(fd, 0), 0);
	finding.alert = true;
	say(s, 1);
	list = read_records(fd);
	assert_int_equal(json_array_size(list), 4);
	assert_text(json_array_get(list, 1), "type", "log-gap");
	assert_int_equal(s->written, 3);
	assert_int_equal(s->dropped, 1);
	json_decref(list);
	finding.alert = false;
	say(s, 2);
	assert_int_equal(take(fd, 0), 0);
	s->ops->flush(s);
	list = read_records(fd);
	assert_int_equal(count_type(list, "flow-open"), 2);
	json_decref(list);
	ln_sink_free(&s);
	close(fd);
	unlink(path);
	free(huge);
}

static void test_alerts_that_could_not_be_shown_are_told(void **state)
{
	struct ln_engine_summary sum = {0};
	char junk[4096] = "";
	struct ln_sink *s;
	int fds[2];
	ssize_t n;

	make_pipe(fds, O_NONBLOCK);
	while (write(fds[1], junk, sizeof(junk)) > 0)
		;
	assert_int_equal(ln_sink_console_new(&(struct ln_console_config){.fd = fds[1]}, &s), 0);
	say(s, 2);
	assert_int_equal(s->dropped, 2);
	while (read(fds[0], junk, sizeof(junk)) > 0)
		;
	say(s, 1);
	n = read(fds[0], cap.text, sizeof(cap.text) - 1);
	assert_true(n > 0);
	cap.text[n] = '\0';
	assert_int_equal(strncmp(cap.text, "[!] ALERTS NOT SHOWN: 2 (", 25), 0);
	assert_has(cap.text, "\n\n[!] UNEXPECTED OUTBOUND CONNECTION\n");
	say(s, 1);
	n = read(fds[0], cap.text, sizeof(cap.text) - 1);
	assert_true(n > 0);
	assert_int_equal(strncmp(cap.text, "[!] UNEXPECTED", 14), 0);
	s->ops->summary(
	    s, &(struct ln_sink_summary){.sum = &sum, .unused_rules = NULL, .n_unused = 0});
	n = read(fds[0], cap.text, sizeof(cap.text) - 1);
	cap.text[LN_MAX(n, (ssize_t)0)] = '\0';
	assert_has(cap.text, "  losses            2 alerts not shown\n");
	ln_sink_free(&s);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_a_closed_pipe_is_counted, setup),
	    cmocka_unit_test_setup(test_a_full_disk_is_counted, setup),
	    cmocka_unit_test_setup(test_a_full_pipe_is_counted, setup),
	    cmocka_unit_test_setup(test_a_full_pipe_that_would_block_is_counted, setup),
	    cmocka_unit_test_setup(test_a_line_cut_by_a_full_pipe_is_completed, setup),
	    cmocka_unit_test_setup(test_a_line_cut_by_a_full_disk_is_completed, setup),
	    cmocka_unit_test_setup(test_a_deleted_log_is_counted, setup),
	    cmocka_unit_test_setup(test_a_record_beyond_every_bound_is_counted, setup),
	    cmocka_unit_test_setup(test_records_go_to_a_file_together, setup),
	    cmocka_unit_test_setup(test_alerts_that_could_not_be_shown_are_told, setup),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
