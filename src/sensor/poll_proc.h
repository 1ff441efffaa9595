/* SPDX-License-Identifier: Apache-2.0 */
/* One process as /proc shows it now: state, executable and arguments, network namespace, sockets.
 * A reader holds the directory /proc and the buffers, so that a scan allocates nothing. A walk
 * uses the reader's one directory buffer: only one at a time. */
#ifndef LINNET_SENSOR_POLL_PROC_H
#define LINNET_SENSOR_POLL_PROC_H

#include <sys/types.h>
#include "base/macros.h"
#include "proc/parse.h"

#define LN_POLL_ARGS_MAX 4096

struct ln_poll_proc {
	uint32_t pid, agent;
	uint32_t ppid;   /* as /proc says */
	uint32_t parent; /* in the tree; the root for an orphan; 0 outside */
	uint32_t session;
	uint32_t thread; /* a living thread when the leader is dead, else 0 */
	uint64_t start_ticks;
	uint64_t netns; /* inode; 0 unknown */
	char *image;    /* owned; exe_len bytes of path, then args_len of arguments */
	size_t exe_len, args_len;
	bool args_cut;
	bool root;    /* given to track or adopt */
	bool adopted; /* there before the watch began */
	/* Marks */
	bool told;       /* settled at least once */
	bool execed;     /* exe or arguments changed, or are not the parent's */
	bool gone;       /* exited */
	bool unreadable; /* its descriptors may not be listed */
	int status;      /* as in wait(2) when gone; 0 when nobody could say */
};

struct ln_poll_reader {
	int proc_fd; /* owned by who made the reader */
	char dirents[32768] __attribute__((aligned(8)));
	char exe[4096];
	char args[LN_POLL_ARGS_MAX + 1];
};

struct ln_poll_walk {
	int fd;
	char *buf;
	size_t size;
	ssize_t len, pos;
};

struct ln_poll_walk ln_poll_walk(struct ln_poll_reader *r, int fd);
/* The next entry whose name is a number; false at the end (w->len 0) or an error (below 0). */
bool ln_poll_walk_next(struct ln_poll_walk *w, uint32_t *ret, uint64_t *ret_ino);

bool ln_poll_proc_stat(const struct ln_poll_reader *r, uint32_t pid, struct ln_proc_stat *ret);
/* A leader that exited before its threads looks like a zombie, but the process lives on: another
 * thread of it, or 0. */
uint32_t ln_poll_proc_thread(struct ln_poll_reader *r, uint32_t pid);
/* Renews exe and arguments, and sets `execed` when they changed. What cannot be read (any more)
 * stays as it was. */
void ln_poll_proc_image(struct ln_poll_reader *r, struct ln_poll_proc *p);
bool ln_poll_proc_same_image(const struct ln_poll_proc *a, const struct ln_poll_proc *b);
void ln_poll_proc_netns(struct ln_poll_reader *r, struct ln_poll_proc *p);

typedef void (*ln_poll_inode_fn)(uint64_t inode, void *user);
/* Every socket descriptor of the process. *budget falls by one a descriptor; -E2BIG at 0. */
int ln_poll_proc_sockets(struct ln_poll_reader *r, const struct ln_poll_proc *p, size_t *budget,
			 ln_poll_inode_fn fn, void *user);

#endif
