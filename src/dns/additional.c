/* SPDX-License-Identifier: Apache-2.0 */
/* The additional section. It is there for the addresses of names that the message itself tells
 * (RFC 1034, 3.7), and grants nothing. Others nobody asked for: whoever believes them is poisoned.
 */
#include <arpa/nameser.h>
#include <string.h>
#include "base/table.h"
#include "wire.h"

#define TARGETS_MAX 256

/* Names that records tell, by their hash: a collision hides one foreign record. */
struct told {
	size_t n;
	uint32_t hashes[TARGETS_MAX];
};

static uint32_t hash_of(const struct ln_dns_name *name)
{
	return ln_table_hash(name->text, strlen(name->text));
}

static bool is_told(const struct told *told, const struct ln_dns_name *name)
{
	uint32_t hash = hash_of(name);

	for (size_t i = 0; i < told->n; i++) {
		if (told->hashes[i] == hash)
			return true;
	}
	return false;
}

/* Where in its data a record of this type names a host, or -1. */
static int host_offset(uint16_t type)
{
	switch (type) {
	case ns_t_ns:
		return 0;
	case ns_t_mx:
	case LN_DNS_SVCB:
	case LN_DNS_HTTPS:
		return 2;
	case ns_t_srv:
		return 6;
	default:
		return -1;
	}
}

static void note_told(const struct ln_dns_view *m, const struct ln_dns_record *rr,
		      struct told *told)
{
	int offset = host_offset(rr->type);
	struct ln_dns_name name;

	if (offset < 0 || rr->data_len <= (size_t)offset || told->n == TARGETS_MAX ||
	    ln_dns_read_name(m, rr->data + offset, &name) < 0 || !name.host)
		return;
	told->hashes[told->n++] = hash_of(&name);
}

/* False when its owner is malformed. */
static bool check(const struct ln_dns_view *m, const struct ln_dns_record *rr,
		  const struct told *told, struct ln_dns_message *msg)
{
	struct ln_dns_name owner;

	if ((rr->type != ns_t_a && rr->type != ns_t_aaaa) || rr->class != ns_c_in)
		return true;
	if (ln_dns_read_name(m, rr->owner, &owner) < 0)
		return false;
	if (ln_dns_position(msg, owner.text) < 0 && !is_told(told, &owner))
		ln_dns_note_foreign(msg, &msg->foreign_additional, owner.text);
	return true;
}

bool ln_dns_read_additional(const struct ln_dns_view *m, const uint8_t *answer,
			    struct ln_dns_message *msg)
{
	int n_before = ln_dns_get16(m->start + 6) + ln_dns_get16(m->start + 8);
	int n = n_before + ln_dns_get16(m->start + 10);
	const uint8_t *at = answer;
	struct told told = {.n = 0};
	struct ln_dns_record rr;

	if (n == n_before)
		return true;
	for (int i = 0; i < n; i++) {
		if (!ln_dns_read_record(m, &at, &rr))
			return false;
		note_told(m, &rr, &told);
	}
	at = answer;
	for (int i = 0; i < n; i++) {
		if (!ln_dns_read_record(m, &at, &rr) ||
		    (i >= n_before && !check(m, &rr, &told, msg)))
			return false;
	}
	return true;
}
