/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block mode: DNS answers permit the addresses in them before the agent can read them. All state is
 * in the value of a per-CPU map and each step is a global function: so the verifier checks one
 * step, once, with unknown values, instead of all the steps in a row. */
#ifndef LINNET_ANSWER_BPF_H
#define LINNET_ANSWER_BPF_H

#include "bytes.bpf.h"
#include "permit.bpf.h"

#define DNS_HEADER  12
#define DNS_POINTER 0xc0
#define CHAIN_MAX   16

/* Questions of the tree to trusted resolvers, as they were sent. Written in egress, taken by the
 * answer. Full: the least used goes; its answer permits only when user space has read it. */
struct question_key {
	__u64 cookie;
	struct place resolver;
	__u32 id;
	__u32 pad;
};

struct question {
	__u64 asked_ns;
	__u32 len;
	__u8 bytes[LN_ABI_QUESTION_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LN_ABI_QUESTIONS_MAX);
	__type(key, struct question_key);
	__type(value, struct question);
} questions __weak SEC(".maps");

struct sip {
	__u64 v0, v1, v2, v3;
};

/* One answer while it is read. In softirq alone, so that none interrupts another. */
struct reading {
	__u32 len; /* of the message */
	__u32 at;  /* the next record */
	__u32 qtype;
	__u32 agent;
	struct question_key asked;
	struct ln_abi_permit_key permit; /* here, because Linux 6.1 leaves no room on the stack */
	/* A name: */
	__u32 next;  /* byte of it */
	__u32 label; /* bytes left of its label */
	__u32 end;   /* where the message goes on after it; 0 not known */
	__u32 jumps;
	__u32 text_len;
	/* Its hash: */
	struct sip sip;
	__u64 word;
	__u64 hash; /* of the labels so far */
	__u32 count;
	__u32 set; /* what is permitted for it, as far as it was looked at */
	/* Names that the question leads to, itself first. */
	__u64 chain[CHAIN_MAX + 1];
	__u32 chain_at[CHAIN_MAX + 1]; /* where it is written; 0 none */
	__u32 chain_ttl[CHAIN_MAX + 1];
	__u32 n_chain;
	__u32 chain_set; /* what is permitted for the question */
	__u8 text[256];
	__u8 msg[LN_ABI_DNS_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct reading);
} readings __weak SEC(".maps");

enum step { STEP_MORE, STEP_DONE, STEP_BAD };

/* NULL without block mode: the map is not there then. Linux before 6.8 checks global functions also
 * when nobody calls them, so each must see this for itself. */
static __always_inline struct reading *reading(void)
{
	__u32 zero = 0;

	if (!cfg_blocks)
		return 0;
	return bpf_map_lookup_elem(&readings, &zero);
}

/* clang knows bounds that the verifier does not, and would drop a plain mask. */
#define masked(value, mask_)                                                                       \
	({                                                                                         \
		__u64 masked_ = (value);                                                           \
		asm volatile("%[v] &= %[m]" : [v] "+r"(masked_) : [m] "i"(mask_));                 \
		masked_;                                                                           \
	})

static __always_inline __u32 byte_at(const struct reading *r, __u32 at)
{
	return r->msg[masked(at, LN_ABI_DNS_MAX - 1)];
}

static __always_inline __u32 word_at(const struct reading *r, __u32 at)
{
	return byte_at(r, at) << 8 | byte_at(r, at + 1);
}

static __always_inline __u32 lower(__u32 c)
{
	return c - 'A' < 26 ? c + ('a' - 'A') : c;
}

/* name.bpf.c: reads the name at `at` into r->text: where the message goes on after it, 0: it is
 * none. */
int read_name(__u32 at);
/* Computes r->hash and r->set of r->text. */
int hash_name(void);
/* Where the name at `at` ends, whatever it is; 0: nowhere. */
int skip_name(__u32 at);

/* A datagram of the tree goes to a trusted resolver: keeps its question. */
int note_question(struct __sk_buff *skb);
/* A datagram of a trusted resolver came in: if it answers a question that was kept, for a name that
 * is listed, its addresses are permitted. */
int permit_answer(struct __sk_buff *skb);

#endif
