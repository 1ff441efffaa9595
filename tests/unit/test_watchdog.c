/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher and the monitor look after each other, under `run` and under `attach`. */
#include <errno.h>
#include <sys/socket.h>
#include "launch_fixture.h"
#include "daemon/loop.h"
#include "daemon/supervise.h"

static void a_stopped_monitor_goes_on(void **state)
{
	struct launched l;

	launch(&l, &FAKE, "trap 'exit 5' USR1; echo is up; while :; do :; done");
	assert_true(await(&l, "is up\n"));
	pid_t monitor = find_child(l.pid, "linnet-monitor");
	assert_true(monitor > 0);
	kill(monitor, SIGSTOP);
	assert_true(await(&l, "[!] LINNET TAMPERED WITH\n"));
	assert_true(await(&l, "the monitor was stopped by a signal and goes on\n"));
	kill(l.pid, SIGUSR1);
	assert_int_equal(finish(&l), 5);
	assert_non_null(strstr(l.text, "summary"));
	assert_null(strstr(l.text, "WATCH ENDED"));
}

static void a_stopped_launcher_is_told(void **state)
{
	struct launched l;

	launch(&l, &FAKE, "trap 'exit 5' USR1; echo is up; while :; do :; done");
	assert_true(await(&l, "is up\n"));
	kill(l.pid, SIGSTOP);
	assert_true(await(&l, "the launcher was stopped by a signal"));
	kill(l.pid, SIGCONT);
	kill(l.pid, SIGUSR1);
	assert_int_equal(finish(&l), 5);
}

/* A monitor that is ready and then never answers. */
static pid_t start_mute_monitor(int ctl, int other_end)
{
	const char ready = LN_CTL_READY;
	pid_t pid = fork();

	if (pid == 0) {
		close(other_end);
		_exit(send(ctl, &ready, 1, 0) == 1 ? pause() : 1);
	}
	return pid;
}

static int supervise_mute_monitor(int out)
{
	struct ln_supervisor s;
	struct ln_error err = {0};
	int ctl[2];
	sigset_t mask;

	dup2(out, STDERR_FILENO);
	ln_supervise_mask(&mask);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl) < 0 ||
	    ln_supervise_init(&s, ctl[0], -1, &err) < 0)
		return 1;
	s.monitor = start_mute_monitor(ctl[1], ctl[0]);
	s.agent_name = "unit";
	dprintf(out, "monitor %d\n", (int)s.monitor);
	close(ctl[1]);
	ln_supervise_run(&s);
	ln_supervise_done(&s);
	return 0;
}

/* Whoever stops it faster than it can speak does not silence it. */
static void a_monitor_that_cannot_speak_is_spoken_for(void **state)
{
	struct launched l = {0};
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	l.out = out[0];
	l.pid = fork();
	if (l.pid == 0)
		_exit(supervise_mute_monitor(out[1]));
	close(out[1]);
	assert_true(await(&l, "\n"));
	pid_t monitor = (pid_t)strtol(l.text + strlen("monitor "), NULL, 10);
	kill(monitor, SIGSTOP);
	assert_true(await(&l, "was stopped by a signal (1 time) and has not answered since"));
	assert_non_null(strstr(l.text, "[!] LINNET TAMPERED WITH\n"));
	kill(monitor, SIGKILL);
	assert_int_equal(finish(&l), 0);
	assert_non_null(strstr(l.text, "[!] WATCH ENDED\n"));
}

/* An `attach` to this process, in a process of its own. */
static void attach(struct launched *l, pid_t target)
{
	const pid_t pids[] = {target};
	int out[2];

	*l = (struct launched){0};
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	l->pid = fork();
	if (l->pid == 0) {
		const struct ln_watch_config c = {.policy = ln_policy_new_empty("unit"),
						  .no_policy = true,
						  .kind = &FAKE,
						  .log_path = in_dir("attach.jsonl"),
						  .agent_uid = getuid(),
						  .attach = true,
						  .pids = pids,
						  .n_pids = 1,
						  .cgroup_fd = -1};
		prctl(PR_SET_NAME, "linnet");
		dup2(out[1], STDERR_FILENO);
		_exit(ln_launch_attach(&c, 86));
	}
	close(out[1]);
	l->out = out[0];
}

static void an_attach_ends_by_a_signal(void **state)
{
	static const int SIGNALS[] = {SIGINT, SIGTERM};
	struct launched l;

	for (size_t i = 0; i < LN_ARRAY_SIZE(SIGNALS); i++) {
		attach(&l, getpid());
		assert_true(await(&l, "watching unit"));
		kill(l.pid, SIGNALS[i]);
		assert_int_equal(finish(&l), 0);
		assert_non_null(strstr(l.text, "summary"));
		assert_null(strstr(l.text, "[!]"));
	}
}

static void the_launcher_of_an_attach_tells_the_end_of_the_monitor(void **state)
{
	struct launched l;

	attach(&l, getpid());
	assert_true(await(&l, "watching unit"));
	pid_t monitor = find_child(l.pid, "linnet-monitor");
	assert_true(monitor > 0);
	kill(monitor, SIGSTOP);
	assert_true(await(&l, "the monitor was stopped by a signal and goes on\n"));
	kill(monitor, SIGKILL);
	assert_int_equal(finish(&l), LN_EXIT_FAILED);
	assert_non_null(strstr(l.text, "[!] WATCH ENDED\n"));
	/* One that cannot begin says why, and that is all. */
	attach(&l, ABSENT_PID);
	assert_int_equal(finish(&l), LN_EXIT_FAILED);
	assert_non_null(strstr(l.text, "there is none"));
	assert_null(strstr(l.text, "[!]"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stopped_monitor_goes_on),
	    cmocka_unit_test(a_stopped_launcher_is_told),
	    cmocka_unit_test(a_monitor_that_cannot_speak_is_spoken_for),
	    cmocka_unit_test(an_attach_ends_by_a_signal),
	    cmocka_unit_test(the_launcher_of_an_attach_tells_the_end_of_the_monitor),
	};

	/* sudo's variables would change whom `run` starts the agent as. */
	unsetenv("SUDO_UID");
	return cmocka_run_group_tests_name("watchdog", tests, make_dir, remove_dir);
}
