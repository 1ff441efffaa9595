/* SPDX-License-Identifier: Apache-2.0 */
/* Launch and supervision: the launcher, the agent and the monitor, with a sensor that is none. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "daemon_fixture.h"
#include "daemon/cgroup.h"
#include "daemon/files.h"
#include "daemon/launch.h"
#include "daemon/privileges.h"
#include "daemon/supervise.h"

/* A sensor whose only event source is the end of the process it was given. */
struct fake {
	struct ln_sensor base;
	uint32_t pid;
	int fd;
	bool leaves_child; /* tells of a child that outlives the agent */
};
static bool fake_leaves_child;

static int fake_track(struct ln_sensor *s, uint32_t agent, uint32_t pid, int cgroup_fd,
		      struct ln_error *err)
{
	struct fake *f = (struct fake *)s;

	f->pid = pid;
	f->fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return f->fd < 0 ? ln_error_set(err, errno, "no pidfd") : 0;
}

static int fake_fd(struct ln_sensor *s)
{
	return ((struct fake *)s)->fd;
}

static int fake_drain(struct ln_sensor *s, ln_event_fn fn, void *user)
{
	struct fake *f = (struct fake *)s;
	struct pollfd p = {.fd = f->fd, .events = POLLIN};
	struct ln_event ev = {.kind = LN_EVENT_FORK, .time_ns = 1, .agent = 1, .pid = f->pid};

	if (f->pid == 0 || poll(&p, 1, 0) <= 0)
		return 0;
	ev.fork.child = ABSENT_PID;
	if (f->leaves_child)
		fn(&ev, user);
	ev = (struct ln_event){.kind = LN_EVENT_EXIT, .time_ns = 2, .agent = 1, .pid = f->pid};
	fn(&ev, user);
	f->pid = 0;
	/* The descriptor stays readable: one that is not takes its place. */
	int silent[2];
	assert_int_equal(pipe2(silent, O_CLOEXEC), 0);
	dup2(silent[0], f->fd);
	return 0;
}

static size_t fake_facts(struct ln_sensor *s, const struct ln_sensor_fact **ret)
{
	static const struct ln_sensor_fact FACT = {.name = "everything", .note = "it is a fake"};

	*ret = &FACT;
	return 1;
}

static size_t fake_channels(struct ln_sensor *s, const struct ln_channel_fact **ret)
{
	static const struct ln_channel_fact ROWS[] = {
	    {"a way", LN_SIGHT_BLIND, false, "", "nobody looks"},
	    {"a seen way", LN_SIGHT_SEEN, false, "a hook", ""},
	    {"a prepared way", LN_SIGHT_PREPARATION, false, "a hook", ""},
	    {"another way", LN_SIGHT_BLIND, false, "", "nobody looks"},
	};

	*ret = ROWS;
	return LN_ARRAY_SIZE(ROWS);
}

static void fake_free(struct ln_sensor *s)
{
	close(((struct fake *)s)->fd);
	free(s);
}

static int fake_new(const struct ln_sensor_config *c, struct ln_error *err, struct ln_sensor **ret)
{
	static const struct ln_sensor_ops OPS = {
	    .name = "fake",
	    .track = fake_track,
	    .fd = fake_fd,
	    .dispatch = fake_drain,
	    .drain = fake_drain,
	    .facts = fake_facts,
	    .channels = fake_channels,
	    .free = fake_free,
	};
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->base.ops = &OPS;
	f->fd = -1;
	f->leaves_child = fake_leaves_child;
	*ret = &f->base;
	return 0;
}

static int broken_new(const struct ln_sensor_config *c, struct ln_error *err,
		      struct ln_sensor **ret)
{
	return ln_error_set(err, ENOSYS, "this sensor is broken");
}

static int stuck_new(const struct ln_sensor_config *c, struct ln_error *err, struct ln_sensor **ret)
{
	dprintf(STDERR_FILENO, "the sensor is stuck\n");
	return pause();
}

static const struct ln_sensor_kind STUCK = {.name = "fake", .cgroup = true, .make = stuck_new};
static const struct ln_sensor_kind FAKE = {.name = "fake", .make = fake_new};
static const struct ln_sensor_kind FAKE_CGROUP = {.name = "fake", .cgroup = true, .make = fake_new};
static const struct ln_sensor_kind BROKEN = {.name = "fake", .cgroup = true, .make = broken_new};

/* A `run` in a process of its own; its two outputs come through one pipe. */
struct launched {
	pid_t pid;
	int out;
	char text[16384]; /* all that was read so far */
	size_t len;
};

static void launch_command(struct launched *l, const struct ln_sensor_kind *kind,
			   const char *const *argv)
{
	int out[2];

	*l = (struct launched){0};
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	l->pid = fork();
	if (l->pid == 0) {
		struct ln_identity identity = {0};
		struct ln_launch_config c = {
		    .watch = {.policy = ln_policy_new_empty("unit"),
			      .no_policy = true,
			      .kind = kind,
			      .log_path = in_dir("launch.jsonl"),
			      .agent_uid = getuid(),
			      .cgroup_fd = -1},
		    .identity = &identity,
		    .argv = (char *const *)argv,
		};
		/* So that a sweep takes it for what it is. */
		prctl(PR_SET_NAME, "linnet");
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		_exit(ln_launch_run(&c));
	}
	assert_true(l->pid > 0);
	close(out[1]);
	l->out = out[0];
}

/* Reads until `word` has come, or the end. */
static bool await(struct launched *l, const char *word)
{
	while (!(word && strstr(l->text, word)) && l->len < sizeof(l->text) - 1) {
		ssize_t n = read(l->out, l->text + l->len, sizeof(l->text) - 1 - l->len);
		if (n <= 0)
			break;
		l->len += (size_t)n;
	}
	return word && strstr(l->text, word);
}

static int finish(struct launched *l)
{
	int status;

	await(l, NULL);
	close(l->out);
	assert_int_equal(waitpid(l->pid, &status, 0), l->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void launch(struct launched *l, const struct ln_sensor_kind *kind, const char *script)
{
	const char *argv[] = {"sh", "-c", script, NULL};

	launch_command(l, kind, argv);
}

static int run_shell(const struct ln_sensor_kind *kind, struct launched *l, const char *script)
{
	launch(l, kind, script);
	return finish(l);
}

static int run_word(struct launched *l, const char *word)
{
	const char *argv[] = {word, NULL};

	launch_command(l, &FAKE, argv);
	return finish(l);
}

/* The child of `parent` whose name in /proc/PID/comm is `comm`; 0 none. */
static pid_t find_child(pid_t parent, const char *comm)
{
	char path[64], *text = NULL, *name = NULL;
	size_t len;
	pid_t found = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	assert_int_equal(ln_file_read(path, 4096, &text, &len), 0);
	for (char *at = text; *at && !found;) {
		long pid = strtol(at, &at, 10);
		snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
		if (ln_file_read(path, 64, &name, &len) == 0 && len > 0) {
			name[len - 1] = '\0';
			found = strcmp(name, comm) == 0 ? (pid_t)pid : 0;
			free(name);
		}
		at += strspn(at, " \n");
	}
	free(text);
	return found;
}

static void status_field(pid_t pid, const char *field, char *ret, size_t size)
{
	char path[64], *text = NULL;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	assert_int_equal(ln_file_read(path, 65536, &text, &len), 0);
	const char *at = strstr(text, field);
	assert_non_null(at);
	at += strlen(field);
	at += strspn(at, ":\t ");
	snprintf(ret, size, "%.*s", (int)strcspn(at, "\n"), at);
	free(text);
}

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
	};

	/* sudo's variables would change whom `run` starts the agent as. */
	unsetenv("SUDO_UID");
	/* A directory that cannot be searched would make "not found" a "cannot". */
	setenv("PATH", "/usr/bin:/bin", 1);
	return cmocka_run_group_tests_name("daemon", tests, make_dir, remove_dir);
}
