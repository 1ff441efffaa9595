/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "base/macros.h"
#include "reach.h"

enum {
	POLICY_READ = 1,
	LOG_READ = 2,
	LOG_WRITE = 4,
	LOG_REPLACE = 8,
	POLICY_WRITE = 16,
	POLICY_REPLACE = 32,
	UNKNOWN = 128
};

/* In a sticky directory (/tmp) only the owners of a name, and of the directory, may take it away.
 */
static bool owns_name(const char *path, const char *dir, uid_t uid)
{
	struct stat d, entry;

	if (stat(dir, &d) < 0)
		return false;
	return !(d.st_mode & S_ISVTX) || d.st_uid == uid ||
	       (lstat(path, &entry) == 0 && entry.st_uid == uid);
}

/* `path` is absolute and without links; it is cut to "". */
static bool can_replace(char *path, uid_t uid)
{
	char dir[PATH_MAX];

	for (char *slash; (slash = strrchr(path, '/')); *slash = '\0') {
		size_t n = LN_MAX((size_t)(slash - path), (size_t)1);

		memcpy(dir, path, n);
		dir[n] = '\0';
		if (access(dir, W_OK | X_OK) == 0 && owns_name(path, dir, uid))
			return true;
	}
	return false;
}

/* In a process of its own, which then ends. */
static int look_as(const struct ln_identity *agent, char *policy, char *log)
{
	int found = 0;

	if (setgroups(agent->n_groups, agent->groups) < 0 ||
	    setresgid(agent->gid, agent->gid, agent->gid) < 0 ||
	    setresuid(agent->uid, agent->uid, agent->uid) < 0)
		return UNKNOWN;
	if (policy && access(policy, R_OK) == 0)
		found |= POLICY_READ;
	if (policy && access(policy, W_OK) == 0)
		found |= POLICY_WRITE;
	if (policy && can_replace(policy, agent->uid))
		found |= POLICY_REPLACE;
	if (access(log, R_OK) == 0)
		found |= LOG_READ;
	if (access(log, W_OK) == 0)
		found |= LOG_WRITE;
	return can_replace(log, agent->uid) ? found | LOG_REPLACE : found;
}

int ln_reach_find(const struct ln_identity *agent, const char *policy, const char *log,
		  struct ln_reach *ret)
{
	char path[PATH_MAX], policy_path[PATH_MAX];
	int status;

	if (!realpath(log, path) || (policy && !realpath(policy, policy_path)))
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		_exit(look_as(agent, policy ? policy_path : NULL, path));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	if (!WIFEXITED(status) || WEXITSTATUS(status) & UNKNOWN)
		return -EPERM;
	*ret = (struct ln_reach){
	    .policy_read = WEXITSTATUS(status) & POLICY_READ,
	    .policy_write = WEXITSTATUS(status) & POLICY_WRITE,
	    .policy_replace = WEXITSTATUS(status) & POLICY_REPLACE,
	    .log_read = WEXITSTATUS(status) & LOG_READ,
	    .log_write = WEXITSTATUS(status) & LOG_WRITE,
	    .log_replace = WEXITSTATUS(status) & LOG_REPLACE,
	};
	return 0;
}
