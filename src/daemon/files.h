/* SPDX-License-Identifier: Apache-2.0 */
/* The files that linnet touches: small texts of the system, two of the agent's (read as root, and
 * only as bytes: they are parsed when root is gone), and the connection log. */
#ifndef LINNET_DAEMON_FILES_H
#define LINNET_DAEMON_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>
#include "base/error.h"

#define LN_HOSTS_BYTES_MAX       (1u << 20)
#define LN_RESOLV_CONF_BYTES_MAX (64u << 10)

/* How many descriptors this process may have: the soft limit, which a user has set for the agent,
 * is raised as far as linnet wants it and the hard limit lets it. */
unsigned long long ln_files_allow(void);

/* The whole file, NUL after it. -EFBIG when it is longer than `max`. */
int ln_file_read_fd(int fd, size_t max, char **ret_text, size_t *ret_len);
int ln_file_read(const char *path, size_t max, char **ret_text, size_t *ret_len);

struct ln_agent_file {
	char *text; /* owned; NULL when it could not be read */
	size_t len;
	bool cut; /* longer than the bound: what came after the last whole line is not there */
	uid_t owner;
	mode_t mode;
	bool foreign;    /* the process is in another user namespace, where it may be root */
	bool own_mounts; /* it is in another mount namespace than linnet */
};

/* `path` as the process `pid` sees it (inside its root directory), or as linnet does for pid 0.
 * A regular file only; never blocks. */
int ln_agent_file_read(pid_t pid, const char *path, size_t max, struct ln_agent_file *ret);
void ln_agent_file_done(struct ln_agent_file *f);
/* Whether an agent of this uid could have written the file: then it may name, but not grant. */
bool ln_agent_file_trusted(const struct ln_agent_file *f, uid_t agent_uid);

/* Whether an agent of this uid could have written it. Weaker than the above: the file may belong to
 * a service (systemd-resolved owns its resolv.conf). Root's is only doubted where there is a better
 * one, outside its container. */
bool ln_agent_file_forgeable(const struct ln_agent_file *f, uid_t agent_uid);

/* Opens the connection log for appending. `path` NULL: a new file in the default directory, named
 * after the agent. *ret_path gets the name. */
int ln_log_file_open(const char *path, const char *agent_name, struct ln_error *err,
		     char ret_path[PATH_MAX], int *ret_fd);

#endif
