// SPDX-License-Identifier: GPL-2.0-or-later
/* Names in a DNS message: reading them, and their hashes, by which the rules are found. */
#include "answer.bpf.h"

#define DNS_LABEL_MAX  63
#define NAME_MAX       253
#define NAME_STEPS_MAX 288 /* bytes, lengths and pointers of one name */
#define JUMPS_MAX      16

static __always_inline bool is_host_byte(__u32 c)
{
	return c - 'a' < 26 || c - '0' < 10 || c == '-' || c == '_';
}

static __always_inline void put_text(struct reading *r, __u32 c)
{
	r->text[masked(r->text_len, 255)] = c;
	r->text_len++;
}

/* The length of a label, a pointer, or the end of the name. */
static __always_inline enum step take_length(struct reading *r, __u32 c)
{
	__u32 target;

	if (!c) {
		r->end = r->end ? r->end : r->next + 1;
		return STEP_DONE;
	}
	if (c >= DNS_POINTER) {
		target = (c & ~DNS_POINTER) << 8 | byte_at(r, r->next + 1);
		r->end = r->end ? r->end : r->next + 2;
		if (target >= r->next || ++r->jumps > JUMPS_MAX)
			return STEP_BAD;
		r->next = target;
		return STEP_MORE;
	}
	if (c > DNS_LABEL_MAX)
		return STEP_BAD;
	if (r->text_len)
		put_text(r, '.');
	r->label = c;
	r->next++;
	return STEP_MORE;
}

/* One byte of a name; only those that a host's name has, so that no byte passes for a dot. */
__noinline int name_step(void)
{
	struct reading *r = reading();
	__u32 c;

	if (!cfg_blocks || !r || r->next >= r->len || r->text_len >= NAME_MAX)
		return STEP_BAD;
	c = byte_at(r, r->next);
	if (!r->label)
		return take_length(r, c);
	c = lower(c);
	if (!is_host_byte(c))
		return STEP_BAD;
	put_text(r, c);
	r->label--;
	r->next++;
	return STEP_MORE;
}

/* Reads the name at `at` into r->text: where the message goes on after it, 0: it is none. */
__noinline int read_name(__u32 at)
{
	struct reading *r = reading();
	int step = STEP_BAD;

	if (!cfg_blocks || !r)
		return 0;
	r->next = at;
	r->label = r->end = r->jumps = r->text_len = 0;
	for (int i = 0; i < NAME_STEPS_MAX; i++) {
		step = name_step();
		if (step != STEP_MORE)
			break;
	}
	return step == STEP_DONE && r->text_len ? r->end : 0;
}

static __always_inline __u64 rotate(__u64 x, int n)
{
	return x << n | x >> (64 - n);
}

static __always_inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static __always_inline void sip_word(struct sip *s, __u64 word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

static __always_inline void label_begin(struct reading *r)
{
	struct sip s = {
	    .v0 = cfg_name_key[0] ^ 0x736f6d6570736575,
	    .v1 = cfg_name_key[1] ^ 0x646f72616e646f6d,
	    .v2 = cfg_name_key[0] ^ 0x6c7967656e657261,
	    .v3 = cfg_name_key[1] ^ 0x7465646279746573,
	};

	sip_word(&s, r->hash);
	r->sip = s;
	r->word = 0;
	r->count = 8;
}

/* SipHash-1-3, see struct ln_abi_name_rule. The set of the closest rule counts. */
static __always_inline void label_end(struct reading *r, bool whole)
{
	const struct ln_abi_name_rule *rule;
	struct sip s = r->sip;
	__u64 hash;

	sip_word(&s, r->word | (__u64)r->count << 56);
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	hash = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
	r->hash = hash;
	rule = bpf_map_lookup_elem(&name_rules, &hash);
	if (rule)
		r->set = whole ? rule->whole : rule->below;
}

/* The byte of r->text that is `back` before its end. */
__noinline int hash_step(__u32 back)
{
	struct reading *r = reading();
	__u32 c;

	if (!cfg_blocks || !r || back >= r->text_len)
		return STEP_BAD;
	c = r->text[masked(r->text_len - 1 - back, 255)];
	if (c == '.') {
		label_end(r, false);
		label_begin(r);
		return STEP_MORE;
	}
	r->word |= (__u64)c << (8 * (r->count & 7));
	r->count++;
	if (!(r->count & 7)) {
		struct sip s = r->sip;

		sip_word(&s, r->word);
		r->sip = s;
		r->word = 0;
	}
	if (back + 1 < r->text_len)
		return STEP_MORE;
	label_end(r, true);
	return STEP_DONE;
}

/* Computes r->hash and r->set of r->text. */
__noinline int hash_name(void)
{
	struct reading *r = reading();

	if (!cfg_blocks || !r)
		return 0;
	r->hash = 0;
	r->set = 0;
	label_begin(r);
	for (int i = 0; i < NAME_MAX; i++)
		if (hash_step(i) != STEP_MORE)
			break;
	return 0;
}

/* Where the name at `at` ends, whatever it is. */
__noinline int skip_name(__u32 at)
{
	struct reading *r = reading();

	if (!cfg_blocks || !r)
		return 0;
	for (int i = 0; i < NAME_STEPS_MAX / 2; i++) {
		__u32 c = byte_at(r, at);

		if (at >= r->len)
			return 0;
		if (c >= DNS_POINTER)
			return at + 2;
		at += 1 + c;
		if (!c)
			return at;
	}
	return 0;
}
