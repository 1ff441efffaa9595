/* SPDX-License-Identifier: Apache-2.0 */
/* linnet's processes in a test: a sensor that is none, and a `run` whose output can be awaited. */
#ifndef LINNET_TESTS_LAUNCH_FIXTURE_H
#define LINNET_TESTS_LAUNCH_FIXTURE_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "daemon_fixture.h"
#include "daemon/files.h"
#include "daemon/launch.h"

/* A sensor whose only event source is the end of the process it was given. */
struct fake {
	struct ln_sensor base;
	uint32_t pid;
	int fd;
	bool leaves_child; /* tells of a child that outlives the agent */
};
static bool fake_leaves_child;

LN_UNUSED static int fake_track(struct ln_sensor *s, uint32_t agent, uint32_t pid, int cgroup_fd,
				struct ln_error *err)
{
	struct fake *f = (struct fake *)s;

	f->pid = pid;
	f->fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return f->fd < 0 ? ln_error_set(err, errno, "no pidfd") : 0;
}

LN_UNUSED static int fake_adopt(struct ln_sensor *s, uint32_t agent, uint32_t pid,
				struct ln_error *err)
{
	return fake_track(s, agent, pid, -1, err);
}

LN_UNUSED static int fake_fd(struct ln_sensor *s)
{
	return ((struct fake *)s)->fd;
}

LN_UNUSED static int fake_drain(struct ln_sensor *s, ln_event_fn fn, void *user)
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

LN_UNUSED static size_t fake_facts(struct ln_sensor *s, const struct ln_sensor_fact **ret)
{
	static const struct ln_sensor_fact FACT = {.name = "everything", .note = "it is a fake"};

	*ret = &FACT;
	return 1;
}

LN_UNUSED static size_t fake_channels(struct ln_sensor *s, const struct ln_channel_fact **ret)
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

LN_UNUSED static void fake_free(struct ln_sensor *s)
{
	close(((struct fake *)s)->fd);
	free(s);
}

LN_UNUSED static int fake_new(const struct ln_sensor_config *c, struct ln_error *err,
			      struct ln_sensor **ret)
{
	static const struct ln_sensor_ops OPS = {
	    .name = "fake",
	    .track = fake_track,
	    .adopt = fake_adopt,
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

LN_UNUSED static int broken_new(const struct ln_sensor_config *c, struct ln_error *err,
				struct ln_sensor **ret)
{
	return ln_error_set(err, ENOSYS, "this sensor is broken");
}

LN_UNUSED static int stuck_new(const struct ln_sensor_config *c, struct ln_error *err,
			       struct ln_sensor **ret)
{
	dprintf(STDERR_FILENO, "the sensor is stuck\n");
	return pause();
}

LN_UNUSED static const struct ln_sensor_kind STUCK = {
    .name = "fake", .cgroup = true, .make = stuck_new};
LN_UNUSED static const struct ln_sensor_kind FAKE = {.name = "fake", .make = fake_new};
LN_UNUSED static const struct ln_sensor_kind FAKE_CGROUP = {
    .name = "fake", .cgroup = true, .make = fake_new};
LN_UNUSED static const struct ln_sensor_kind BROKEN = {
    .name = "fake", .cgroup = true, .make = broken_new};

/* A `run` in a process of its own; its two outputs come through one pipe. */
struct launched {
	pid_t pid;
	int out;
	char text[16384]; /* all that was read so far */
	size_t len;
};

LN_UNUSED static void launch_command(struct launched *l, const struct ln_sensor_kind *kind,
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
LN_UNUSED static bool await(struct launched *l, const char *word)
{
	while (!(word && strstr(l->text, word)) && l->len < sizeof(l->text) - 1) {
		ssize_t n = read(l->out, l->text + l->len, sizeof(l->text) - 1 - l->len);
		if (n <= 0)
			break;
		l->len += (size_t)n;
	}
	return word && strstr(l->text, word);
}

LN_UNUSED static int finish(struct launched *l)
{
	int status;

	await(l, NULL);
	close(l->out);
	assert_int_equal(waitpid(l->pid, &status, 0), l->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

LN_UNUSED static void launch(struct launched *l, const struct ln_sensor_kind *kind,
			     const char *script)
{
	const char *argv[] = {"sh", "-c", script, NULL};

	launch_command(l, kind, argv);
}

LN_UNUSED static int run_shell(const struct ln_sensor_kind *kind, struct launched *l,
			       const char *script)
{
	launch(l, kind, script);
	return finish(l);
}

LN_UNUSED static int run_word(struct launched *l, const char *word)
{
	const char *argv[] = {word, NULL};

	launch_command(l, &FAKE, argv);
	return finish(l);
}

/* The child of `parent` whose name in /proc/PID/comm is `comm`; 0 none. */
LN_UNUSED static pid_t find_child(pid_t parent, const char *comm)
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

LN_UNUSED static void status_field(pid_t pid, const char *field, char *ret, size_t size)
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

#endif
