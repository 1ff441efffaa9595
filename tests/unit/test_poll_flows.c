/* SPDX-License-Identifier: Apache-2.0 */
/* The poll sensor: sockets, whose they are, outbound or not, counts and outcomes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "poll_actor.h"
#include "sensor/poll_sockets.h"

static void test_line(void **state)
{
	static const char v4[] = "   0: 0100007F:1F90 0200000A:01BB 01 00000000:00000000 "
				 "00:00000000 00000000  1000        0 31337 1 ffff8881 20 4";
	static const char v6[] = " 12: 0000000000000000FFFF00000100007F:0035 "
				 "B80D0120000000000000000001000000:EA60 02 0:0 0:0 0 0 0 9 1";
	struct ln_poll_socket row = {0};
	char text[LN_ENDPOINT_TEXT_MAX];
	size_t inode_end = strstr(v4, "31337") - v4 + 1;

	assert_true(ln_poll_procnet_line(v4, strlen(v4), IPPROTO_TCP, &row));
	assert_string_equal(ln_endpoint_format(&row.local, text), "127.0.0.1:8080");
	assert_string_equal(ln_endpoint_format(&row.remote, text), "10.0.0.2:443");
	assert_int_equal(row.state, TCP_ESTABLISHED);
	assert_int_equal(row.inode, 31337);
	assert_false(row.counted);
	assert_true(ln_poll_procnet_line(v6, strlen(v6), IPPROTO_TCP, &row));
	assert_string_equal(ln_endpoint_format(&row.local, text), "127.0.0.1:53");
	assert_string_equal(ln_endpoint_format(&row.remote, text), "[2001:db8::1]:60000");
	assert_int_equal(row.state, TCP_SYN_SENT);

	row = (struct ln_poll_socket){.inode = 1};
	for (size_t len = 0; len < inode_end; len++) {
		char *cut = memcpy(malloc(len + 1), v4, len); /* so that a sanitizer sees its end */

		cut = realloc(cut, len ? len : 1);
		assert_false(ln_poll_procnet_line(cut, len, IPPROTO_TCP, &row));
		free(cut);
	}
	assert_int_equal(row.inode, 1); /* untouched by a refusal */
}

static void test_line_refused(void **state)
{
	static const char *const bad[] = {
	    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt",
	    "0: 0100007G:1F90 0200000A:01BB 01 0:0 0:0 0 0 0 1",
	    "0: 0100007F:1F9 0200000A:01BB 01 0:0 0:0 0 0 0 1",
	    "0: 0100007F01:1F90 0200000A:01BB 01 0:0 0:0 0 0 0 1",
	    "0: 0100007F:1F90 0200000A:01BB 20 0:0 0:0 0 0 0 1",
	    "0: 0100007F:1F90 0200000A:01BB 01 0:0 0:0 0 0 0 99999999999999999999",
	    "0: 0100007F:1F90 0200000A:01BB 01 0:0 0:0 0 0 0 -1",
	    "0  0100007F:1F90 0200000A:01BB 01 0:0 0:0 0 0 0 1",
	};
	struct ln_poll_socket row;

	for (size_t i = 0; i < LN_ARRAY_SIZE(bad); i++)
		if (ln_poll_procnet_line(bad[i], strlen(bad[i]), IPPROTO_TCP, &row))
			fail_msg("taken: %s", bad[i]);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void test_readers_agree(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(4), client = -1, accepted = -1, proc = -1;
	struct ln_poll_sockets by_diag = {0}, by_proc = {0};
	struct ln_poll_diag *diag = NULL;
	int fds[3];

	client = open_to(SOCK_STREAM, NULL, port_of(server));
	accepted = accept(server, NULL, NULL);
	proc = open("/proc", O_RDONLY | O_DIRECTORY);
	assert_int_equal(ln_poll_diag_new(&diag), 0);
	assert_int_equal(ln_poll_diag_dump(diag, 7, &by_diag), 0);
	assert_int_equal(ln_poll_procnet_read(proc, getpid(), 7, &by_proc), 0);
	ln_poll_sockets_sort(&by_diag);
	ln_poll_sockets_sort(&by_proc);
	fds[0] = server;
	fds[1] = client;
	fds[2] = accepted;
	for (int i = 0; i < 3; i++) {
		const struct ln_poll_socket *x = ln_poll_sockets_find(&by_diag, inode_of(fds[i]));
		const struct ln_poll_socket *y = ln_poll_sockets_find(&by_proc, inode_of(fds[i]));

		assert_non_null(x);
		assert_non_null(y);
		assert_int_equal(x->netns, 7);
		assert_int_equal(x->state, y->state);
		assert_memory_equal(&x->local, &y->local, sizeof(x->local));
		assert_memory_equal(&x->remote, &y->remote, sizeof(x->remote));
		assert_true(x->counted);
		assert_false(y->counted);
	}
	assert_null(ln_poll_sockets_find(&by_diag, 1));
	ln_poll_diag_free(&diag);
	ln_poll_sockets_done(&by_diag);
	ln_poll_sockets_done(&by_proc);
}

static void test_socket_bound(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(4);
	struct ln_poll_sockets s = {.n = LN_POLL_SOCKETS_MAX, .cap = LN_POLL_SOCKETS_MAX};
	struct ln_poll_diag *diag = NULL;

	s.rows = calloc(s.cap, sizeof(*s.rows));
	assert_non_null(s.rows);
	assert_true(server >= 0);
	assert_int_equal(ln_poll_diag_new(&diag), 0);
	assert_int_equal(ln_poll_diag_dump(diag, 1, &s), 0);
	assert_int_equal(s.n, LN_POLL_SOCKETS_MAX);
	assert_true(s.refused >= 1);
	ln_poll_diag_free(&diag);
	ln_poll_sockets_done(&s);
}

static void test_inherited_socket(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a;
	struct ln_sensor *s;

	actor_start(&a);
	s = watch_track(&a);
	assert_true(actor_ask(&a, 0, OP_CONNECT, port_of(server)) >= 0);
	actor_ask(&a, 0, OP_FORK, 1);
	watch_look(s);
	watch_look(s);
	assert_int_equal(watch_count(LN_EVENT_FLOW_OPEN), 1);
	assert_non_null(watch_find(LN_EVENT_FLOW_OPEN, a.pid));
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_inbound_is_silent(void **state)
{
	struct actor a;
	struct ln_sensor *s;
	LN_AUTO_CLOSE int first = -1, second = -1;
	int port;

	actor_start(&a);
	s = watch_track(&a);
	port = actor_ask(&a, 0, OP_LISTEN, 0);
	watch_look(s);
	first = open_to(SOCK_STREAM, NULL, port);
	assert_true(actor_ask(&a, 0, OP_ACCEPT, 0) >= 0);
	watch_look(s);
	/* Accepted and no listener any more, all since the last look */
	second = open_to(SOCK_STREAM, NULL, port);
	assert_true(actor_ask(&a, 0, OP_ACCEPT, 0) >= 0);
	assert_int_equal(actor_ask(&a, 0, OP_CLOSE_LISTENER, 0), 0);
	watch_look(s);
	watch_look(s);
	assert_int_equal(n_events, 1);
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_same_tree(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8), peer = -1;
	struct actor a;
	struct ln_sensor *s;
	pid_t queued, accepted, outside;
	int port;

	actor_start(&a);
	s = watch_track(&a);
	port = actor_ask(&a, 0, OP_LISTEN, 0);
	queued = actor_ask(&a, 0, OP_FORK, 1);
	accepted = actor_ask(&a, 0, OP_FORK, 2);
	outside = actor_ask(&a, 0, OP_FORK, 3);
	assert_true(actor_ask(&a, 2, OP_CONNECT, port) >= 0);
	assert_true(actor_ask(&a, 0, OP_ACCEPT, 0) >= 0);
	assert_true(actor_ask(&a, 1, OP_CONNECT, port) >= 0);
	assert_true(actor_ask(&a, 3, OP_CONNECT, port_of(server)) >= 0);
	peer = accept(server, NULL, NULL);
	assert_true(actor_ask(&a, 0, OP_CONNECT, port_of(server)) >= 0); /* stays queued */
	watch_look(s);
	assert_int_equal(watch_count(LN_EVENT_FLOW_OPEN), 4);
	assert_false(watch_find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow.same_tree);
	assert_true(watch_find(LN_EVENT_FLOW_OPEN, queued)->ev.flow.flow.same_tree);
	assert_true(watch_find(LN_EVENT_FLOW_OPEN, accepted)->ev.flow.flow.same_tree);
	assert_false(watch_find(LN_EVENT_FLOW_OPEN, outside)->ev.flow.flow.same_tree);
	actor_stop(&a);
	ln_sensor_free(&s);
}

/* The sockets of the second tree were known before, as nobody's. */
static void test_second_tree(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a, b;
	struct ln_sensor *s = watch_new();
	struct seen *e;

	actor_start(&a);
	actor_start(&b);
	assert_true(actor_ask(&b, 0, OP_CONNECT, port_of(server)) >= 0);
	assert_int_equal(s->ops->adopt(s, 1, a.pid, NULL), 0);
	watch_look(s);
	assert_int_equal(n_events, 1);
	assert_int_equal(s->ops->adopt(s, 2, b.pid, NULL), 0);
	watch_look(s);
	assert_int_equal(n_events, 3);
	e = watch_find(LN_EVENT_FLOW_OPEN, b.pid);
	assert_int_equal(e->ev.agent, 2);
	assert_true(e->ev.flow.flow.existing);
	assert_false(e->ev.flow.flow.same_tree);
	actor_stop(&a);
	actor_stop(&b);
	ln_sensor_free(&s);
}

/* A connection that an outsider made and the tree holds now */
static void test_passed_socket(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8), client = -1;
	struct actor a;
	struct ln_sensor *s;

	client = open_to(SOCK_STREAM, NULL, port_of(server));
	actor_start(&a);
	s = watch_track(&a);
	watch_look(s);
	watch_look(s);
	assert_int_equal(n_events, 1);
	if (actor_ask(&a, 0, OP_TAKE, client) < 0) {
		actor_stop(&a);
		ln_sensor_free(&s);
		skip(); /* one may not take descriptors here */
	}
	assert_false(watch_await(s, LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow.existing);
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_close_counts(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8), peer = -1;
	struct actor a;
	struct ln_sensor *s;
	const struct ln_flow_end *end;
	char bytes[5000] = {0};
	struct seen *e;
	size_t done = 0;

	actor_start(&a);
	s = watch_track(&a);
	assert_true(actor_ask(&a, 0, OP_CONNECT, port_of(server)) >= 0);
	peer = accept(server, NULL, NULL);
	watch_look(s);
	e = watch_find(LN_EVENT_FLOW_OPEN, a.pid);
	assert_non_null(e);
	assert_false(e->ev.flow.flow.uncounted);
	assert_int_equal(actor_ask(&a, 0, OP_SEND, sizeof(bytes)), sizeof(bytes));
	while (done < sizeof(bytes))
		done += read(peer, bytes, sizeof(bytes));
	assert_int_equal(write(peer, bytes, 55), 55);
	ln_closep(&peer); /* the FIN is no byte */
	assert_int_equal(actor_ask(&a, 0, OP_READ, 55), 55);
	assert_int_equal(actor_ask(&a, 0, OP_READ, 1), 0);
	watch_look(s);
	assert_int_equal(watch_count(LN_EVENT_FLOW_CLOSE), 0);
	assert_int_equal(actor_ask(&a, 0, OP_CLOSE, 0), 0);
	e = watch_await(s, LN_EVENT_FLOW_CLOSE, a.pid);
	end = &e->ev.flow.end;
	assert_int_equal(e->ev.flow.flow.id,
			 watch_find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow.id);
	assert_int_equal(end->tx_bytes, sizeof(bytes));
	assert_int_equal(end->rx_bytes, 55);
	assert_true(end->tx_packets > 1 && end->rx_packets > 1);
	assert_int_equal(end->outcome, LN_OUTCOME_CONNECTED);
	assert_true(end->open_ns > 0 && end->open_ns < e->ev.time_ns);
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_half_open(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(0), full = -1;
	struct actor a;
	struct ln_sensor *s;

	full = open_to(SOCK_STREAM, NULL, port_of(server));
	actor_start(&a);
	s = watch_track(&a);
	assert_true(actor_ask(&a, 0, OP_CONNECT_HALF, port_of(server)) >= 0);
	watch_look(s);
	assert_non_null(watch_find(LN_EVENT_FLOW_OPEN, a.pid));
	assert_int_equal(actor_ask(&a, 0, OP_CLOSE, 0), 0);
	assert_int_equal(watch_await(s, LN_EVENT_FLOW_CLOSE, a.pid)->ev.flow.end.outcome,
			 LN_OUTCOME_ABORTED);
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_udp(void **state)
{
	struct sockaddr_in name = loopback4(0);
	LN_AUTO_CLOSE int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct actor a;
	struct ln_sensor *s;
	struct seen *e;

	assert_int_equal(bind(server, (void *)&name, sizeof(name)), 0);
	actor_start(&a);
	s = watch_track(&a);
	assert_true(actor_ask(&a, 0, OP_UDP_SENDTO, port_of(server)) > 0);
	assert_true(actor_ask(&a, 0, OP_UDP, 0) >= 0); /* port 0: nothing can leave */
	watch_look(s);
	/* as getaddrinfo does */
	assert_true(actor_ask(&a, 0, OP_UDP, port_of(server)) >= 0);
	watch_look(s);
	assert_int_equal(actor_ask(&a, 0, OP_CLOSE, 0), 0);
	assert_true(actor_ask(&a, 0, OP_UDP, port_of(server)) >= 0);
	watch_look(s);
	assert_int_equal(n_events, 1);
	e = watch_await(s, LN_EVENT_FLOW_OPEN, a.pid);
	assert_int_equal(e->ev.flow.flow.proto, IPPROTO_UDP);
	assert_int_equal(e->ev.flow.flow.remote.port, port_of(server));
	assert_true(e->ev.flow.flow.uncounted);
	assert_false(e->ev.flow.flow.same_tree);
	assert_int_equal(actor_ask(&a, 0, OP_CLOSE, 0), 0);
	e = watch_await(s, LN_EVENT_FLOW_CLOSE, a.pid);
	assert_int_equal(e->ev.flow.end.outcome, LN_OUTCOME_NONE);
	assert_int_equal(watch_count(LN_EVENT_FLOW_OPEN), 1);
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_ipv6_and_mapped(void **state)
{
	struct sockaddr_in6 name = {.sin6_family = AF_INET6};
	LN_AUTO_CLOSE int server = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[LN_ADDR_TEXT_MAX];
	struct actor a;
	struct ln_sensor *s;
	pid_t child;

	if (server < 0 || bind(server, (void *)&name, sizeof(name)) < 0)
		skip(); /* a kernel without IPv6 */
	assert_int_equal(listen(server, 8), 0);
	actor_start(&a);
	s = watch_track(&a);
	child = actor_ask(&a, 0, OP_FORK, 1);
	assert_true(actor_ask(&a, 0, OP_CONNECT_MAPPED, port_of(server)) >= 0);
	if (actor_ask(&a, 1, OP_CONNECT6, port_of(server)) < 0)
		skip(); /* no ::1 */
	watch_look(s);
	assert_string_equal(
	    ln_addr_format(&watch_find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow.remote.addr, text),
	    "127.0.0.1");
	assert_string_equal(
	    ln_addr_format(&watch_find(LN_EVENT_FLOW_OPEN, child)->ev.flow.flow.remote.addr, text),
	    "::1");
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_other_netns(void **state)
{
	struct actor a;
	struct ln_sensor *s;
	const struct ln_flow *flow;

	actor_start(&a);
	s = watch_track(&a);
	if (actor_ask(&a, 0, OP_NETNS, 0) < 0) {
		actor_stop(&a);
		ln_sensor_free(&s);
		skip(); /* user namespaces are off */
	}
	assert_true(actor_ask(&a, 0, OP_CONNECT, actor_ask(&a, 0, OP_LISTEN, 0)) >= 0);
	watch_look(s);
	assert_int_equal(watch_count(LN_EVENT_FLOW_OPEN), 1);
	flow = &watch_find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow;
	assert_true(flow->uncounted);
	assert_true(flow->same_tree);
	assert_int_equal(flow->netns, 0);
	assert_int_equal(actor_ask(&a, 0, OP_CLOSE, 0), 0);
	watch_await(s, LN_EVENT_FLOW_CLOSE, a.pid);
	assert_int_equal(watch_count(LN_EVENT_LOST), 0);
	actor_stop(&a);
	ln_sensor_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line),
	    cmocka_unit_test(test_line_refused),
	    cmocka_unit_test(test_readers_agree),
	    cmocka_unit_test(test_socket_bound),
	    cmocka_unit_test(test_inherited_socket),
	    cmocka_unit_test(test_inbound_is_silent),
	    cmocka_unit_test(test_same_tree),
	    cmocka_unit_test(test_second_tree),
	    cmocka_unit_test(test_passed_socket),
	    cmocka_unit_test(test_close_counts),
	    cmocka_unit_test(test_half_open),
	    cmocka_unit_test(test_udp),
	    cmocka_unit_test(test_ipv6_and_mapped),
	    cmocka_unit_test(test_other_netns),
	};

	return cmocka_run_group_tests_name("poll_flows", tests, NULL, NULL);
}
