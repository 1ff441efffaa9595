/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the files of /proc: a process chooses its command name, and who makes mounts and
 * cgroups chooses their paths. */
#include <stdlib.h>
#include <string.h>
#include "proc/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
	if (!promise)
		abort();
}

/* Into as much room as there is, and into too little. */
static void check_text(bool (*parse)(const char *, size_t, char *, size_t), const char *text,
		       size_t len)
{
	char ample[4096], scarce[9];

	if (!parse(text, len, ample, sizeof(ample)))
		return;
	require(strnlen(ample, sizeof(ample)) < sizeof(ample));
	if (parse(text, len, scarce, sizeof(scarce)))
		require(strcmp(ample, scarce) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct ln_proc_stat stat;
	uint64_t inode;
	uint32_t pid;

	ln_proc_parse_stat(text, size, &stat);
	check_text(ln_proc_parse_cgroup2_mount, text, size);
	check_text(ln_proc_parse_cgroup2_path, text, size);
	ln_proc_parse_ns_pid(text, size, &pid);
	ln_proc_parse_socket_link(text, size, &inode);
	return 0;
}
