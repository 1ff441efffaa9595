/* SPDX-License-Identifier: Apache-2.0 */
/* The opt-in guard: what the kernel side refuses to the tree, to protect linnet itself. Whoever
 * asks for it must get it: where it cannot work, the watch does not begin. */
#include "bpf_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <bpf/libbpf.h>

/* Compiled in, and among those that were chosen at boot. The list is in securityfs, which a small
 * system does not mount: then an attach would tell. */
static bool has_bpf_lsm(void)
{
	char list[256] = "";
	LN_AUTO_CLOSE int fd = open("/sys/kernel/security/lsm", O_RDONLY | O_CLOEXEC);

	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_LSM, NULL) != 1)
		return false;
	if (fd < 0 || read(fd, list, sizeof(list) - 1) <= 0)
		return true;
	for (char *rest = list, *name; (name = strsep(&rest, ",\n"));)
		if (strcmp(name, "bpf") == 0)
			return true;
	return false;
}

int ln_bpf_guard(struct ln_error *err)
{
	static const char hint[] = "leave --guard away: attacks on linnet are then noticed and "
				   "told, but not refused";

	if (!has_bpf_lsm())
		return ln_error_set(err, ENOTSUP,
				    "the guard is not possible here: it needs BPF LSM (a kernel "
				    "with CONFIG_BPF_LSM, and \"bpf\" in its lsm= boot option); %s",
				    hint);
	return ln_error_set(err, ENOTSUP, "the guard is not in this version; %s", hint);
}
