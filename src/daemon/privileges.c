/* SPDX-License-Identifier: Apache-2.0 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include "privileges.h"

#define ACCOUNT "linnet"

static const int PROC_CAPS[] = {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH};

int ln_privileges_choose(uid_t agent_uid, struct ln_error *err, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *pw = getpwnam(ACCOUNT);

	if (pw && pw->pw_uid != 0 && pw->pw_uid != agent_uid) {
		*ret_uid = pw->pw_uid;
		*ret_gid = pw->pw_gid;
		return 0;
	}
	/* At random, so that two monitors are strangers to each other. */
	for (int i = 0; i < 16; i++) {
		uint32_t r;
		if (getrandom(&r, sizeof(r), 0) != sizeof(r))
			return ln_error_set(err, EIO, "the kernel gives no random numbers");
		uid_t uid = LN_SPARE_UID_FIRST + r % (LN_SPARE_UID_LAST - LN_SPARE_UID_FIRST + 1);
		if (uid == agent_uid || getpwuid(uid) || getgrgid(uid))
			continue;
		*ret_uid = uid;
		*ret_gid = uid;
		return 0;
	}
	return ln_error_set(err, EUSERS,
			    "no unused user id between %d and %d for the monitor; make a system "
			    "user \"" ACCOUNT "\"",
			    LN_SPARE_UID_FIRST, LN_SPARE_UID_LAST);
}

int ln_privileges_seal(struct ln_error *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return ln_error_set(err, errno, "the monitor cannot be sealed: %s",
				    strerror(errno));
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return ln_error_set(err, EPERM, "the kernel did not seal the monitor");
	return 0;
}

/* Whether exactly `caps` are left in the effective and permitted sets, and nothing elsewhere. */
static bool only_caps(const int *caps, size_t n)
{
	if (capng_get_caps_process() < 0)
		return false;
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		bool wanted = false;
		for (size_t i = 0; i < n; i++)
			wanted = wanted || caps[i] == cap;
		if (capng_have_capability(CAPNG_EFFECTIVE, cap) != wanted ||
		    capng_have_capability(CAPNG_PERMITTED, cap) != wanted ||
		    capng_have_capability(CAPNG_INHERITABLE, cap) ||
		    capng_have_capability(CAPNG_AMBIENT, cap) ||
		    prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			return false;
	}
	return true;
}

static void select_caps(const int *caps, size_t n)
{
	capng_clear(CAPNG_SELECT_ALL);
	for (size_t i = 0; i < n; i++)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, caps[i]);
}

/* Files that only root reads; one that opens is a privilege that was kept. */
static int check_root_files(struct ln_error *err)
{
	static const char *const FILES[] = {"/etc/shadow", "/proc/1/environ"};

	for (size_t i = 0; i < LN_ARRAY_SIZE(FILES); i++) {
		LN_AUTO_CLOSE int fd = open(FILES[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0)
			return ln_error_set(err, EPERM,
					    "the monitor can still read %s after it gave up its "
					    "privileges",
					    FILES[i]);
	}
	return 0;
}

static int check_dropped(uid_t uid, gid_t gid, bool keep_proc, struct ln_error *err)
{
	uid_t ru, eu, su;
	gid_t rg, eg, sg;

	if (getresuid(&ru, &eu, &su) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return ln_error_set(err, errno, "cannot read the user ids back");
	if (ru != uid || eu != uid || su != uid || rg != gid || eg != gid || sg != gid ||
	    getgroups(0, NULL) != 0)
		return ln_error_set(err, EPERM, "the kernel kept a user or group id of root's");
	if (!only_caps(PROC_CAPS, keep_proc ? LN_ARRAY_SIZE(PROC_CAPS) : 0))
		return ln_error_set(err, EPERM, "the kernel kept a capability");
	return keep_proc ? 0 : check_root_files(err);
}

int ln_privileges_drop(uid_t uid, gid_t gid, bool keep_proc, struct ln_error *err)
{
	select_caps(PROC_CAPS, keep_proc ? LN_ARRAY_SIZE(PROC_CAPS) : 0);
	int r = capng_change_id((int)uid, (int)gid,
				CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT);
	if (r < 0)
		return ln_error_set(err, EPERM,
				    "the monitor cannot become user %u (step %d); it needs the "
				    "capabilities SETUID, SETGID and SETPCAP",
				    (unsigned)uid, -r);
	/* Changing ids makes the process dumpable or not as the system is set: seal afterwards. */
	r = ln_privileges_seal(err);
	if (r < 0)
		return r;
	return check_dropped(uid, gid, keep_proc, err);
}

int ln_privileges_drop_launcher(bool cgroup, struct ln_error *err)
{
	const int caps[] = {CAP_KILL, cgroup ? CAP_DAC_OVERRIDE : CAP_DAC_READ_SEARCH};
	size_t n = LN_ARRAY_SIZE(caps);

	select_caps(caps, n);
	if (capng_apply(CAPNG_SELECT_ALL) < 0)
		return ln_error_set(err, EPERM,
				    "linnet cannot give up its capabilities; it needs SETPCAP");
	if (!only_caps(caps, n))
		return ln_error_set(err, EPERM, "the kernel kept a capability");
	return ln_privileges_seal(err);
}
