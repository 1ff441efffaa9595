/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf_channels.h"

#include <string.h>
#include "base/macros.h"

#define WAYS_MAX  3
#define HOOK_MAX  32
#define SEPARATOR ", "

#define CONNECT "cgroup/connect4, cgroup/connect6"
#define SENDMSG "cgroup/sendmsg4, cgroup/sendmsg6"

/* One set of hooks that sees the channel; all of them must work. */
struct way {
	enum ln_sight sight;
	bool refusable;
	const char *hooks; /* NULL: no more ways */
	const char *note;  /* NULL: nothing to add */
};

/* The first way that is open counts. */
static const struct row {
	const char *name;
	struct way ways[WAYS_MAX];
	const char *blind; /* what that means, when no way is open */
} rows[] = {
    {"TCP connect", {{LN_SIGHT_SEEN, true, CONNECT}}, "TCP connections are not seen"},
    {"MPTCP, further paths",
     {{LN_SIGHT_SEEN, true, CONNECT SEPARATOR "skc_to_mptcp_sock",
       "told; its bytes are not counted"}},
     "a path to an address that the peer announces is not judged"},
    {"UDP connect", {{LN_SIGHT_SEEN, true, CONNECT}}, "connected UDP is not seen"},
    {"UDP sendto, sendmsg", {{LN_SIGHT_SEEN, true, SENDMSG}}, "such datagrams are not seen"},
    {"io_uring connect and send",
     {{LN_SIGHT_SEEN, true, CONNECT SEPARATOR SENDMSG}},
     "what io_uring connects and sends is not seen"},
    {"UDP-Lite, SCTP, DCCP, ping",
     {{LN_SIGHT_SEEN, true, "cgroup/sock_create, cgroup_skb/egress"},
      {LN_SIGHT_PREPARATION, true, "cgroup/sock_create", "where it goes is not seen"}},
     "no connect hook fires for these protocols"},
    {"raw IP sockets",
     {{LN_SIGHT_SEEN, true, "cgroup/sock_create, cgroup_skb/egress"},
      {LN_SIGHT_PREPARATION, true, "cgroup/sock_create", "where it goes is not seen"},
      {LN_SIGHT_PREPARATION, false, "cap_capable", "making one needs CAP_NET_RAW"}},
     "no connect hook fires for them"},
    {"source routes, NAT, rewriting",
     {{LN_SIGHT_SEEN, false, "cgroup_skb/egress" SEPARATOR "first in line",
       "for sockets made in the agent's cgroup"},
      {LN_SIGHT_SEEN, false, "cgroup_skb/egress",
       "for sockets made in the agent's cgroup; not what a program of a cgroup below rewrites"}},
     "the address that the agent names is judged, not the one on the wire"},
    {"packet sockets, AF_XDP",
     {{LN_SIGHT_PREPARATION, true, "lsm/socket_create", "making one; the frames are not seen"},
      {LN_SIGHT_PREPARATION, false, "cap_capable", "making one; the frames are not seen"},
      {LN_SIGHT_PREPARATION, false, "sweep", "when the agent holds one for a second"}},
     "frames go below IP, where no hook fires"},
    {"tunnel devices (TUN, TAP)",
     {{LN_SIGHT_PREPARATION, true, "cgroup/dev", "opening /dev/net/tun"},
      {LN_SIGHT_PREPARATION, false, "cap_capable", "making one needs CAP_NET_ADMIN"},
      {LN_SIGHT_PREPARATION, false, "sweep", "when the agent holds one for a second"}},
     "what goes into a tunnel is not seen"},
    {"AF_VSOCK and other families",
     {{LN_SIGHT_SEEN, false, "sock_send_length"},
      {LN_SIGHT_PREPARATION, true, "lsm/socket_create", "making one"},
      {LN_SIGHT_PREPARATION, false, "sweep", "when the socket lives for a second"}},
     "cgroup hooks fire for IP only"},
    {"UNIX sockets to outside",
     {{LN_SIGHT_SEEN, false, "cgroup/connect_unix, cgroup/sendmsg_unix"}},
     "a daemon (docker, systemd, D-Bus) can send for the agent"},
    {"sockets received from outside",
     {{LN_SIGHT_SEEN, false, "sock_send_length"},
      {LN_SIGHT_PREPARATION, false, "lsm/file_receive", "when it is passed"},
      {LN_SIGHT_PREPARATION, false, "sweep", "when the agent holds it for a second"}},
     "bytes sent on a connection that somebody else made are not seen"},
    {"sockets received, used at once",
     {{LN_SIGHT_SEEN, false, "sock_send_length"},
      {LN_SIGHT_PREPARATION, false, "lsm/file_receive", "when it is passed"}},
     "a connection that somebody else made is used before the sweep finds it"},
    {"sockets passed to outside",
     {{LN_SIGHT_SEEN, true, "cgroup/sock_create" SEPARATOR CONNECT SEPARATOR SENDMSG,
       "what it names; not what it sends on a connection"}},
     "what others send on a socket of the agent is not seen"},
    {"io_uring taken from outside",
     {{LN_SIGHT_PREPARATION, false, "io_uring_create, sweep", "when held for a second"}},
     "what is sent through another's ring is not the agent's to see"},
    {"io_uring taken, used at once", {{0}}, "its requests run before the sweep finds the ring"},
    {"ptrace, writing foreign memory",
     {{LN_SIGHT_PREPARATION, false, "lsm/ptrace_access_check", "the process is watched from then"},
      {LN_SIGHT_PREPARATION, false, "signal_generate, sched_process_wait, sweep of tasks",
       "the process is watched from then"}},
     "another process can be made to send for the agent"},
    {"foreign memory, by its own user",
     {{LN_SIGHT_PREPARATION, false, "lsm/ptrace_access_check", "the process is watched from then"}},
     "process_vm_writev(2) and /proc/PID/mem need no capability there, and tell nobody"},
    {"inbound connections, answered",
     {{LN_SIGHT_SEEN, false, "inet_sock_set_state, sk_storage_get, cgroup/bind4, cgroup/bind6"},
      {LN_SIGHT_SEEN, false, "inet_sock_set_state, sk_storage_get",
       "TCP only: no UDP server is told"}},
     "data that leaves as an answer to a peer is not seen"},
    {"redirection (NAT, VXLAN, tc)",
     {{LN_SIGHT_PREPARATION, false, "cap_capable", "using CAP_NET_ADMIN; no single flow"}},
     "an agent with CAP_NET_ADMIN can redirect traffic"},
    {"BPF programs of the agent",
     {{LN_SIGHT_PREPARATION, false, "cap_capable", "using CAP_BPF"}},
     "an agent with CAP_BPF can rewrite destinations"},
    {"kernel modules",
     {{LN_SIGHT_PREPARATION, false, "cap_capable", "using CAP_SYS_MODULE"}},
     "an agent with CAP_SYS_MODULE can do anything"},
    {"release_agent, usermode helpers", {{0}}, "the kernel starts them, outside the tree"},
    {"files, pipes, shared memory", {{0}}, "data left for a process outside the tree"},
    {"inside expected connections", {{0}}, "contents are not looked into"},
    {"names asked by TLS, QUIC, HTTPS", {{0}}, "the connection is judged, its DNS is not read"},
};

/* Copies the first hook of a list; returns what follows it, NULL at the end. */
static const char *next_hook(const char *list, char *buf, size_t size)
{
	const char *end = strstr(list, SEPARATOR);

	snprintf(buf, size, "%.*s", end ? (int)(end - list) : (int)strlen(list), list);
	return end ? end + strlen(SEPARATOR) : NULL;
}

static bool is_open(const struct way *way, ln_hook_works_fn works, void *user)
{
	char hook[HOOK_MAX];

	for (const char *rest = way->hooks; rest;) {
		rest = next_hook(rest, hook, sizeof(hook));
		if (!works(hook, user))
			return false;
	}
	return way->hooks != NULL;
}

size_t ln_bpf_channels(ln_hook_works_fn works, void *user,
		       struct ln_channel_fact ret[LN_BPF_CHANNELS_MAX])
{
	_Static_assert(LN_ARRAY_SIZE(rows) <= LN_BPF_CHANNELS_MAX, "room for each row");

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		const char *note = row->blind;

		ret[i] =
		    (struct ln_channel_fact){.name = row->name, .sight = LN_SIGHT_BLIND, .by = ""};
		for (size_t k = 0; k < WAYS_MAX && row->ways[k].hooks; k++) {
			const struct way *way = &row->ways[k];

			if (!is_open(way, works, user))
				continue;
			ret[i].sight = way->sight;
			ret[i].refusable = way->refusable;
			ret[i].by = way->hooks;
			note = way->note ? way->note : "";
			break;
		}
		snprintf(ret[i].note, sizeof(ret[i].note), "%s", note);
	}
	return LN_ARRAY_SIZE(rows);
}
