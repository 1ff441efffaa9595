/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of /proc texts, pure: bytes in, values out (Documentation/filesystems/proc.rst). The
 * command name inside stat is hostile: it may hold blanks, brackets and line breaks. */
#ifndef LINNET_PROC_PARSE_H
#define LINNET_PROC_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ln_proc_stat {
	uint32_t pid, ppid, pgrp, session;
	char state;
	uint64_t start_ticks;
};

bool ln_proc_parse_stat(const char *text, size_t len, struct ln_proc_stat *ret);
/* Where cgroup v2 is mounted, from /proc/PID/mountinfo; octal escapes undone. False: nowhere. */
bool ln_proc_parse_cgroup2_mount(const char *text, size_t len, char *ret, size_t size);
/* The path of the "0::" line of /proc/PID/cgroup. */
bool ln_proc_parse_cgroup2_path(const char *text, size_t len, char *ret, size_t size);
/* The last number of the "NSpid:" line of /proc/PID/status: what the process has for itself. */
bool ln_proc_parse_ns_pid(const char *text, size_t len, uint32_t *ret);
/* "socket:[12345]" → 12345; false for any other link target. */
bool ln_proc_parse_socket_link(const char *text, size_t len, uint64_t *ret_inode);

#endif
