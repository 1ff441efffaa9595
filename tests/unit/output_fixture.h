/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the outputs share: one violation to tell, and a sink whose writes can be read
 * one by one. */
#ifndef LINNET_TESTS_OUTPUT_FIXTURE_H
#define LINNET_TESTS_OUTPUT_FIXTURE_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include "output/redact.h"
#include "output/sink.h"

#define R          LN_REDACTED
#define WALL_NS    (1698330727ULL * LN_NS_PER_S + 123456789) /* 2023-10-26T14:32:07.123456789Z */
#define REASON     "Connection not in allow-list."
#define ARGS(text) (char *)(text), sizeof(text)

/* One agent: bash started python, which connects. */
static struct ln_proc shell = {.pid = 1234, .exe = (char *)"/usr/bin/bash"};
static struct ln_proc agent;
static struct ln_flow flow;
static struct ln_finding finding;

static inline int setup(void **state)
{
	shell.args = (char *)"bash";
	shell.args_len = 5;
	agent = (struct ln_proc){.pid = 7843,
				 .parent = &shell,
				 .exe = (char *)"/usr/bin/python",
				 .args = (char *)"python\0/opt/agent/main.py",
				 .args_len = sizeof("python\0/opt/agent/main.py")};
	flow = (struct ln_flow){.id = 0xabc0001, .proto = IPPROTO_TCP};
	assert_true(ln_endpoint_parse("104.28.14.6:443", 0, &flow.remote));
	assert_true(ln_endpoint_parse("10.0.0.7:40000", 0, &flow.local));
	finding = (struct ln_finding){.kind = LN_FINDING_FLOW_OPEN,
				      .event_kind = LN_EVENT_FLOW_OPEN,
				      .alert = true,
				      .time_ns = 5000000000,
				      .wall_ns = WALL_NS,
				      .agent = 1,
				      .agent_name = "travel_agent_v1",
				      .pid = 7843,
				      .tid = 7844,
				      .proc = &agent,
				      .verdict = LN_VERDICT_UNEXPECTED,
				      .reason = REASON,
				      .action = LN_ACTION_LOGGED,
				      .flow = &flow};
	return 0;
}

static inline void set_args(struct ln_proc *p, char *args, size_t len)
{
	p->args = args;
	p->args_len = len;
}

static inline struct ln_name_evidence named(const char *name, enum ln_name_source source)
{
	struct ln_name_evidence e = {.source = source, .grants = source != LN_NAME_UNTRUSTED};

	snprintf(e.name, sizeof(e.name), "%s", name);
	return e;
}

/* A sink whose every write(2) is one packet. */
struct capture {
	struct ln_sink *sink;
	int fd, sink_fd;
	char text[1 << 17];
};
static struct capture cap;

static inline void capture_pair(void)
{
	int size = 1 << 20, pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	cap.fd = pair[0];
	cap.sink_fd = pair[1];
}

static inline void capture_console(struct ln_console_config config)
{
	capture_pair();
	config.fd = cap.sink_fd;
	assert_int_equal(ln_sink_console_new(&config, &cap.sink), 0);
}

static inline void capture_jsonl(bool show_args)
{
	capture_pair();
	assert_int_equal(
	    ln_sink_jsonl_new(&(struct ln_jsonl_config){.fd = cap.sink_fd, .show_args = show_args},
			      &cap.sink),
	    0);
	cap.sink_fd = -1; /* owned by the sink */
}

/* What the next write held; "" when there was none. */
static inline const char *next_write(void)
{
	ssize_t n = recv(cap.fd, cap.text, sizeof(cap.text) - 1, MSG_DONTWAIT);

	cap.text[LN_MAX(n, (ssize_t)0)] = '\0';
	return cap.text;
}

static inline void capture_end(void)
{
	assert_string_equal(next_write(), "");
	ln_sink_free(&cap.sink);
	assert_null(cap.sink);
	close(cap.fd);
	ln_closep(&cap.sink_fd);
}

static inline void assert_has(const char *text, const char *part)
{
	if (!text || !strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text ? text : "");
}

static inline void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

#endif
