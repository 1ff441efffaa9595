/* SPDX-License-Identifier: Apache-2.0 */
/* The poll sensor: processes, order, ends, bounds, facts. Its sockets: test_poll_flows.c. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "poll_actor.h"
#include "sensor/poll_flows.h"
#include "sensor/poll_tree.h"

/* Both readers must say the same of the same sockets. */
static void test_track_exec_exit(void **state)
{
	struct actor a;
	struct ln_sensor *s;
	struct seen *e;

	actor_start(&a);
	s = watch_track(&a);
	watch_look(s);
	assert_int_equal(n_events, 1); /* a copy of linnet that waits: nothing was exec'd yet */
	assert_int_equal(events[0].ev.kind, LN_EVENT_FORK);
	assert_int_equal(events[0].ev.fork.child, a.pid);
	actor_send(&a, 0, OP_EXEC, 0);
	e = watch_await(s, LN_EVENT_EXEC, a.pid);
	assert_non_null(strstr(e->exe, "sleep"));
	while (strcmp(e->args, "a b")) { /* a look in the middle of an exec sees the old ones */
		e->ev.kind = LN_EVENT_COUNT;
		e = watch_await(s, LN_EVENT_EXEC, a.pid);
	}
	assert_memory_equal(e->args, "a b\0001000", 9);
	assert_int_equal(e->ev.exec.args_len, 9);
	assert_false(e->ev.exec.cut);
	kill(a.pid, SIGKILL);
	e = watch_await(s, LN_EVENT_EXIT, a.pid);
	assert_int_equal(e->ev.exit.status, SIGKILL);
	assert_int_equal(watch_count(LN_EVENT_EXIT), 1);
	watch_look(s);
	assert_ptr_equal(e, &events[n_events - 1]); /* the last word */
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_track_refuses(void **state)
{
	struct ln_sensor *s = watch_new();
	struct ln_error err = {0};
	struct actor a;
	pid_t dead = fork();

	if (dead == 0)
		_exit(0);
	waitpid(dead, NULL, 0);
	assert_int_equal(s->ops->track(s, 1, dead, -1, &err), -ESRCH);
	assert_non_null(strstr(err.text, "does not live"));
	assert_int_equal(s->ops->adopt(s, 1, dead, &err), -ESRCH);
	actor_start(&a);
	assert_int_equal(s->ops->adopt(s, 1, a.pid, &err), 0);
	assert_int_equal(s->ops->adopt(s, 1, a.pid, &err), -EEXIST);
	actor_stop(&a);
	ln_sensor_free(&s);
}

/* An orphan that was never seen with its parent comes to linnet; linnet's own children do not
 * count, and orphans leave no zombie. */
static void test_orphan(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(4);
	struct actor a, own;
	struct ln_sensor *s;
	pid_t orphan;

	actor_start(&own);
	actor_start(&a);
	s = watch_track(&a);
	orphan = actor_ask(&a, 0, OP_ORPHAN, 1);
	assert_true(actor_ask(&a, 1, OP_CONNECT, port_of(server)) >= 0);
	watch_look(s);
	assert_int_equal(watch_count(LN_EVENT_FORK), 2);
	assert_int_equal(watch_find(LN_EVENT_FORK, a.pid)->ev.fork.child, orphan);
	assert_non_null(watch_find(LN_EVENT_FLOW_OPEN, orphan));
	actor_send(&a, 1, OP_EXIT, 7);
	assert_int_equal(watch_await(s, LN_EVENT_EXIT, orphan)->ev.exit.status, 7 << 8);
	assert_int_equal(waitpid(orphan, NULL, WNOHANG), -1);
	assert_int_equal(watch_count(LN_EVENT_EXIT), 1);
	for (size_t i = 0; i < n_events; i++)
		assert_int_not_equal(events[i].ev.pid, own.pid);
	actor_stop(&a);
	actor_stop(&own);
	ln_sensor_free(&s);
}

/* Two generations ending between looks: only the session says whose the last one is. Without
 * track, so linnet is no subreaper and the orphan goes elsewhere. */
static void test_orphan_by_session(void **state)
{
	struct actor a;
	struct ln_sensor *s = watch_new();
	pid_t orphan;

	actor_start(&a);
	assert_true(actor_ask(&a, 0, OP_SETSID, 0) > 0);
	assert_int_equal(s->ops->adopt(s, 1, a.pid, NULL), 0);
	watch_look(s);
	orphan = actor_ask(&a, 0, OP_ORPHAN, 1);
	watch_look(s);
	assert_int_equal(watch_count(LN_EVENT_FORK), 1);
	assert_int_equal(watch_find(LN_EVENT_FORK, a.pid)->ev.fork.child, orphan);
	actor_send(&a, 0, OP_EXIT, 0);
	watch_await(s, LN_EVENT_EXIT, a.pid);
	assert_null(watch_find(LN_EVENT_EXIT, orphan)); /* the tree outlives its root */
	actor_send(&a, 1, OP_EXIT, 0);
	watch_await(s, LN_EVENT_EXIT, orphan);
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_adopt(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a;
	struct ln_sensor *s = watch_new();
	struct seen *e;
	char exe[256] = {0};
	pid_t child;
	int port = port_of(server);

	actor_start(&a);
	child = actor_ask(&a, 0, OP_FORK, 1);
	assert_true(actor_ask(&a, 1, OP_CONNECT, port) >= 0);
	assert_int_equal(s->ops->adopt(s, 3, a.pid, NULL), 0);
	watch_look(s);
	assert_int_equal(n_events, 3);
	assert_int_equal(events[0].ev.kind, LN_EVENT_ADOPT);
	assert_int_equal(events[0].ev.pid, a.pid);
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_string_equal(events[0].exe, exe);
	assert_int_equal(events[1].ev.kind, LN_EVENT_ADOPT);
	assert_int_equal(events[1].ev.pid, child);
	assert_int_equal(events[1].ev.exec.ppid, a.pid);
	e = watch_find(LN_EVENT_FLOW_OPEN, child);
	assert_non_null(e);
	assert_true(e->ev.flow.flow.existing);
	assert_int_equal(e->ev.agent, 3);
	assert_int_equal(e->ev.flow.flow.proto, IPPROTO_TCP);
	assert_int_equal(e->ev.flow.flow.remote.port, port);
	assert_true(actor_ask(&a, 0, OP_CONNECT, port) >= 0);
	watch_look(s);
	assert_int_equal(n_events, 4);
	assert_false(watch_find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow.existing);
	assert_int_not_equal(watch_find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow.id,
			     e->ev.flow.flow.id);
	actor_stop(&a);
	ln_sensor_free(&s);
}

/* The parent's socket is held by the child, too: it stays the parent's, and is one flow. */
/* A full accept queue swallows SYNs: the attempt hangs until it is given up. */
/* All flows of a process are closed before its EXIT. */
static void test_exit_comes_last(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a;
	struct ln_sensor *s;

	actor_start(&a);
	s = watch_track(&a);
	assert_true(actor_ask(&a, 0, OP_CONNECT, port_of(server)) >= 0);
	watch_look(s);
	kill(a.pid, SIGKILL);
	watch_await(s, LN_EVENT_EXIT, a.pid);
	assert_int_equal(n_events, 4);
	assert_int_equal(events[2].ev.kind, LN_EVENT_FLOW_CLOSE);
	assert_int_equal(events[3].ev.kind, LN_EVENT_EXIT);
	actor_stop(&a);
	ln_sensor_free(&s);
}

/* Socket diagnosis sees linnet's own namespace only. */
static void test_dead_leader(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a;
	struct ln_sensor *s;
	struct seen *e;

	actor_start(&a);
	s = watch_track(&a);
	actor_send(&a, 0, OP_LEADER_EXIT, 0);
	assert_true(actor_ask(&a, 0, OP_CONNECT, port_of(server)) >= 0);
	watch_await(s, LN_EVENT_FLOW_OPEN, a.pid);
	assert_int_equal(watch_count(LN_EVENT_EXIT), 0);
	actor_send(&a, 0, OP_EXIT, 3);
	e = watch_await(s, LN_EVENT_EXIT, a.pid);
	assert_int_equal(e->ev.exit.status, 3 << 8);
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_pid_reuse(void **state)
{
	struct actor a;
	struct ln_sensor *s;
	struct seen *fork_event, *exit_event;
	pid_t pid;

	actor_start(&a);
	s = watch_track(&a);
	pid = actor_ask(&a, 0, OP_FORK, 1);
	watch_look(s);
	assert_int_equal(n_events, 2);
	if (actor_ask(&a, 0, OP_REPLACE, 2) != pid) {
		actor_stop(&a);
		ln_sensor_free(&s);
		skip(); /* needs CAP_CHECKPOINT_RESTORE */
	}
	watch_look(s);
	assert_int_equal(n_events, 4);
	exit_event = &events[2];
	fork_event = &events[3];
	assert_int_equal(exit_event->ev.kind, LN_EVENT_EXIT);
	assert_int_equal(exit_event->ev.pid, pid);
	assert_int_equal(fork_event->ev.kind, LN_EVENT_FORK);
	assert_int_equal(fork_event->ev.fork.child, pid);
	actor_stop(&a);
	ln_sensor_free(&s);
}

/* Runs in a process of its own, because it gives up root and is then not dumpable any more, and
 * neither is what it forks: their descriptors belong to root. */
static int watch_unreadable(void)
{
	struct ln_sensor *s = NULL;
	struct actor a;
	size_t losses = 0;

	if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
		return 2;
	prctl(PR_SET_DUMPABLE, 0);
	actor_start(&a);
	n_events = 0;
	if (ln_sensor_poll_new(NULL, &s) < 0 || s->ops->track(s, 1, a.pid, -1, NULL) < 0)
		return 3;
	for (int i = 0; i < 2 * LN_POLL_RELIST; i++)
		s->ops->drain(s, watch_collect, NULL);
	for (size_t i = 0; i < n_events; i++)
		losses += events[i].ev.kind == LN_EVENT_LOST ? events[i].ev.lost.count : 0;
	actor_stop(&a);
	ln_sensor_free(&s);
	return losses == 1 ? 0 : 4;
}

static void test_unreadable_is_said(void **state)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(watch_unreadable());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_process_bound(void **state)
{
	struct ln_poll_tree *t = NULL;
	struct actor a;

	actor_start(&a);
	assert_int_equal(ln_poll_tree_new(2, NULL, &t), 0);
	assert_int_equal(ln_poll_tree_adopt(t, 1, a.pid, NULL), 0);
	for (int i = 1; i < CHANNELS; i++)
		actor_ask(&a, 0, OP_FORK, i);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ln_poll_tree_scan(t), 0);
		ln_poll_tree_settle(t);
	}
	assert_int_equal(ln_poll_tree_size(t), 2);
	assert_int_equal(ln_poll_tree_refused(t), 2); /* each once, not each scan */
	actor_stop(&a);
	ln_poll_tree_free(&t);
}

static void test_idle(void **state)
{
	struct ln_sensor *s;
	struct pollfd p;
	struct actor a;

	actor_start(&a);
	s = watch_track(&a);
	kill(a.pid, SIGKILL);
	watch_await(s, LN_EVENT_EXIT, a.pid);
	p = (struct pollfd){.fd = s->ops->fd(s), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 250), 0); /* nobody to watch: no more ticks */
	actor_stop(&a);
	ln_sensor_free(&s);
}

static void test_facts(void **state)
{
	static const char *const missing[] = {"UDP byte counts", "TCP outcome"};
	struct ln_sensor *s = watch_new();
	const struct ln_sensor_fact *facts;
	size_t n = s->ops->facts(s, &facts);

	assert_string_equal(s->ops->name, "poll");
	for (size_t i = 0; i < LN_ARRAY_SIZE(missing); i++) {
		size_t j = 0;

		while (j < n && strcmp(facts[j].name, missing[i]))
			j++;
		assert_true(j < n);
		assert_false(facts[j].works);
		assert_true(strlen(facts[j].note) > 0);
	}
	for (size_t i = 0; i < n; i++)
		assert_true(strlen(facts[i].note) < sizeof(facts[i].note) - 1); /* not cut */
	ln_sensor_free(&s);
	assert_null(s);
}

/* Seen is only what lasts; whatever is BLIND says what that means. */
static void test_channels(void **state)
{
	static const char *const seen[] = {"TCP connections that last", "connected UDP that lasts"};
	struct ln_sensor *s = watch_new();
	const struct ln_channel_fact *rows;
	size_t n = s->ops->channels(s, &rows), found = 0;

	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(rows[i].note) < sizeof(rows[i].note) - 1);
		assert_false(rows[i].refusable);
		if (rows[i].sight == LN_SIGHT_BLIND) {
			assert_true(strlen(rows[i].note) > 0);
			assert_string_equal(rows[i].by, "");
			continue;
		}
		assert_true(found < LN_ARRAY_SIZE(seen));
		assert_string_equal(rows[i].name, seen[found++]);
		assert_true(strlen(rows[i].by) > 0);
	}
	assert_int_equal(found, LN_ARRAY_SIZE(seen));
	assert_true(n > 15);
	ln_sensor_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_track_exec_exit),
	    cmocka_unit_test(test_track_refuses),
	    cmocka_unit_test(test_orphan),
	    cmocka_unit_test(test_orphan_by_session),
	    cmocka_unit_test(test_adopt),
	    cmocka_unit_test(test_exit_comes_last),
	    cmocka_unit_test(test_dead_leader),
	    cmocka_unit_test(test_pid_reuse),
	    cmocka_unit_test(test_unreadable_is_said),
	    cmocka_unit_test(test_process_bound),
	    cmocka_unit_test(test_idle),
	    cmocka_unit_test(test_facts),
	    cmocka_unit_test(test_channels),
	};

	return cmocka_run_group_tests_name("poll", tests, NULL, NULL);
}
