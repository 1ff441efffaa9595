// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Block mode: a listed name works from its first connect, because the answer permits its addresses
 * before the packet is put into the agent's socket. Read is only what answers a question that this
 * socket has sent to that trusted resolver; of names on a way of aliases from the question only the
 * question counts. The engine judges the same answer anew, by more, and takes back what it does not
 * share.
 */
#include "answer.bpf.h"

#define DNS_RESPONSE  0x8000
#define DNS_OPCODE    0x7800
#define DNS_TRUNCATED 0x0200
#define DNS_RCODE     0x000f
#define DNS_CLASS_IN  1
#define DNS_A         1
#define DNS_CNAME     5
#define DNS_AAAA      28
#define DNS_RECORD    10 /* of a record, what stands between the name and the data */
#define RECORDS_MAX   80
#define TTL_MIN_S     5
#define TTL_MAX_S     3600
#define NS_PER_S      (1000ULL * 1000 * 1000)
#define ASKED_NS      (30 * NS_PER_S)

/* What a name permits lasts so long beyond its time to live. User space. */
__u64 cfg_grace_ns __weak = 0;

static const struct question no_question = {};

/* Which of the chain the name at r->at is; -1: none. Mostly it is a pointer to where that stands.
 */
__noinline int find_owner(void)
{
	struct reading *r = reading();
	__u32 c, end;

	if (!cfg_blocks || !r)
		return -1;
	c = byte_at(r, r->at);
	if (c >= DNS_POINTER) {
		__u32 target = (c & ~DNS_POINTER) << 8 | byte_at(r, r->at + 1);

		for (int i = 0; i <= CHAIN_MAX; i++)
			if (r->chain_at[i] == target && target) {
				r->end = r->at + 2;
				return i;
			}
	}
	end = read_name(r->at);
	if (!end)
		return -1;
	hash_name();
	for (__u32 i = 0; i <= CHAIN_MAX; i++)
		if (i < r->n_chain && r->chain[i] == r->hash)
			return i;
	return -1;
}

/* The slot of the same set, else one that is over, else the one that ends first. Two answers on two
 * CPUs begin at different slots, mostly. */
static __always_inline void put_slot(struct ln_abi_permit *p, __u32 set, __u64 until_ns)
{
	__u64 now = permit_time(bpf_ktime_get_ns()), until = permit_time(until_ns);
	__u64 first = ~0ULL;
	__u32 best = set;

	for (__u32 i = 0; i < LN_ABI_PERMIT_SLOTS; i++) {
		__u32 k = (set + i) & (LN_ABI_PERMIT_SLOTS - 1);
		__u64 slot = *(volatile __u64 *)&p->slots[k], ends = slot >> LN_ABI_SLOT_SET_BITS;

		if (slot_set(slot) == set) {
			best = k;
			until = ends > until ? ends : until;
			break;
		}
		ends = ends < now ? 0 : ends;
		if (ends < first) {
			first = ends;
			best = k;
		}
	}
	*(volatile __u64 *)&p->slots[best & (LN_ABI_PERMIT_SLOTS - 1)] =
	    until << LN_ABI_SLOT_SET_BITS | set;
}

static const struct ln_abi_permit no_permit = {};

/* Whether a name can permit this address at all, as ln_names_grantable has it. */
static __always_inline bool is_grantable(const struct ln_abi_host *host)
{
	const __u32 *words = (const __u32 *)host->addr;
	__u8 first = host->addr[0];

	if (host->family == 4)
		return first != 0 && first != 127 && first < 224;
	return first != 0xff &&
	       (words[0] || words[1] || words[2] || (words[3] && words[3] != bpf_htonl(1)));
}

/* Permits the address at `at`, of so many bytes. */
__noinline int permit_address(__u32 at, __u32 size, __u32 ttl)
{
	struct ln_abi_permit_key *key;
	struct reading *r = reading();
	struct ln_abi_permit *p;
	__u32 *words;

	if (!cfg_blocks || !r)
		return 0;
	key = &r->permit;
	__builtin_memset(key, 0, sizeof(*key));
	words = (__u32 *)key->host.addr;
	key->agent = r->agent;
	key->host.family = size == 4 ? 4 : 6;
	for (__u32 i = 0; i < 16; i++)
		if (i < size)
			key->host.addr[i] = byte_at(r, at + i);
	if (size != 4 && !words[0] && !words[1] && words[2] == bpf_htonl(0xffff)) {
		key->host.family = 4;
		words[0] = words[3];
		words[2] = words[3] = 0;
	}
	if (!is_grantable(&key->host))
		return 0;
	p = bpf_map_lookup_elem(&answered, key);
	if (!p) {
		bpf_map_update_elem(&answered, key, &no_permit, BPF_NOEXIST);
		p = bpf_map_lookup_elem(&answered, key);
	}
	if (!p) {
		count_lost(LN_ABI_LOST_PERMITS);
		return 0;
	}
	ttl = ttl < TTL_MIN_S ? TTL_MIN_S : ttl > TTL_MAX_S ? TTL_MAX_S : ttl;
	put_slot(p, r->chain_set,
		 bpf_ktime_get_ns() + ttl * NS_PER_S + *(volatile __u64 *)&cfg_grace_ns);
	return 0;
}

/* One more name that the question leads to. */
static __always_inline void add_alias(struct reading *r, __u32 at, __u32 ttl)
{
	__u64 n;

	if (r->n_chain > CHAIN_MAX || !read_name(at))
		return;
	hash_name();
	n = masked(r->n_chain, 31);
	if (n > CHAIN_MAX)
		return;
	r->chain[n] = r->hash;
	r->chain_at[n] = at;
	r->chain_ttl[n] = ttl;
	r->n_chain = n + 1;
}

/* The record at r->at. STEP_BAD: there is none. */
__noinline int record_step(void)
{
	struct reading *r = reading();
	__u32 at, type, size, ttl, known;
	int owner;

	if (!cfg_blocks || !r)
		return STEP_BAD;
	owner = find_owner();
	at = owner >= 0 ? r->end : (__u32)skip_name(r->at);
	if (!at || at + DNS_RECORD > r->len)
		return STEP_BAD;
	type = word_at(r, at);
	ttl = word_at(r, at + 4) << 16 | word_at(r, at + 6);
	size = word_at(r, at + 8);
	if (at + DNS_RECORD + size > r->len)
		return STEP_BAD;
	r->at = at + DNS_RECORD + size;
	if (owner < 0 || owner > CHAIN_MAX || word_at(r, at + 2) != DNS_CLASS_IN)
		return STEP_MORE;
	known = r->chain_ttl[owner];
	ttl = ttl < known ? ttl : known;
	if (type == DNS_CNAME)
		add_alias(r, at + DNS_RECORD, ttl);
	else if (type == r->qtype && size == (type == DNS_A ? 4 : 16))
		permit_address(at + DNS_RECORD, size, ttl);
	return STEP_MORE;
}

/* Whether the question of the message is the one that was sent; the case of letters may differ. */
__noinline int same_bytes(__u32 from, __u32 len)
{
	struct reading *r = reading();
	const struct question *q;

	if (!cfg_blocks || !r || from > LN_ABI_QUESTION_BYTES - 8)
		return 0;
	q = bpf_map_lookup_elem(&questions, &r->asked);
	if (!q || len > q->len)
		return 0;
	for (__u32 i = 0; i < 8; i++) {
		__u64 at = masked(from + i, 511);

		if (at >= len)
			break;
		if (at >= LN_ABI_QUESTION_BYTES ||
		    lower(q->bytes[at]) != lower(byte_at(r, DNS_HEADER + at)))
			return 0;
	}
	return 1;
}

__noinline int was_asked(__u32 len)
{
	for (__u32 i = 0; i < LN_ABI_QUESTION_BYTES; i += 8) {
		if (i >= len)
			return 1;
		if (!same_bytes(i, len))
			return 0;
	}
	return len <= LN_ABI_QUESTION_BYTES;
}

/* The message is in r->msg: permits what it has for a listed name. */
__noinline int read_answer(void)
{
	struct reading *r = reading();
	__u32 flags, records, end;

	if (!cfg_blocks || !r || r->len < DNS_HEADER)
		return 0;
	flags = word_at(r, 2);
	records = word_at(r, 6);
	if (!(flags & DNS_RESPONSE) || flags & (DNS_OPCODE | DNS_TRUNCATED | DNS_RCODE) ||
	    word_at(r, 4) != 1 || !records)
		return 0;
	end = read_name(DNS_HEADER);
	if (!end || end + 4 > r->len || word_at(r, end + 2) != DNS_CLASS_IN)
		return 0;
	r->qtype = word_at(r, end);
	if (r->qtype != DNS_A && r->qtype != DNS_AAAA)
		return 0;
	hash_name();
	if (!r->set || !was_asked(end + 4 - DNS_HEADER))
		return 0;
	r->chain[0] = r->hash;
	r->chain_at[0] = DNS_HEADER;
	r->chain_ttl[0] = ~0U;
	r->n_chain = 1;
	r->chain_set = r->set;
	for (int i = 1; i <= CHAIN_MAX; i++)
		r->chain_at[i] = 0;
	r->at = end + 4;
	for (__u32 i = 0; i < RECORDS_MAX; i++)
		if (i >= records || record_step() != STEP_MORE)
			break;
	return 1;
}

/* Whether the datagram is one between the tree and a trusted resolver; its place, and its socket in
 * `key`. What comes as the answer to a question that chose its way itself may be anybody's. */
static __always_inline bool with_resolver(struct __sk_buff *skb, bool out, struct packet *p,
					  struct question_key *key, __u32 *agent)
{
	struct bpf_sock *sk = full_socket(skb);
	struct udp_flows *u;
	struct sock_state *s;
	struct udp_slot slot;

	if (!sk || datagrams(skb) > 1)
		return false;
	s = tree_socket(sk);
	u = s ? bpf_sk_storage_get(&udp_flows, sk, 0, 0) : 0;
	if (!u || !read_udp(skb, out, p) || p->payload_len <= DNS_HEADER ||
	    !slot_copy(u, &p->dest, out, 0, &slot) || slot.routed || slot.same_tree || slot.refused)
		return false;
	flow_set_place(&p->dest, &slot.dest);
	p->dest.netns = s->netns;
	key->cookie = s->cookie;
	key->resolver = slot.dest;
	*agent = s->owner.agent;
	return is_resolver(&p->dest);
}

__noinline int note_question(struct __sk_buff *skb)
{
	struct question_key key = {};
	struct packet p = {};
	struct question *q;
	__u32 agent;
	__u64 len;
	__u16 id;

	if (!cfg_blocks || !with_resolver(skb, true, &p, &key, &agent) ||
	    bpf_skb_load_bytes(skb, p.payload_at, &id, sizeof(id)))
		return 0;
	key.id = id;
	bpf_map_update_elem(&questions, &key, &no_question, BPF_ANY);
	q = bpf_map_lookup_elem(&questions, &key);
	if (!q)
		return 0;
	len = p.payload_len - DNS_HEADER;
	asm volatile("%[n] += -1\n%[n] &= 511\n%[n] += 1" : [n] "+r"(len));
	if (len > LN_ABI_QUESTION_BYTES)
		len = LN_ABI_QUESTION_BYTES;
	if (!bpf_skb_load_bytes(skb, p.payload_at + DNS_HEADER, q->bytes, len)) {
		q->asked_ns = bpf_ktime_get_ns();
		q->len = len;
	}
	return 0;
}

__noinline int permit_answer(struct __sk_buff *skb)
{
	struct reading *r = reading();
	const struct question *q;
	struct packet p = {};
	__u32 agent;
	__u64 len;
	__u16 id;

	if (!cfg_blocks || !r)
		return 0;
	__builtin_memset(&r->asked, 0, sizeof(r->asked));
	if (!with_resolver(skb, false, &p, &r->asked, &agent) ||
	    bpf_skb_load_bytes(skb, p.payload_at, &id, sizeof(id)))
		return 0;
	r->asked.id = id;
	q = bpf_map_lookup_elem(&questions, &r->asked);
	if (!q || bpf_ktime_get_ns() - q->asked_ns > ASKED_NS)
		return 0;
	len = p.payload_len;
	if (len > LN_ABI_DNS_MAX) /* longer than any resolver is asked for */
		return 0;
	asm volatile("%[n] += -1\n%[n] &= %[mask]\n%[n] += 1"
		     : [n] "+r"(len)
		     : [mask] "i"(LN_ABI_DNS_MAX - 1));
	if (bpf_skb_load_bytes(skb, p.payload_at, r->msg, len))
		return 0;
	r->len = len;
	r->agent = agent;
	if (read_answer())
		bpf_map_delete_elem(&questions, &r->asked);
	return 0;
}
