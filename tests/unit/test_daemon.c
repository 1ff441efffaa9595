/* SPDX-License-Identifier: Apache-2.0 */
/* Launch and supervision: the launcher, the agent and the monitor, with a sensor that is none. */
#include <errno.h>
#include "launch_fixture.h"
#include "daemon/cgroup.h"
#include "daemon/privileges.h"

/* Whether a cgroup of the launcher `pid` is beside where ours would be. */
static bool has_cgroup(pid_t pid)
{
	struct ln_cgroup own = LN_CGROUP_NONE;
	char name[64];

	if (geteuid() != 0 || ln_cgroup_make(getpid(), NULL, &own) < 0)
		return false;
	snprintf(name, sizeof(name), "linnet-%d", (int)pid);
	bool found = faccessat(own.parent_fd, name, F_OK, 0) == 0;
	assert_true(ln_cgroup_remove(&own, 0));
	return found;
}

static void run_returns_the_status_of_the_agent(void **state)
{
	struct launched l;

	assert_int_equal(run_shell(&FAKE, &l, "exit 0"), 0);
	assert_non_null(strstr(l.text, "BLIND here: a way; another way. Missing: everything (see"));
	assert_int_equal(run_shell(&FAKE, &l, "exit 3"), 3);
	assert_int_equal(run_shell(&FAKE, &l, "kill -9 $$"), 128 + SIGKILL);
	assert_int_equal(run_shell(&FAKE, &l, "kill -TERM $$"), 128 + SIGTERM);
	assert_int_equal(run_word(&l, "/nowhere/command"), LN_EXIT_NOT_FOUND);
	assert_null(strstr(l.text, "summary"));
	assert_int_equal(run_word(&l, "linnet-no-such"), LN_EXIT_NOT_FOUND);
	assert_non_null(strstr(l.text, "cannot run linnet-no-such: command not found"));
	assert_int_equal(run_word(&l, "/etc/passwd"), LN_EXIT_CANNOT_RUN);
}

static void a_failed_start_runs_nothing(void **state)
{
	struct launched l;

	assert_int_equal(run_shell(&BROKEN, &l, "echo the agent ran"), LN_EXIT_FAILED);
	assert_non_null(strstr(l.text, "this sensor is broken"));
	assert_null(strstr(l.text, "the agent ran"));
	assert_false(has_cgroup(l.pid));
}

static void a_start_can_be_broken_off(void **state)
{
	struct launched l;

	launch(&l, &STUCK, "echo the agent ran");
	assert_true(await(&l, "the sensor is stuck\n"));
	kill(l.pid, SIGINT);
	assert_int_equal(finish(&l), LN_EXIT_SIGNAL + SIGINT);
	assert_null(strstr(l.text, "the agent ran"));
	assert_false(has_cgroup(l.pid));
}

/* Signals, privileges and descriptors of the agent are those that linnet was started with. */
static void the_agent_is_left_alone(void **state)
{
	static const char *const FIELDS[] = {"SigBlk", "SigIgn", "CapEff",
					     "CapPrm", "CapBnd", "NoNewPrivs"};
	struct launched l;
	char expected[128], line[160];

	assert_int_equal(run_shell(&FAKE, &l, "cat /proc/self/status; ls -l /proc/self/fd"), 0);
	for (size_t i = 0; i < LN_ARRAY_SIZE(FIELDS); i++) {
		status_field(getpid(), FIELDS[i], expected, sizeof(expected));
		snprintf(line, sizeof(line), "%s:\t%s\n", FIELDS[i], expected);
		assert_non_null(strstr(l.text, line));
	}
	assert_null(strstr(l.text, "-> /tmp/linnet-unit"));
	assert_null(strstr(l.text, "signalfd"));
}

static void signals_reach_the_agent(void **state)
{
	struct launched l;

	launch(&l, &FAKE, "trap 'exit 9' TERM; echo is up; while :; do :; done");
	assert_true(await(&l, "is up\n"));
	kill(l.pid, SIGTERM);
	assert_int_equal(finish(&l), 9);
}

/* Plays the shell: a session with a terminal of its own. */
static int shell_sees_stop(const char *terminal)
{
	struct launched l;
	int status;

	if (setsid() < 0 || open(terminal, O_RDWR) < 0)
		return 1;
	launch(&l, &FAKE, "kill -STOP $$; exit 6");
	if (waitpid(l.pid, &status, WUNTRACED) != l.pid)
		return 2;
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
		return 3;
	kill(l.pid, SIGCONT);
	return finish(&l) == 6 ? 0 : 4;
}

static void a_stop_of_the_agent_stops_the_launcher(void **state)
{
	int status, terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0)
		skip();
	pid_t child = fork();
	if (child == 0)
		_exit(shell_sees_stop(ptsname(terminal)));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(terminal);
}

static void the_end_of_the_monitor_is_told(void **state)
{
	struct launched l;

	launch(&l, &FAKE, "trap 'exit 5' USR1; echo is up; while :; do :; done");
	assert_true(await(&l, "is up\n"));
	pid_t monitor = find_child(l.pid, "linnet-monitor");
	assert_true(monitor > 0);
	kill(monitor, SIGKILL);
	assert_true(await(&l, "[!] WATCH ENDED\n"));
	assert_non_null(strstr(l.text, "killed by signal 9"));
	/* The agent goes on, and so does its launcher. */
	kill(l.pid, SIGUSR1);
	assert_int_equal(finish(&l), 5);
}

static void background_processes_keep_the_watch_open(void **state)
{
	struct launched l;

	fake_leaves_child = true;
	launch(&l, &FAKE, "exit 4");
	fake_leaves_child = false;
	assert_true(await(&l, "1 process of the agent is still running"));
	kill(l.pid, SIGINT);
	assert_int_equal(finish(&l), 4);
	assert_non_null(strstr(l.text, "summary"));
	assert_null(strstr(l.text, "WATCH ENDED"));
}

static void both_processes_of_linnet_lose_their_privileges(void **state)
{
	struct launched l;
	char text[128];

	if (geteuid() != 0)
		skip();
	launch(&l, &FAKE_CGROUP, "trap 'exit 0' TERM; echo is up; while :; do :; done");
	assert_true(await(&l, "is up\n"));
	pid_t monitor = find_child(l.pid, "linnet-monitor");
	assert_true(monitor > 0);
	static const char *const SETS[] = {"CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"};
	for (size_t i = 0; i < LN_ARRAY_SIZE(SETS); i++) {
		status_field(monitor, SETS[i], text, sizeof(text));
		assert_string_equal(text, "0000000000000000");
	}
	status_field(monitor, "NoNewPrivs", text, sizeof(text));
	assert_string_equal(text, "1");
	status_field(monitor, "Uid", text, sizeof(text));
	assert_true(strtol(text, NULL, 10) > 0);
	status_field(monitor, "Groups", text, sizeof(text));
	assert_string_equal(text, "");
	/* CAP_DAC_OVERRIDE and CAP_KILL */
	status_field(l.pid, "CapEff", text, sizeof(text));
	assert_string_equal(text, "0000000000000022");
	kill(l.pid, SIGTERM);
	assert_int_equal(finish(&l), 0);
}

static void the_cgroup_goes_with_the_agent(void **state)
{
	struct launched l;
	int root = -1;

	if (geteuid() != 0 || ln_cgroup_root(NULL, &root) < 0)
		skip();
	close(root);
	/* A cgroup that the agent makes inside its own goes too. */
	assert_int_equal(run_shell(&FAKE_CGROUP, &l,
				   "grep ^0:: /proc/self/cgroup; "
				   "d=$(find /sys/fs/cgroup -maxdepth 4 -name linnet-$PPID "
				   "-type d | head -n 1); [ -z \"$d\" ] || mkdir $d/inner"),
			 0);
	char name[64];
	snprintf(name, sizeof(name), "/linnet-%d\n", (int)l.pid);
	assert_non_null(strstr(l.text, name));
	assert_false(has_cgroup(l.pid));
}

static void a_cgroup_that_somebody_removed_is_empty(void **state)
{
	struct launched l;
	int root = -1;

	if (geteuid() != 0 || ln_cgroup_root(NULL, &root) < 0)
		skip();
	close(root);
	assert_int_equal(run_shell(&FAKE_CGROUP, &l,
				   "d=$(find /sys/fs/cgroup -maxdepth 4 -name linnet-$PPID "
				   "-type d | head -n 1); [ -z \"$d\" ] || "
				   "{ echo $$ >$d/../cgroup.procs && rmdir $d && echo removed; }"),
			 0);
	assert_non_null(strstr(l.text, "removed"));
	assert_false(has_cgroup(l.pid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(run_returns_the_status_of_the_agent),
	    cmocka_unit_test(a_failed_start_runs_nothing),
	    cmocka_unit_test(a_start_can_be_broken_off),
	    cmocka_unit_test(the_agent_is_left_alone),
	    cmocka_unit_test(a_stop_of_the_agent_stops_the_launcher),
	    cmocka_unit_test(signals_reach_the_agent),
	    cmocka_unit_test(the_end_of_the_monitor_is_told),
	    cmocka_unit_test(background_processes_keep_the_watch_open),
	    cmocka_unit_test(both_processes_of_linnet_lose_their_privileges),
	    cmocka_unit_test(the_cgroup_goes_with_the_agent),
	    cmocka_unit_test(a_cgroup_that_somebody_removed_is_empty),
	};

	/* sudo's variables would change whom `run` starts the agent as. */
	unsetenv("SUDO_UID");
	/* A directory that cannot be searched would make "not found" a "cannot". */
	setenv("PATH", "/usr/bin:/bin", 1);
	return cmocka_run_group_tests_name("daemon", tests, make_dir, remove_dir);
}
