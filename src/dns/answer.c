/* SPDX-License-Identifier: Apache-2.0 */
/* The answer section: what belongs to the question, and what does not. */
#include <arpa/nameser.h>
#include <string.h>
#include "base/macros.h"
#include "wire.h"

/* More links than a chain can hold, so that a few that lead nowhere do no harm. */
#define LINKS_MAX (2 * LN_DNS_CHAIN_MAX)

struct link {
	bool used;
	uint32_t ttl_s;
	char owner[LN_NAME_MAX];
	char target[LN_NAME_MAX];
};

struct walk {
	const struct ln_dns_view *m;
	const uint8_t *answer;
	struct ln_dns_message *msg;
	bool services; /* HTTPS and SVCB records count */
	size_t n_links;
	struct link links[LINKS_MAX];
	uint32_t ttl_s[LN_DNS_CHAIN_MAX + 1]; /* the smallest on the way to each position */
};

typedef bool (*visit_fn)(struct walk *w, const struct ln_dns_record *rr);

static bool each_record(struct walk *w, visit_fn visit)
{
	const uint16_t n_records = ln_dns_get16(w->m->start + 6);
	const uint8_t *at = w->answer;
	struct ln_dns_record rr;

	for (int i = 0; i < n_records; i++) {
		if (!ln_dns_read_record(w->m, &at, &rr) || !visit(w, &rr))
			return false;
	}
	return true;
}

static bool is_service(const struct ln_dns_record *rr)
{
	return rr->type == LN_DNS_SVCB || rr->type == LN_DNS_HTTPS;
}

static bool asked_for(const struct ln_dns_message *msg, uint16_t type)
{
	return msg->qtype == type || msg->qtype == ns_t_any;
}

int ln_dns_position(const struct ln_dns_message *msg, const char *name)
{
	if (strcmp(name, msg->qname) == 0)
		return 0;
	for (size_t i = 0; i < msg->n_chain; i++) {
		if (strcmp(name, msg->chain[i]) == 0)
			return (int)i + 1;
	}
	return -1;
}

void ln_dns_note_foreign(struct ln_dns_message *msg, uint32_t *count, const char *owner)
{
	if (msg->foreign_answers + msg->foreign_additional == 0)
		memcpy(msg->foreign_name, owner, strlen(owner) + 1);
	(*count)++;
}

/* RFC 9460, 2.2: one malformed record makes the client reject all of them, not the message. */
static bool check_service(struct walk *w, const struct ln_dns_record *rr)
{
	struct ln_dns_service service;

	if (is_service(rr) && !ln_dns_read_service(w->m, rr, &service))
		w->services = false;
	return true;
}

/* Keeps a CNAME record, or one in AliasMode, whether it belongs or not. False when its names are
 * malformed. */
static bool read_link(struct walk *w, const struct ln_dns_record *rr)
{
	struct ln_dns_service service = {.priority = 1};
	struct ln_dns_name owner;
	struct link *link = &w->links[w->n_links];
	int taken;

	if (is_service(rr) && w->services && asked_for(w->msg, rr->type)) {
		ln_dns_read_service(w->m, rr, &service);
		if (service.priority != 0 || service.self)
			return true;
	} else if (rr->type == ns_t_cname) {
		taken = ln_dns_read_name(w->m, rr->data, &service.target);
		if (taken < 0 || (size_t)taken != rr->data_len)
			return false;
	} else {
		return true;
	}
	if (ln_dns_read_name(w->m, rr->owner, &owner) < 0)
		return false;
	if (w->n_links == LINKS_MAX || rr->class != ns_c_in || !owner.host ||
	    !service.target.host) {
		w->msg->over++;
		return true;
	}
	link->used = false;
	link->ttl_s = rr->ttl_s;
	memcpy(link->owner, owner.text, LN_NAME_MAX);
	memcpy(link->target, service.target.text, LN_NAME_MAX);
	w->n_links++;
	return true;
}

static struct link *find_link(struct walk *w, const char *owner)
{
	for (size_t i = 0; i < w->n_links; i++) {
		if (!w->links[i].used && strcmp(w->links[i].owner, owner) == 0)
			return &w->links[i];
	}
	return NULL;
}

/* The records of a chain come in any order. A name has one CNAME (RFC 1034, 3.6.2): of several the
 * first counts. A target that was passed already ends the walk, so each round adds a new name or
 * is the last. */
static void follow_chain(struct walk *w)
{
	struct ln_dns_message *msg = w->msg;
	const char *name = msg->qname;
	struct link *link;

	w->ttl_s[0] = UINT32_MAX;
	while ((link = find_link(w, name)) != NULL) {
		size_t n = msg->n_chain;

		if (n == LN_DNS_CHAIN_MAX || ln_dns_position(msg, link->target) >= 0)
			break;
		link->used = true;
		memcpy(msg->chain[n], link->target, LN_NAME_MAX);
		w->ttl_s[n + 1] = LN_MIN(w->ttl_s[n], link->ttl_s);
		msg->chain_ttl_s[n] = w->ttl_s[n + 1];
		name = msg->chain[n];
		msg->n_chain++;
	}
	msg->over += (uint32_t)(w->n_links - msg->n_chain);
}

static void add_address(struct ln_dns_message *msg, uint8_t family, const uint8_t *bytes,
			const struct ln_dns_addr *like)
{
	struct ln_dns_addr *entry;

	if (msg->n_addrs == LN_DNS_ADDRS_MAX) {
		msg->over++;
		return;
	}
	entry = &msg->addrs[msg->n_addrs++];
	*entry = *like;
	entry->addr = ln_addr_make(family, bytes);
	if (ln_addr_is_loopback(&entry->addr) || ln_addr_is_unspecified(&entry->addr))
		msg->local_answers++;
}

/* What all addresses of a record at this position have in common. */
static struct ln_dns_addr reached(const struct walk *w, const struct ln_dns_record *rr,
				  int position)
{
	return (struct ln_dns_addr){
	    .ttl_s = LN_MIN(rr->ttl_s, w->ttl_s[position]),
	    .n_links = (uint8_t)position,
	    .target = -1,
	};
}

static void take_address(struct walk *w, const struct ln_dns_record *rr, int position)
{
	uint8_t family = rr->type == ns_t_a ? 4 : 6;
	struct ln_dns_addr like = reached(w, rr, position);

	if (rr->data_len == (family == 4 ? NS_INADDRSZ : NS_IN6ADDRSZ))
		add_address(w->msg, family, rr->data, &like);
	else
		w->msg->over++;
}

/* Its position, or -1 when there is no room. */
static int add_target(struct walk *w, const char *name, uint32_t ttl_s, int position)
{
	struct ln_dns_message *msg = w->msg;
	struct ln_dns_target *entry;

	for (size_t i = 0; i < msg->n_targets; i++) {
		if (strcmp(msg->targets[i].name, name) == 0)
			return (int)i;
	}
	if (msg->n_targets == LN_DNS_TARGETS_MAX)
		return -1;
	entry = &msg->targets[msg->n_targets];
	memcpy(entry->name, name, sizeof(entry->name));
	entry->ttl_s = LN_MIN(ttl_s, w->ttl_s[position]);
	entry->n_links = (uint8_t)position;
	return (int)msg->n_targets++;
}

static void take_service(struct walk *w, const struct ln_dns_record *rr, int position)
{
	struct ln_dns_addr like = reached(w, rr, position);
	struct ln_dns_service service;

	if (!w->services || !ln_dns_read_service(w->m, rr, &service) || service.priority == 0)
		return;
	if (!service.self) {
		int target = -1;

		if (service.target.host)
			target = add_target(w, service.target.text, rr->ttl_s, position);
		if (target < 0) {
			w->msg->over++;
			return;
		}
		like.target = (int8_t)target;
	}
	for (int six = 0; six < 2; six++) {
		size_t size = six ? NS_IN6ADDRSZ : NS_INADDRSZ;

		for (size_t i = 0; i < service.n_hints[six]; i++)
			add_address(w->msg, six ? 6 : 4, service.hints[six] + i * size, &like);
	}
}

/* False when it is malformed. */
static bool take_reverse(struct walk *w, const struct ln_dns_record *rr, int position)
{
	struct ln_dns_name name;
	int taken = ln_dns_read_name(w->m, rr->data, &name);

	if (taken < 0 || (size_t)taken != rr->data_len)
		return false;
	if (!name.host || add_target(w, name.text, rr->ttl_s, position) < 0)
		w->msg->over++;
	return true;
}

/* False when it is malformed. Records of other types (RRSIG, DNAME) are passed over. */
static bool take_record(struct walk *w, const struct ln_dns_record *rr)
{
	bool address = rr->type == ns_t_a || rr->type == ns_t_aaaa;
	bool wanted = asked_for(w->msg, rr->type);
	struct ln_dns_name owner;
	int position;

	if (!address && rr->type != ns_t_cname &&
	    (!wanted || (rr->type != ns_t_ptr && !is_service(rr))))
		return true;
	if (ln_dns_read_name(w->m, rr->owner, &owner) < 0)
		return false;
	position = ln_dns_position(w->msg, owner.text);
	if (rr->type != ns_t_cname && (rr->class != ns_c_in || position < 0 || !wanted))
		w->msg->over++;
	if (rr->class != ns_c_in)
		return true;
	if (position < 0) {
		if (address || rr->type == ns_t_cname)
			ln_dns_note_foreign(w->msg, &w->msg->foreign_answers, owner.text);
		return true;
	}
	if (address && wanted)
		take_address(w, rr, position);
	else if (is_service(rr))
		take_service(w, rr, position);
	else if (rr->type == ns_t_ptr)
		return take_reverse(w, rr, position);
	return true;
}

bool ln_dns_read_answer(const struct ln_dns_view *m, const uint8_t *answer,
			struct ln_dns_message *msg)
{
	struct walk w;

	w.m = m;
	w.answer = answer;
	w.msg = msg;
	w.services = true;
	w.n_links = 0;
	if (!each_record(&w, check_service) || !each_record(&w, read_link))
		return false;
	follow_chain(&w);
	return each_record(&w, take_record);
}
