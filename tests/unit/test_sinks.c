/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts by program, journal and syslog: what they say, their bounds, and readers that are slow or
 * not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "base/text.h"
#include "output/outbox.h"
#include "output/rfc5424.h"
#include "sinks_fixture.h"

static void outbox_bounds(void **state)
{
	struct ln_sink s = {0};
	struct ln_outbox o;

	assert_int_equal(ln_outbox_init(&o, 4, 10), 0);
	assert_null(ln_outbox_first(&o));
	assert_true(ln_outbox_put(&o, &s, "aaa", 3));
	assert_true(ln_outbox_put(&o, &s, "bbb", 3));
	assert_false(ln_outbox_put(&o, &s, "ccccc", 5)); /* bytes */
	assert_true(ln_outbox_put(&o, &s, "cccc", 4));
	assert_true(ln_outbox_put(&o, &s, "", 0));
	assert_false(ln_outbox_put(&o, &s, "", 0)); /* number */
	assert_int_equal(s.dropped, 2);
	assert_has(s.why, "too many at once");
	assert_int_equal(ln_outbox_owed(&o), 0);  /* no room for the word yet */
	for (int round = 0; round < 9; round++) { /* round the ring, in order */
		struct ln_message m = ln_outbox_take(&o);
		assert_true(ln_outbox_put(&o, &s, m.data, m.len));
		free(m.data);
	}
	assert_string_equal(ln_outbox_first(&o)->data, "bbb");
	ln_outbox_drop(&o);
	ln_outbox_drop(&o);
	assert_int_equal(ln_outbox_owed(&o), 2);
	assert_int_equal(ln_outbox_owed(&o), 0);
	assert_int_equal(o.n, 2);
	assert_int_equal(o.bytes, 3);
	ln_outbox_done(&o);
}

static void owed_record(void **state)
{
	struct ln_sink s = {0};
	struct ln_record r = {0};
	struct ln_outbox o;

	assert_int_equal(ln_outbox_init(&o, 2, 1 << 16), 0);
	for (int i = 0; i < 5; i++)
		ln_outbox_put_record(&o, &s, &r, &finding);
	ln_outbox_put_owed(&o, &s, &r);
	assert_int_equal(o.n, 2);
	ln_outbox_drop(&o);
	ln_outbox_put_owed(&o, &s, &r);
	assert_int_equal(o.n, 2);
	ln_outbox_drop(&o);
	assert_has(ln_outbox_first(&o)->data, "\"type\":\"alerts-dropped\",\"count\":3}\n");
	ln_outbox_done(&o);
	ln_record_done(&r);
}

static struct ln_sink *make_program(char *const *argv)
{
	struct ln_error err = {0};
	struct ln_sink *s = NULL;

	assert_int_equal(ln_sink_program_new(&(struct ln_program_config){.argv = argv}, &err, &s),
			 0);
	return s;
}

static const char *content(const char *path)
{
	static char text[1 << 16];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[LN_MAX(n, (ssize_t)0)] = '\0';
	if (fd >= 0)
		close(fd);
	unlink(path);
	return text;
}

/* 32 and 33 belong to the C library, whose signal() refuses them. */
static void handle_each(const unsigned long *action)
{
	for (int signo = 32; signo <= 34; signo++)
		assert_int_equal(syscall(SYS_rt_sigaction, signo, action, NULL, 8), 0);
}

/* The record comes on standard input; nothing else of linnet's is there. */
static void program_gets_record(void **state)
{
	char path[] = "/tmp/linnet-unit-XXXXXX";
	char script[512];
	char *argv[] = {(char *)"/bin/sh", (char *)"-c", script, NULL};
	static const unsigned long ignore[8] = {(unsigned long)SIG_IGN};
	static const unsigned long by_default[8];
	int leak = open("/dev/zero", O_RDONLY); /* not close-on-exec, as of a careless library */

	close(mkstemp(path));
	snprintf(script, sizeof(script),
		 "{ cat; env; ls -l /proc/self/fd; pwd; echo \"group $(ps -o pgid= $$)/$$\"; "
		 "grep -E 'Sig(Blk|Ign)' /proc/self/status; } >%s 2>&1",
		 path);
	setenv("LINNET_SECRET", "hunter2", 1);
	struct ln_sink *s = make_program(argv);
	finding.alert = false;
	tell(s, 1);
	assert_int_equal(s->ops->pending(s), 0);
	finding.alert = true;
	tell(s, 1);
	handle_each(ignore);
	run_sink(s);
	handle_each(by_default);
	assert_int_equal(s->written, 1);
	assert_int_equal(s->dropped, 0);
	const char *text = content(path);
	assert_has(text, "\"type\":\"flow-open\",\"agent\":\"travel_agent_v1\"");
	assert_has(text, "\nLANG=C.UTF-8\n");
	assert_has(text, "\nPATH=/usr/local/sbin:");
	assert_lacks(text, "hunter2");
	assert_lacks(text, "/dev/zero");
	assert_has(text, "\n/\n");
	assert_has(text, "SigBlk:\t0000000000000000");
	assert_has(text, "SigIgn:\t0000000000000000");
	ln_sink_free(&s);
	close(leak);
}

static void program_fails(void **state)
{
	static const struct {
		const char *argv[4];
		const char *why;
	} rows[] = {
	    {{"/bin/sh", "-c", "exit 3"}, "it ended with status 3"},
	    {{"/bin/sh", "-c", "kill -9 $$"}, "it was ended by signal 9"},
	    {{"/nonexistent/linnet"}, "No such file or directory"},
	    {{"/etc/passwd"}, "Permission denied"},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		struct ln_sink *s = make_program((char *const *)rows[i].argv);
		tell(s, 1);
		run_sink(s);
		assert_int_equal(s->written, 0);
		assert_int_equal(s->dropped, 1);
		assert_has(s->why, rows[i].why);
		ln_sink_free(&s);
	}
	struct ln_error err = {0};
	struct ln_sink *s = NULL;
	char *relative[] = {(char *)"sh", NULL};
	assert_true(ln_sink_program_new(&(struct ln_program_config){.argv = relative}, &err, &s) <
		    0);
	assert_null(s);
}

/* One a second, four at once, ten seconds each, 64 wait: with a clock of our own. */
static void program_bounds(void **state)
{
	char *argv[] = {(char *)"/bin/sleep", (char *)"1000", NULL};
	struct ln_sink *s = make_program(argv);
	uint64_t now = ln_clock_mono_ns();

	tell(s, 70);
	assert_int_equal(s->ops->pending(s), 64);
	assert_int_equal(s->dropped, 6);
	assert_int_equal(s->ops->deadline(s), 0); /* at once */
	s->ops->dispatch(s, now);
	s->ops->dispatch(s, now + LN_NS_PER_S - 1);
	assert_int_equal(s->ops->deadline(s), now + LN_NS_PER_S);
	tell(s, 1); /* the place of the one that runs */
	assert_int_equal(s->dropped, 6);
	for (uint64_t i = 1; i < 6; i++)
		s->ops->dispatch(s, now + i * LN_NS_PER_S);
	/* Four run: the next is due when the first of them is over. */
	assert_int_equal(s->ops->deadline(s), now + 10 * LN_NS_PER_S);
	assert_int_equal(s->ops->pending(s), 65);
	s->ops->dispatch(s, now + 10 * LN_NS_PER_S);
	struct pollfd p = {.fd = s->ops->fd(s), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 30000), 1); /* it was killed */
	s->ops->dispatch(s, now + 10 * LN_NS_PER_S);
	assert_int_equal(s->dropped, 7);
	assert_int_equal(s->ops->pending(s), 64);
	ln_sink_free(&s);
}

/* What the program leaves in its group ends with it. */
static void program_group(void **state)
{
	char path[] = "/tmp/linnet-unit-XXXXXX", script[256];
	char *argv[] = {(char *)"/bin/sh", (char *)"-c", script, NULL};
	int pipe_fd[2];

	close(mkstemp(path));
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(script, sizeof(script), "sleep 1000 >%s & exec 3>%s; exit 0", path, path);
	struct ln_sink *s = make_program(argv);
	pipe_fd[0] = open(path, O_RDONLY | O_NONBLOCK);
	tell(s, 1);
	run_sink(s);
	assert_int_equal(s->written, 1);
	/* The background process had the pipe open, if it came so far: its end is the end of all.
	 */
	struct pollfd p = {.fd = pipe_fd[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, 30000), 1);
	assert_true(p.revents & POLLHUP);
	close(pipe_fd[0]);
	unlink(path);
	ln_sink_free(&s);
}

static struct ln_sink *make_journal(const char *path)
{
	struct ln_error err = {0};
	struct ln_sink *s = NULL;

	assert_int_equal(ln_sink_journal_new(&(struct ln_journal_config){.path = path}, &err, &s),
			 0);
	return s;
}

static void journal_fields(void **state)
{
	int fd = make_receiver();
	struct ln_sink *s = make_journal(socket_path);
	struct ln_name_evidence name = named("a\nPRIORITY=0.example", LN_NAME_UNTRUSTED);

	assert_string_equal(s->why, "");
	finding.names = &name;
	finding.n_names = 1;
	finding.agent_name = "x\nPRIORITY=0";
	tell(s, 1);
	const char *text = next_datagram(fd);
	assert_has(text, "SYSLOG_IDENTIFIER=linnet\n");
	assert_has(text, "\nPRIORITY=4\nMESSAGE_ID=");
	assert_has(text, "\nMESSAGE=UNEXPECTED OUTBOUND CONNECTION: 104.28.14.6:443 (resolved: ");
	assert_has(text, "\nLINNET_AGENT=x\\nPRIORITY=0\n");
	assert_has(text, "\nLINNET_PID=7843\nLINNET_VERDICT=unexpected\n");
	assert_has(text, "\nLINNET_DESTINATION=104.28.14.6:443 (resolved: ");
	assert_has(text, "\nLINNET_ACTION=LOGGED");
	assert_has(text, "\nLINNET_RECORD={\"time\":");
	assert_lacks(text, "\nPRIORITY=0");
	assert_int_equal(s->written, 1);
	ln_sink_free(&s);
	end_receiver(fd);
}

/* Each kind that can be an alert has an id of its own. */
static void journal_ids(void **state)
{
	int fd = make_receiver();
	struct ln_sink *s = make_journal(socket_path);
	char seen[3][33] = {""};
	static const enum ln_finding_kind kinds[] = {LN_FINDING_FLOW_OPEN, LN_FINDING_LOST,
						     LN_FINDING_REPEATS};

	finding.count = 2;
	for (size_t i = 0; i < LN_ARRAY_SIZE(kinds); i++) {
		finding.kind = kinds[i];
		tell(s, 1);
		const char *id = strstr(next_datagram(fd), "MESSAGE_ID=");
		assert_non_null(id);
		memcpy(seen[i], id + strlen("MESSAGE_ID="), 32);
		assert_int_equal(strspn(seen[i], "0123456789abcdef"), 32);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(seen[i], seen[j]);
	}
	ln_sink_free(&s);
	end_receiver(fd);
}

/* A journald that is stopped reads nothing: we go on, keep 64, and say later what is missing. */
static void journal_never_reads(void **state)
{
	int fd = make_receiver(), received = 0;
	struct ln_sink *s = make_journal(socket_path);
	const char *text;
	bool told = false;

	tell(s, 2000);
	assert_int_equal(s->ops->pending(s), 64);
	assert_true(s->dropped > 0);
	assert_int_equal(s->written + s->dropped + 64, 2000);
	uint64_t dropped = s->dropped;
	for (int round = 0; round < 2000 && !told; round++) {
		while ((text = next_datagram(fd))[0] != '\0') {
			received++;
			told = told || strstr(text, "alerts could not be told here");
		}
		s->ops->dispatch(s, UINT64_MAX - 1);
	}
	assert_true(told);
	assert_int_equal(s->dropped, dropped);
	assert_int_equal(received, 2000 - dropped + 1);
	ln_sink_free(&s);
	end_receiver(fd);
}

static void journal_missing(void **state)
{
	struct ln_sink *s = make_journal("/nonexistent/linnet-journal");

	assert_has(s->why, "No such file");
	tell(s, 3);
	assert_int_equal(s->ops->pending(s), 3);
	assert_true(s->ops->deadline(s) > ln_clock_mono_ns());
	ln_sink_free(&s);
}

static struct ln_sink *make_syslog(const char *address)
{
	struct ln_error err = {0};
	struct ln_sink *s = NULL;

	if (ln_sink_syslog_new(&(struct ln_syslog_config){.address = address}, &err, &s) < 0)
		fail_msg("%s", err.text);
	return s;
}

static void syslog_message(void **state)
{
	char address[128];
	int fd = make_receiver();

	snprintf(address, sizeof(address), "unix:%s", socket_path);
	struct ln_sink *s = make_syslog(address);
	finding.agent_name = "a \"b\" [c] \\d";
	tell(s, 1);
	const char *text = next_datagram(fd);
	assert_int_equal(strncmp(text, "<84>1 2023-10-26T14:32:07.123456Z ", 34), 0);
	assert_has(text, " linnet ");
	assert_has(text,
		   " flow-open [linnet@32473 agent=\"a \\\"b\\\" [c\\] \\\\\\\\d\" pid=\"7843\" "
		   "command=\"/usr/bin/python");
	assert_has(text, " destination=\"104.28.14.6:443 (resolved: unknown)\" "
			 "verdict=\"unexpected\" action=\"LOGGED");
	assert_has(text, "] UNEXPECTED OUTBOUND CONNECTION: 104.28.14.6:443 (resolved: unknown)");
	assert_lacks(text, "\xef\xbb\xbf"); /* ASCII */
	assert_lacks(text, "\n");
	ln_sink_free(&s);
	end_receiver(fd);
}

static void syslog_udp(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char address[64];

	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	snprintf(address, sizeof(address), "udp://127.0.0.1:%u", ntohs(in.sin_port));
	struct ln_sink *s = make_syslog(address);
	tell(s, 1);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 30000), 1);
	assert_has(next_datagram(fd), "[linnet@32473 ");
	ln_sink_free(&s);
	close(fd);
}

static void syslog_addresses(void **state)
{
	static const char *const bad[] = {
	    "udp://", "udp://[::1", "udp://[]:1", "udp://h:", "tcp://h:1", "unix:x", "log"};

	for (size_t i = 0; i < LN_ARRAY_SIZE(bad); i++) {
		struct ln_error err = {0};
		struct ln_sink *s = NULL;
		assert_true(ln_sink_syslog_new(&(struct ln_syslog_config){.address = bad[i]}, &err,
					       &s) < 0);
		assert_null(s);
		assert_has(err.text, "syslog");
	}
	struct ln_sink *s = make_syslog("udp://name.invalid.:514");
	assert_has(s->why, "name.invalid");
	tell(s, 1);
	assert_int_equal(s->written, 0);
	ln_sink_free(&s);
	s = make_syslog("udp://[::1]");
	ln_sink_free(&s);
}

/* Never longer than it may be, and never half a character. */
static void rfc5424_bounds(void **state)
{
	struct ln_rfc5424 m = {0};
	struct ln_buf text = {0};
	uint32_t code;

	while (text.len < 20000)
		ln_buf_adds(&text, "]€\"");
	ln_rfc5424_init(&m);
	ln_rfc5424_begin(&m, LN_SEVERITY_WARNING, WALL_NS,
			 "a-name-that-is-longer-than-32-characters");
	for (int i = 0; i < 3; i++)
		ln_rfc5424_param(&m, "p", text.data, text.len);
	ln_rfc5424_end(&m, text.data, text.len);
	assert_true(m.text.len <= LN_RFC5424_MAX);
	assert_true(m.text.len > LN_RFC5424_MAX - 4);
	for (size_t at = 0; at < m.text.len;) {
		size_t n =
		    ln_utf8_length((const uint8_t *)m.text.data + at, m.text.len - at, &code);
		assert_true(n > 0);
		at += n;
	}
	const char *whole = ln_buf_text(&m.text);
	assert_has(whole, " a-name-that-is-longer-than-32-ch [linnet@32473 p=\"\\]€\\\"");
	assert_has(whole, "\"] \xef\xbb\xbf]€\"");
	ln_buf_done(&m.text);
	ln_buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(outbox_bounds),
	    cmocka_unit_test_setup(owed_record, setup),
	    cmocka_unit_test_setup(program_gets_record, setup),
	    cmocka_unit_test_setup(program_fails, setup),
	    cmocka_unit_test_setup(program_bounds, setup),
	    cmocka_unit_test_setup(program_group, setup),
	    cmocka_unit_test_setup(journal_fields, setup),
	    cmocka_unit_test_setup(journal_ids, setup),
	    cmocka_unit_test_setup(journal_never_reads, setup),
	    cmocka_unit_test_setup(journal_missing, setup),
	    cmocka_unit_test_setup(syslog_message, setup),
	    cmocka_unit_test_setup(syslog_udp, setup),
	    cmocka_unit_test_setup(syslog_addresses, setup),
	    cmocka_unit_test(rfc5424_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
