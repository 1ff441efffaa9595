/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "files.h"
#include "identity.h"

/* Digits only: strtoul alone would take "-1" and " 7". (uid_t)-1 means "no change": refused. */
static bool parse_id(const char *text, uint32_t *ret)
{
	char *end;

	if (!text || !isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	unsigned long long v = strtoull(text, &end, 10);
	if (errno || *end || v >= UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static int fill_account(const struct passwd *pw, struct ln_error *err, struct ln_identity *id)
{
	int n = LN_IDENTITY_GROUPS_MAX;

	id->uid = pw->pw_uid;
	id->gid = pw->pw_gid;
	id->name = strdup(pw->pw_name);
	id->home = strdup(pw->pw_dir ? pw->pw_dir : "/");
	id->shell = strdup(pw->pw_shell && pw->pw_shell[0] ? pw->pw_shell : "/bin/sh");
	if (!id->name || !id->home || !id->shell)
		return ln_error_set(err, ENOMEM, "out of memory");
	if (getgrouplist(id->name, id->gid, id->groups, &n) < 0)
		return ln_error_set(err, E2BIG, "user %s is in more than %d groups", id->name,
				    LN_IDENTITY_GROUPS_MAX);
	id->n_groups = (size_t)n;
	return 0;
}

/* A number without an account: its own group alone. */
static void fill_number(uid_t uid, gid_t gid, struct ln_identity *id)
{
	id->uid = uid;
	id->gid = gid;
	id->groups[0] = gid;
	id->n_groups = 1;
}

static int find_named(const char *user, struct ln_error *err, struct ln_identity *id)
{
	uint32_t uid;
	const struct passwd *pw = getpwnam(user);

	if (!pw && parse_id(user, &uid)) {
		pw = getpwuid(uid);
		if (!pw) {
			fill_number(uid, uid, id);
			return 0;
		}
	}
	if (!pw)
		return ln_error_set(err, ENOENT, "there is no user \"%s\"; give a name or a number",
				    user);
	return fill_account(pw, err, id);
}

/* The user who called sudo; `change` stays false when nobody did. */
static int find_invoking(struct ln_error *err, struct ln_identity *id)
{
	uint32_t uid, gid;

	if (getuid() != 0 || geteuid() != 0 || !parse_id(getenv("SUDO_UID"), &uid) || uid == 0)
		return 0;
	id->change = true;
	const struct passwd *pw = getpwuid(uid);
	if (pw)
		return fill_account(pw, err, id);
	fill_number(uid, parse_id(getenv("SUDO_GID"), &gid) ? gid : uid, id);
	return 0;
}

int ln_identity_find(const char *user, struct ln_error *err, struct ln_identity *ret)
{
	struct ln_identity id = {.uid = getuid(), .gid = getgid()};
	int r;

	if (user && geteuid() != 0)
		return ln_error_set(err, EPERM, "--user needs root; start linnet with sudo");
	if (user) {
		id.change = true;
		r = find_named(user, err, &id);
	} else {
		r = find_invoking(err, &id);
	}
	if (r < 0) {
		ln_identity_done(&id);
		return r;
	}
	*ret = id;
	return 0;
}

/* The line of a field in /proc/PID/status, behind its tabulator. */
static const char *field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? at + strlen(name) : NULL;
}

int ln_identity_of(pid_t pid, struct ln_error *err, struct ln_identity *ret)
{
	struct ln_identity id = {.change = true};
	LN_AUTO_FREE char *text = NULL;
	char path[32], *end;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	int r = ln_file_read(path, 64u << 10, &text, &len);
	if (r == -ENOENT || r == -ESRCH)
		return ln_error_set(err, ESRCH, "there is no process %d", (int)pid);
	const char *uid = r < 0 ? NULL : field(text, "\nUid:\t");
	const char *gid = r < 0 ? NULL : field(text, "\nGid:\t");
	const char *groups = r < 0 ? NULL : field(text, "\nGroups:\t");
	if (!uid || !gid || !groups || sscanf(uid, "%*u\t%u", &id.uid) != 1 ||
	    sscanf(gid, "%*u\t%u", &id.gid) != 1)
		return ln_error_set(err, EIO, "the user of process %d cannot be told", (int)pid);
	while (*groups >= '0' && *groups <= '9' && id.n_groups < LN_IDENTITY_GROUPS_MAX) {
		id.groups[id.n_groups++] = (gid_t)strtoul(groups, &end, 10);
		groups = end + strspn(end, " ");
	}
	*ret = id;
	return 0;
}

void ln_identity_done(struct ln_identity *id)
{
	free(id->name);
	free(id->home);
	free(id->shell);
	*id = (struct ln_identity){0};
}

static void forget_sudo(void)
{
	static const char *const NAMES[] = {"SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND",
					    "SUDO_HOME"};

	for (size_t i = 0; i < LN_ARRAY_SIZE(NAMES); i++)
		unsetenv(NAMES[i]);
}

int ln_identity_apply(const struct ln_identity *id)
{
	if (!id->change)
		return 0;
	if (setgroups(id->n_groups, id->groups) < 0 || setresgid(id->gid, id->gid, id->gid) < 0 ||
	    setresuid(id->uid, id->uid, id->uid) < 0)
		return -errno;
	forget_sudo();
	if (!id->name)
		return 0;
	if (setenv("USER", id->name, 1) < 0 || setenv("LOGNAME", id->name, 1) < 0 ||
	    setenv("HOME", id->home, 1) < 0 || setenv("SHELL", id->shell, 1) < 0)
		return -errno;
	return 0;
}
