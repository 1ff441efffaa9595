/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon does to its host: cgroups, user ids, files. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "daemon_fixture.h"
#include "daemon/cgroup.h"
#include "daemon/files.h"
#include "daemon/identity.h"
#include "daemon/privileges.h"
#include "daemon/reach.h"

static void sweep_takes_what_the_dead_left(void **state)
{
	struct ln_cgroup own = LN_CGROUP_NONE, dead = LN_CGROUP_NONE;
	struct ln_error err = {0};

	if (geteuid() != 0 || ln_cgroup_make(getpid(), &err, &own) < 0)
		skip();
	assert_int_equal(ln_cgroup_make(ABSENT_PID, &err, &dead), 0);
	assert_int_equal(mkdirat(dead.fd, "inner", 0755), 0);
	assert_int_equal(mkdirat(own.fd, "linnet-12x", 0755), 0);
	/* As long as a process is in it, nothing of it goes. */
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(ln_cgroup_enter(&dead, child, &err), 0);
	ln_cgroup_sweep(dead.parent_fd);
	assert_int_equal(faccessat(dead.fd, "inner", F_OK, 0), 0);
	int events = ln_cgroup_open_events(&dead);
	assert_int_equal(ln_cgroup_populated(events), 1);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	while (ln_cgroup_populated(events) == 1) {
		struct pollfd p = {.fd = events, .events = POLLPRI};
		assert_int_equal(poll(&p, 1, 5000), 1);
	}
	close(events);
	/* Nobody has this PID here, but somebody holds the cgroup; this process is no linnet, but
	 * it does, too. */
	ln_cgroup_sweep(dead.parent_fd);
	assert_int_equal(faccessat(dead.parent_fd, dead.name, F_OK, 0), 0);
	assert_int_equal(faccessat(own.parent_fd, own.name, F_OK, 0), 0);
	ln_closep(&dead.fd);
	ln_closep(&own.fd);
	assert_true(ln_cgroup_sweep(dead.parent_fd) >= 2);
	assert_int_equal(faccessat(dead.parent_fd, dead.name, F_OK, 0), -1);
	assert_int_equal(faccessat(own.parent_fd, own.name, F_OK, 0), -1);
	ln_cgroup_close(&dead);
	ln_cgroup_close(&own);
}

static void dropped_privileges_do_not_come_back(void **state)
{
	uid_t uid;
	gid_t gid;
	struct ln_error err = {0};
	int status;

	if (geteuid() != 0)
		skip();
	assert_int_equal(ln_privileges_choose(0, &err, &uid, &gid), 0);
	assert_true(uid != 0);
	pid_t child = fork();
	if (child == 0) {
		if (ln_privileges_drop(uid, gid, false, &err) < 0)
			_exit(1);
		if (setuid(0) == 0 || open("/proc/1/environ", O_RDONLY) >= 0)
			_exit(2);
		_exit(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* Whoever is not root cannot drop to another user: it must be an error. */
	child = fork();
	if (child == 0) {
		if (setuid(uid) < 0)
			_exit(1);
		_exit(ln_privileges_drop(uid + 1, gid, false, &err) < 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void the_monitor_never_has_the_uid_of_the_agent(void **state)
{
	uid_t uid, other;
	gid_t gid;
	struct ln_error err = {0};

	assert_int_equal(ln_privileges_choose(0, &err, &uid, &gid), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(ln_privileges_choose(uid, &err, &other, &gid), 0);
		assert_true(other != uid && other != 0);
	}
}

static void sudo_names_the_agents_user(void **state)
{
	static const char *const WRONG[] = {"", "-1", " 65534", "65534x", "4294967295", "0"};
	struct ln_identity id = {0};
	struct ln_error err = {0};

	if (geteuid() != 0) {
		assert_int_equal(ln_identity_find("root", &err, &id), -EPERM);
		return;
	}
	for (size_t i = 0; i < LN_ARRAY_SIZE(WRONG); i++) {
		setenv("SUDO_UID", WRONG[i], 1);
		assert_int_equal(ln_identity_find(NULL, &err, &id), 0);
		assert_false(id.change);
		ln_identity_done(&id);
	}
	setenv("SUDO_UID", "65534", 1);
	assert_int_equal(ln_identity_find(NULL, &err, &id), 0);
	assert_true(id.change);
	assert_int_equal(id.uid, 65534);
	ln_identity_done(&id);
	/* A number without an account takes the group that sudo tells. */
	setenv("SUDO_UID", "3999999999", 1);
	setenv("SUDO_GID", "3999999998", 1);
	assert_int_equal(ln_identity_find(NULL, &err, &id), 0);
	assert_true(id.change && id.uid == 3999999999U && id.gid == 3999999998U && !id.name);
	ln_identity_done(&id);
	unsetenv("SUDO_UID");
	unsetenv("SUDO_GID");
	assert_int_equal(ln_identity_find("no-such-user-here", &err, &id), -ENOENT);
	assert_int_equal(ln_identity_find("root", &err, &id), 0);
	assert_true(id.change && id.uid == 0);
	ln_identity_done(&id);
}

static void hosts_grant_only_what_the_agent_cannot_write(void **state)
{
	const struct ln_agent_file roots = {.owner = 0, .mode = S_IFREG | 0644};
	const struct ln_agent_file shared = {.owner = 0, .mode = S_IFREG | 0664};
	const struct ln_agent_file open_to_all = {.owner = 0, .mode = S_IFREG | 0646};
	const struct ln_agent_file foreign = {.mode = S_IFREG | 0644, .foreign = true};
	const struct ln_agent_file own_mounts = {.mode = S_IFREG | 0644, .own_mounts = true};
	const struct ln_agent_file users = {.owner = 1000, .mode = S_IFREG | 0644};

	assert_true(ln_agent_file_trusted(&roots, 1000));
	assert_false(ln_agent_file_trusted(&roots, 0));
	assert_false(ln_agent_file_trusted(&shared, 1000));
	assert_false(ln_agent_file_trusted(&open_to_all, 1000));
	assert_false(ln_agent_file_trusted(&users, 1000));
	assert_false(ln_agent_file_trusted(&users, 1001));
	assert_false(ln_agent_file_trusted(&foreign, 1000));
	assert_true(ln_agent_file_forgeable(&users, 1000));
	assert_true(ln_agent_file_forgeable(&open_to_all, 1000));
	assert_true(ln_agent_file_forgeable(&foreign, 1000));
	assert_false(ln_agent_file_forgeable(&own_mounts, 1000));
	assert_true(ln_agent_file_forgeable(&own_mounts, 0));
	assert_false(ln_agent_file_forgeable(&users, 1001));
	assert_false(ln_agent_file_forgeable(&roots, 1000));
	assert_false(ln_agent_file_forgeable(&roots, 0));
}

static void files_of_the_agent_are_bounded(void **state)
{
	struct ln_agent_file f = {0};
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", in_dir("hosts"));
	write_file(path, "1.2.3.4 one\n5.6.7.8 two\n", 0644);
	assert_int_equal(ln_agent_file_read(0, path, 24, &f), 0);
	assert_false(f.cut);
	assert_int_equal(f.len, 24);
	ln_agent_file_done(&f);
	/* What is cut ends with a whole line. */
	assert_int_equal(ln_agent_file_read(0, path, 20, &f), 0);
	assert_true(f.cut);
	assert_string_equal(f.text, "1.2.3.4 one\n");
	ln_agent_file_done(&f);
	/* The same through the root directory of a process. */
	assert_int_equal(ln_agent_file_read(getpid(), path, 100, &f), 0);
	assert_int_equal(f.len, 24);
	ln_agent_file_done(&f);
	/* A pipe would hold us up, a directory has no text. */
	snprintf(path, sizeof(path), "%s", in_dir("pipe"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(ln_agent_file_read(0, path, 100, &f), -EINVAL);
	assert_int_equal(ln_agent_file_read(0, dir, 100, &f), -EINVAL);
	char *text;
	size_t len;
	assert_int_equal(ln_file_read(in_dir("hosts"), 10, &text, &len), -EFBIG);
}

static void the_log_is_nobody_elses(void **state)
{
	struct ln_error err = {0};
	char path[PATH_MAX], link[PATH_MAX];
	struct stat st;
	int fd;

	assert_int_equal(ln_log_file_open(in_dir("log.jsonl"), "unit", &err, path, &fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(fcntl(fd, F_GETFL) & O_APPEND);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	snprintf(link, sizeof(link), "%s", in_dir("link.jsonl"));
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(ln_log_file_open(link, "unit", &err, path, &fd), -ELOOP);
	assert_non_null(strstr(err.text, "symbolic link"));
}

static void the_default_log_is_named_after_the_agent(void **state)
{
	struct ln_error err = {0};
	char path[PATH_MAX];
	int fd, status;

	/* Root's directory is the system's: as a user, in the test's own. */
	pid_t child = fork();
	if (child == 0) {
		setenv("XDG_STATE_HOME", in_dir("state/deep"), 1);
		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(1);
		if (ln_log_file_open(NULL, "../a b\n", &err, path, &fd) < 0)
			_exit(2);
		_exit(strstr(path, "/state/deep/linnet/_._a_b_-20") ? 0 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void the_ids_of_a_process_are_read(void **state)
{
	struct ln_identity id = {0};
	struct ln_error err = {0};
	gid_t groups[LN_IDENTITY_GROUPS_MAX];

	assert_int_equal(ln_identity_of(getpid(), &err, &id), 0);
	assert_int_equal(id.uid, geteuid());
	assert_int_equal(id.gid, getegid());
	int n = getgroups(LN_ARRAY_SIZE(groups), groups);
	assert_int_equal(id.n_groups, n);
	for (int i = 0; i < n; i++)
		assert_int_equal(id.groups[i], groups[i]);
	assert_int_equal(ln_identity_of(ABSENT_PID, &err, &id), -ESRCH);
	assert_non_null(strstr(err.text, "there is no process 4194305"));
}

static void what_the_agents_user_can_reach_is_known(void **state)
{
	const struct ln_identity agent = {.uid = 65534, .gid = 65534, .n_groups = 1, .groups = {4}};
	char policy[PATH_MAX], own[PATH_MAX], log[PATH_MAX + 16];
	struct ln_reach reach;

	if (geteuid() != 0)
		skip();
	/* The directory is sticky: root's file in it stays. */
	snprintf(policy, sizeof(policy), "%s", in_dir("reach.yaml"));
	write_file(policy, "x", 0640);
	snprintf(log, sizeof(log), "%s", in_dir("reach.jsonl"));
	write_file(log, "x", 0600);
	assert_int_equal(ln_reach_find(&agent, policy, log, &reach), 0);
	assert_false(reach.policy_read || reach.log_read || reach.log_write || reach.log_replace);
	/* By one of its groups. */
	assert_int_equal(chown(policy, 0, 4), 0);
	assert_int_equal(chmod(log, 0604), 0);
	assert_int_equal(ln_reach_find(&agent, policy, log, &reach), 0);
	assert_true(reach.policy_read && reach.log_read);
	assert_false(reach.log_write || reach.log_replace);
	/* A directory of its own above root's. */
	snprintf(own, sizeof(own), "%s", in_dir("own"));
	assert_int_equal(mkdir(own, 0700), 0);
	snprintf(log, sizeof(log), "%s/roots", own);
	assert_int_equal(mkdir(log, 0700), 0);
	snprintf(log, sizeof(log), "%s/roots/log", own);
	write_file(log, "x", 0600);
	assert_int_equal(ln_reach_find(&agent, NULL, log, &reach), 0);
	assert_false(reach.log_replace);
	assert_int_equal(chown(own, 65534, 65534), 0);
	assert_int_equal(ln_reach_find(&agent, NULL, log, &reach), 0);
	assert_true(reach.log_replace && !reach.policy_read && !reach.log_write);
	assert_int_equal(ln_reach_find(&agent, NULL, in_dir("absent"), &reach), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sweep_takes_what_the_dead_left),
	    cmocka_unit_test(dropped_privileges_do_not_come_back),
	    cmocka_unit_test(the_monitor_never_has_the_uid_of_the_agent),
	    cmocka_unit_test(sudo_names_the_agents_user),
	    cmocka_unit_test(hosts_grant_only_what_the_agent_cannot_write),
	    cmocka_unit_test(files_of_the_agent_are_bounded),
	    cmocka_unit_test(the_log_is_nobody_elses),
	    cmocka_unit_test(the_ids_of_a_process_are_read),
	    cmocka_unit_test(what_the_agents_user_can_reach_is_known),
	    cmocka_unit_test(the_default_log_is_named_after_the_agent),
	};

	/* sudo's variables would change whom the agent is to be. */
	unsetenv("SUDO_UID");
	return cmocka_run_group_tests_name("daemon_host", tests, make_dir, remove_dir);
}
