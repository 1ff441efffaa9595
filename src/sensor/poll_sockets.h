/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Internet sockets of a network namespace at one moment: linnet's own namespace by socket
 * diagnosis (sock_diag(7)), any other one from /proc/PID/net of a process in it. TCP in every
 * state but TIME_WAIT and half-open requests; UDP bound or connected. Sockets that no descriptor
 * refers to (inode 0) are left out: nobody owns them. Bound: LN_POLL_SOCKETS_MAX rows, what is
 * over is counted.
 */
#ifndef LINNET_SENSOR_POLL_SOCKETS_H
#define LINNET_SENSOR_POLL_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/addr.h"

#define LN_POLL_SOCKETS_MAX 16384

struct ln_poll_socket {
	uint64_t inode;
	uint64_t netns; /* inode of the namespace */
	struct ln_endpoint local, remote;
	uint8_t proto;
	uint8_t state; /* TCP_* of netinet/tcp.h, for UDP: TCP_ESTABLISHED or TCP_CLOSE */
	bool v6only;
	bool counted; /* the four numbers below are known */
	uint64_t tx_bytes, rx_bytes, tx_packets, rx_packets;
	void *mark; /* for the caller; NULL after a dump */
};

struct ln_poll_sockets {
	struct ln_poll_socket *rows; /* owned */
	size_t n, cap;
	uint64_t refused; /* counter */
};

void ln_poll_sockets_done(struct ln_poll_sockets *s);
void ln_poll_sockets_reset(struct ln_poll_sockets *s); /* keeps the memory and the counter */
/* After the sort, rows with one inode are neighbours: the first of them, or NULL. A socket can be
 * more than one row: the subflows of MPTCP share the inode of their owner. */
void ln_poll_sockets_sort(struct ln_poll_sockets *s);
struct ln_poll_socket *ln_poll_sockets_find(const struct ln_poll_sockets *s, uint64_t inode);

struct ln_poll_diag; /* opaque: the netlink socket */

/* -errno when the kernel has no socket diagnosis. */
int ln_poll_diag_new(struct ln_poll_diag **ret);
void ln_poll_diag_free(struct ln_poll_diag **d);
/* Appends the sockets of the namespace in which the diag was made. */
int ln_poll_diag_dump(struct ln_poll_diag *d, uint64_t netns, struct ln_poll_sockets *s);

/* Appends the sockets of the namespace of process `pid`; proc_fd: the directory /proc. */
int ln_poll_procnet_read(int proc_fd, uint32_t pid, uint64_t netns, struct ln_poll_sockets *s);
/* One line of /proc/net/{tcp,tcp6,udp,udp6} without its line break (kernel: tcp4_seq_show).
 * False: a title, or not such a line. */
bool ln_poll_procnet_line(const char *line, size_t len, uint8_t proto, struct ln_poll_socket *ret);

#endif
