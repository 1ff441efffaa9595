/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block mode: what the tree may reach. The engine stays the judge; these tables hold what it would
 * permit, so that the kernel can decide at once. Without block mode none of this is there: the maps
 * are not made, and the verifier takes the code out.
 */
#ifndef LINNET_PERMIT_BPF_H
#define LINNET_PERMIT_BPF_H

#include "flow.bpf.h"

/* Key of the names' hashes; set before load. */
const volatile __u64 cfg_name_key[2] __weak = {};

/* The policy's `loopback: allow`. User space. */
__u32 cfg_loopback_allowed __weak = 0;
/* The watch has ended in order: what it left behind refuses no more. User space. */
__u32 cfg_let_go __weak = 0;
/* Trusted resolvers. User space, which knows them when it is root no more: before Linux 5.19 it may
 * write no map then, but this memory. */
struct ln_abi_resolver cfg_resolvers[LN_ABI_RESOLVERS_MAX] __weak = {};
/* The agent of the programs that outlive the watch. User space. */
__u32 cfg_hold_agent __weak = 0;
/* How many sockets were ever cut off. User space. */
__u32 stat_cuts __weak = 0;

/* Pieces of sets of ports, by number. Written by user space. Bound: twice what the policy has, so
 * that there is room for the next one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ln_abi_port_piece);
} port_sets __weak SEC(".maps");

/* Addresses that the policy lists → set. Written by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ln_abi_host);
	__type(value, __u32);
} host_rules __weak SEC(".maps");

/* Networks, the same way; an entry has the set of all networks around it, too. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ln_abi_network);
	__type(value, __u32);
} net_rules __weak SEC(".maps");

/* Names and suffixes. Written by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct ln_abi_name_rule);
} name_rules __weak SEC(".maps");

/* Addresses that names permit, by the answers on their way to the agent. Written in kernel; user
 * space only takes away. Full: the least used goes, and the engine tells when a listed place was
 * refused. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LN_ABI_PERMITS_MAX);
	__type(key, struct ln_abi_permit_key);
	__type(value, struct ln_abi_permit);
} answered __weak SEC(".maps");

/* The same by all that the engine knows. Written by user space. Two maps, because neither side
 * could add to an entry of the other without losing what is added meanwhile. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LN_ABI_PERMITS_MAX);
	__type(key, struct ln_abi_permit_key);
	__type(value, struct ln_abi_permit);
} granted __weak SEC(".maps");

/* Cookies of sockets whose packets go no further. Written by user space. Full: the least used goes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LN_ABI_CUTS_MAX);
	__type(key, __u64);
	__type(value, __u8);
} cuts __weak SEC(".maps");

enum word { WORD_NONE, WORD_PERMITS, WORD_DENIES };

/* What one piece says, and the number of the next one above it: LN_ABI_… pieces are small, so the
 * number fits. */
#define PIECE_SHIFT 8

__weak __noinline int piece_word(__u32 at, __u32 port, __u32 proto)
{
	const struct ln_abi_port_piece *piece;

	if (!cfg_blocks)
		return 0;
	piece = bpf_map_lookup_elem(&port_sets, &at);
	if (!piece)
		return 0;
	for (__u32 i = 0; i < LN_ABI_PORT_RANGES; i++) {
		const struct ln_abi_port_range *r = &piece->ranges[i];

		if (i >= piece->n)
			break;
		if (port >= r->first && port <= r->last && (!r->proto || r->proto == proto))
			return r->deny ? WORD_DENIES : WORD_PERMITS;
	}
	return (piece->next & 0xffffff) << PIECE_SHIFT;
}

/* What a set says about a port: enum word. */
__weak __noinline int set_word(__u32 at, __u32 port, __u32 proto)
{
	int word;

	if (!cfg_blocks)
		return WORD_NONE;
	for (int i = 0; i < LN_ABI_PORT_PIECES && at; i++) {
		word = piece_word(at, port, proto);
		if (word & ((1 << PIECE_SHIFT) - 1))
			return word;
		at = (__u32)word >> PIECE_SHIFT;
	}
	return WORD_NONE;
}

static __always_inline void host_set(struct ln_abi_host *host, const struct ln_abi_flow *dest)
{
	host->family = dest->family;
	__builtin_memcpy(host->addr, dest->remote, sizeof(host->addr));
}

/* By address. What is listed itself has all that the networks around it have. */
static __always_inline int rule_word(const struct ln_abi_flow *dest)
{
	struct ln_abi_network net = {.prefix_len = 8 * sizeof(struct ln_abi_host)};
	const __u32 *set;

	host_set(&net.host, dest);
	set = bpf_map_lookup_elem(&host_rules, &net.host);
	if (!set)
		set = bpf_map_lookup_elem(&net_rules, &net);
	return set ? set_word(*set, dest->remote_port, dest->proto) : WORD_NONE;
}

static __always_inline __u64 permit_time(__u64 ns)
{
	return ns >> LN_ABI_SLOT_TIME_BITS;
}

static __always_inline __u32 slot_set(__u64 slot)
{
	return slot & ((1U << LN_ABI_SLOT_SET_BITS) - 1);
}

__weak __noinline int slots_word(const struct ln_abi_permit *p, const struct ln_abi_flow *dest)
{
	__u64 now = permit_time(bpf_ktime_get_ns());
	int best = WORD_NONE;

	if (!cfg_blocks || !p || !dest)
		return WORD_NONE;
	for (int i = 0; i < LN_ABI_PERMIT_SLOTS; i++) {
		__u64 slot = *(volatile const __u64 *)&p->slots[i];
		int word;

		if (slot >> LN_ABI_SLOT_SET_BITS < now)
			continue;
		word = set_word(slot_set(slot), dest->remote_port, dest->proto);
		if (word > best)
			best = word;
	}
	return best;
}

/* By the names that lead to the address. */
__weak __noinline int name_word(const struct ln_abi_flow *dest, __u32 agent)
{
	struct ln_abi_permit_key key = {.agent = agent};
	const struct ln_abi_permit *p;
	int first = WORD_NONE, second = WORD_NONE;

	if (!cfg_blocks || !dest)
		return WORD_NONE;
	host_set(&key.host, dest);
	p = bpf_map_lookup_elem(&granted, &key);
	if (p)
		first = slots_word(p, dest);
	p = bpf_map_lookup_elem(&answered, &key);
	if (p)
		second = slots_word(p, dest);
	return first > second ? first : second;
}

/* Asking a trusted resolver; one that the tree runs itself is none, and where the tree makes its
 * own network all addresses are its own. */
static __always_inline bool is_resolver(const struct ln_abi_flow *dest)
{
	const __u32 *to = (const __u32 *)dest->remote;

	if ((dest->proto != IPPROTO_TCP && dest->proto != IPPROTO_UDP) ||
	    dest->flags & LN_ABI_FLOW_SAME_TREE)
		return false;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < LN_ABI_RESOLVERS_MAX; i++) {
		const volatile struct ln_abi_resolver *r = &cfg_resolvers[i];
		const volatile __u32 *addr = (const volatile __u32 *)r->addr;
		/* One branch for all: the verifier checks what follows for each. */
		__u32 differs = (r->family ^ dest->family) | (r->port ^ dest->remote_port) |
				(addr[0] ^ to[0]) | (addr[1] ^ to[1]) | (addr[2] ^ to[2]) |
				(addr[3] ^ to[3]);

		if (!differs)
			return !r->netns || !dest->netns || r->netns == dest->netns;
	}
	return false;
}

/* The groups that are asked for names on the link: mDNS (RFC 6762, 3) and LLMNR (RFC 4795, 2). */
static __always_inline bool is_name_group(const struct ln_abi_flow *dest)
{
	const __u32 *words = (const __u32 *)dest->remote;
	bool mdns = dest->remote_port == 5353, llmnr = dest->remote_port == 5355;

	if (dest->proto != IPPROTO_UDP || !(mdns || llmnr))
		return false;
	if (dest->family == 4)
		return words[0] == bpf_htonl(mdns ? 0xe00000fb : 0xe00000fc);
	return words[0] == bpf_htonl(0xff020000) && words[1] == 0 &&
	       words[2] == bpf_htonl(mdns ? 0 : 1) && words[3] == bpf_htonl(mdns ? 0xfb : 3);
}

/* Whether the tree may go there; dest->netns and LN_ABI_FLOW_SAME_TREE must be set. A global
 * function, so that the verifier checks it once. */
__weak __noinline int is_permitted(const struct ln_abi_flow *dest, __u32 agent)
{
	int by_rule, by_name;

	if (!cfg_blocks || !dest)
		return 1;
	if (dest->flags & LN_ABI_FLOW_SAME_TREE || is_resolver(dest) || is_name_group(dest))
		return 1;
	by_rule = rule_word(dest);
	if (by_rule == WORD_DENIES)
		return 0;
	by_name = name_word(dest, agent);
	if (by_name == WORD_DENIES)
		return 0;
	if (by_rule == WORD_PERMITS || by_name == WORD_PERMITS)
		return 1;
	return *(volatile __u32 *)&cfg_loopback_allowed &&
	       addr_is_loopback(dest->family, dest->remote);
}

/* The same for a flow that is about to be told: marks it. True: it must not happen. */
static __always_inline bool refuse(struct ln_abi_flow *dest, __u32 agent)
{
	if (!cfg_blocks || is_permitted(dest, agent))
		return false;
	dest->flags |= cfg_dry_run ? LN_ABI_FLOW_WOULD_REFUSE : LN_ABI_FLOW_REFUSED;
	return !cfg_dry_run;
}

/* Sockets whose destinations the hooks see, each in the caller's context. */
static __always_inline bool is_judged(const struct bpf_sock *sk)
{
	return sk->type != SOCK_RAW &&
	       (sk->protocol == IPPROTO_TCP || sk->protocol == IPPROTO_UDP ||
		sk->protocol == IPPROTO_MPTCP);
}

/* The end of a flow that never began. */
static __always_inline void tell_refused(const struct owner *o, const struct ln_abi_flow *flow,
					 __u64 now_ns)
{
	struct flow_counts counts = {.open_ns = now_ns};

	tell_close(o, flow, &counts, LN_ABI_OUTCOME_BLOCKED);
}

#endif
