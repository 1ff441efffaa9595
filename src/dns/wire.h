/* SPDX-License-Identifier: Apache-2.0 */
/* Names and records as they stand in a DNS message (RFC 1035, 3 and 4). Only src/dns includes it.
 * All of it checks its own borders. */
#ifndef LINNET_DNS_WIRE_H
#define LINNET_DNS_WIRE_H

#include "message.h"

struct ln_dns_view {
	const uint8_t *start;
	const uint8_t *end;
};

struct ln_dns_name {
	bool host; /* not the root, and no byte that no host name has; else the texts are "" */
	char text[LN_NAME_MAX]; /* canonical */
	char raw[LN_NAME_MAX];  /* the same in the case that it came in */
};

struct ln_dns_record {
	const uint8_t *owner; /* not read yet: it costs more than all the rest */
	uint16_t type;
	uint16_t class;
	uint32_t ttl_s;
	const uint8_t *data;
	size_t data_len;
};

/* RFC 9460, 2.2. In AliasMode (priority 0) the parameters do not count. */
struct ln_dns_service {
	uint16_t priority;
	bool self; /* "." is the target */
	struct ln_dns_name target;
	const uint8_t *hints[2]; /* IPv4, IPv6 */
	size_t n_hints[2];
};

uint16_t ln_dns_get16(const uint8_t *at);
/* Returns the bytes that the name takes at `at` (RFC 1035, 4.1.4), or -1 when it is malformed. */
int ln_dns_read_name(const struct ln_dns_view *m, const uint8_t *at, struct ln_dns_name *ret);
/* The record at *at (RFC 1035, 4.1.3); moves *at behind it. */
bool ln_dns_read_record(const struct ln_dns_view *m, const uint8_t **at, struct ln_dns_record *ret);
/* False when it is malformed. */
bool ln_dns_read_service(const struct ln_dns_view *m, const struct ln_dns_record *rr,
			 struct ln_dns_service *ret);

/* answer.c; the section of an answer. False when it is malformed. */
bool ln_dns_read_answer(const struct ln_dns_view *m, const uint8_t *answer,
			struct ln_dns_message *msg);
/* Position of the name on the way from the question: 0 the question itself, i + 1 for chain[i];
 * -1: not on it. */
int ln_dns_position(const struct ln_dns_message *msg, const char *name);
/* A record that does not belong: the first one's owner is kept. */
void ln_dns_note_foreign(struct ln_dns_message *msg, uint32_t *count, const char *owner);

/* additional.c; counts what nobody asked for. False when it is malformed. */
bool ln_dns_read_additional(const struct ln_dns_view *m, const uint8_t *answer,
			    struct ln_dns_message *msg);

#endif
