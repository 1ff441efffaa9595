/* SPDX-License-Identifier: Apache-2.0 */
/* What a record was made of that is no plain flow: DNS messages, other destinations and channels,
 * and what the bytes said. */
#include <string.h>
#include "dns/message.h"
#include "engine/words.h"
#include "log_impl.h"
#include "story.h"

#define MESSAGE_MAX 4096
#define TTL_MAX     INT32_MAX

static const char *why_text(unsigned int i)
{
	return ln_wire_why_text((enum ln_wire_why)i);
}

static const char *kind_text(unsigned int i)
{
	return ln_channel_kind_text((enum ln_channel_kind)i);
}

static const char *family_text(unsigned int i)
{
	return ln_family_text((uint8_t)i);
}

static const char *type_text(unsigned int i)
{
	return ln_socktype_text((uint8_t)i);
}

static const char *layer_text(unsigned int i)
{
	return ln_layer_text((enum ln_layer)i);
}

/* A type that has no name here is asked for as another one of which nothing is known. */
static const char *type_of(struct ln_log_reader *r, const json_t *o)
{
	const char *type = ln_log_text(r, o, "qtype");

	return type && strncmp(type, "TYPE", 4) != 0 ? type : "TXT";
}

static void add_record(json_t *records, const char *owner, const char *type, uint32_t ttl_s,
		       const char *data)
{
	json_array_append_new(records, json_pack("{s:s, s:s, s:i, s:s}", "name", owner, "type",
						 type, "ttl", (int)ttl_s, "data", data));
}

/* The chain from the name that was asked for; returns where it ends. */
static const char *add_aliases(struct ln_log_reader *r, const json_t *o, const char *query,
			       json_t *records)
{
	const json_t *list = ln_log_list(r, o, "aliases"), *one;
	const char *owner = query;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *name = ln_log_text(r, one, "name");
		uint32_t ttl_s = (uint32_t)ln_log_number(r, one, "ttl", TTL_MAX);

		if (!name || i == LN_DNS_CHAIN_MAX) {
			ln_log_wrong(r, "\"aliases\" has what is no name, or too many");
			return owner;
		}
		add_record(records, owner, "CNAME", ttl_s, name);
		owner = name;
	}
	return owner;
}

static void add_services(struct ln_log_reader *r, const json_t *o, const char *owner,
			 const char *type, json_t *records)
{
	const json_t *list = ln_log_list(r, o, "services"), *one;
	char data[LN_NAME_MAX + 2];
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *name = ln_log_text(r, one, "name");
		uint32_t ttl_s = (uint32_t)ln_log_number(r, one, "ttl", TTL_MAX);

		if (!name || i == LN_DNS_TARGETS_MAX) {
			ln_log_wrong(r, "\"services\" has what is no name, or too many");
			return;
		}
		snprintf(data, sizeof(data), "1 %s", name);
		add_record(records, owner, type, ttl_s, data);
	}
}

/* The time that an address lasts comes with the names of the flows that use it; here the shortest
 * one will do. */
static void add_answers(struct ln_log_reader *r, const json_t *o, const char *owner,
			const char *type, json_t *records)
{
	const json_t *list = ln_log_list(r, o, "answers"), *one;
	struct ln_addr addr;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *text = json_string_value(one);

		if (!text || i == LN_DNS_ADDRS_MAX || !ln_addr_parse(text, &addr)) {
			ln_log_wrong(r, "\"answers\" has what is no address, or too many");
			return;
		}
		if (strcmp(type, addr.family == 4 ? "A" : "AAAA") == 0)
			add_record(records, owner, type, 0, text);
	}
}

static json_t *make_message(struct ln_log_reader *r, const json_t *o, const char *query,
			    bool answer)
{
	const char *type = type_of(r, o), *owner;
	json_t *records;

	if (!answer)
		return json_pack("{s:s, s:s}", "name", query, "type", type);
	records = json_array();
	owner = add_aliases(r, o, query, records);
	add_services(r, o, owner, type, records);
	add_answers(r, o, owner, type, records);
	return json_pack("{s:s, s:s, s:i, s:o}", "name", query, "type", type, "rcode",
			 (int)ln_log_number(r, o, "rcode", 15), "records", records);
}

/* An answer that was not trusted has taught nothing that the names of flows do not say again. */
static bool is_told(struct ln_log_reader *r, const json_t *o, bool answer)
{
	return !answer || (ln_log_bool(r, o, "trusted") && !ln_log_text(r, o, "forged"));
}

void ln_log_give_dns(struct ln_log_reader *r, const struct ln_log_record *rec, bool answer)
{
	struct ln_event ev = ln_log_event(r, rec, LN_EVENT_DNS);
	const char *query = ln_log_text(r, rec->json, "query");
	uint8_t bytes[MESSAGE_MAX];
	struct ln_error err = {0};
	json_t *message = NULL;

	if (!is_told(r, rec->json, answer) || (answer && !query))
		return;
	ev.dns.flow = ln_log_flow(r, rec->json);
	ev.dns.answer = answer;
	ev.dns.bytes = bytes;
	if (query)
		message = make_message(r, rec->json, query, answer);
	/* One that could not be read is told as such again. */
	if (query &&
	    ln_story_dns_message(message, answer, &err, bytes, sizeof(bytes), &ev.dns.len) < 0)
		ln_log_wrong(r, "no DNS message: %s", err.text);
	json_decref(message);
	ln_log_give(r, &ev);
}

void ln_log_give_wire(struct ln_log_reader *r, const struct ln_log_record *rec)
{
	struct ln_event ev = ln_log_event(r, rec, LN_EVENT_WIRE);

	ev.wire.flow = ln_log_flow(r, rec->json);
	ev.wire.wire = ev.wire.flow.remote;
	ev.wire.flow.remote = ln_log_endpoint(r, rec->json, "named");
	ev.wire.why = (enum ln_wire_why)ln_log_word(r, rec->json, "way", why_text, LN_WIRE_COUNT,
						    LN_WIRE_CHANGED);
	ln_log_give_names(r, rec, "names", &ev.wire.wire.addr);
	ln_log_give_names(r, rec, "named_names", &ev.wire.flow.remote.addr);
	ln_log_give(r, &ev);
}

void ln_log_give_channel(struct ln_log_reader *r, const struct ln_log_record *rec)
{
	struct ln_event ev = ln_log_event(r, rec, LN_EVENT_CHANNEL);
	const json_t *o = rec->json, *path = json_object_get(o, "path");
	struct ln_channel *c = &ev.channel;
	struct ln_flow flow;

	c->kind = (enum ln_channel_kind)ln_log_word(r, o, "channel", kind_text, LN_CHANNEL_COUNT,
						    LN_CHANNEL_COUNT);
	if (c->kind == LN_CHANNEL_COUNT)
		ln_log_wrong(r, "a channel of no kind");
	flow = ln_log_flow(r, o);
	c->how = flow.how;
	c->family = (uint8_t)ln_log_word(r, o, "family", family_text, UINT8_MAX, 0);
	c->type = (uint8_t)ln_log_word(r, o, "socket_type", type_text, UINT8_MAX, 0);
	c->number = (uint32_t)ln_log_number(r, o, "number", UINT32_MAX);
	c->held_back = (uint32_t)ln_log_number(r, o, "held_back", UINT32_MAX);
	c->syscall = ln_log_keep(r, ln_log_text(r, o, "syscall"));
	c->own_ns = ln_log_bool(r, o, "own_ns");
	c->same_tree = ln_log_bool(r, o, "same_tree");
	c->abstract = ln_log_bool(r, o, "abstract");
	c->refused = ln_log_bool(r, o, "refused");
	c->existing = ln_log_bool(r, o, "existing");
	c->read_only = ln_log_bool(r, o, "read_only");
	c->other = flow.other;
	if (json_is_string(path)) {
		c->path = json_string_value(path);
		c->path_len = json_string_length(path);
	}
	if (flow.proto != 0)
		c->flow = &flow;
	ln_log_give(r, &ev);
}

static void read_claimed(struct ln_log_reader *r, const json_t *o, struct ln_claim *c)
{
	const json_t *claimed = json_object_get(o, "claimed");
	const char *name = ln_log_text(r, claimed, "name");

	if (name && !ln_name_canonical(name, strlen(name), c->name))
		ln_log_wrong(r, "\"claimed\" has what is no name");
	c->addr = ln_log_addr(r, claimed, "ip");
	c->port = (uint16_t)ln_log_number(r, claimed, "port", UINT16_MAX);
}

void ln_log_give_claim(struct ln_log_reader *r, const struct ln_log_record *rec)
{
	const json_t *o = rec->json, *target = json_object_get(o, "target");
	struct ln_event ev = ln_log_event(r, rec, LN_EVENT_CLAIM);
	const char *alpn = ln_log_text(r, o, "alpn"), *detail = ln_log_text(r, o, "detail");
	struct ln_addr addr = ln_log_addr(r, target, "ip");
	struct ln_claim c = {
	    .layer = (enum ln_layer)ln_log_word(r, o, "layer", layer_text, LN_LAYER_COUNT,
						LN_LAYER_OTHER),
	    .depth = (uint8_t)ln_log_number(r, o, "depth", LN_SNIFF_DEPTH),
	    .has_name = ln_log_bool(r, o, "has_name"),
	    .ech = ln_log_bool(r, o, "ech"),
	};

	read_claimed(r, o, &c);
	snprintf(c.alpn, sizeof(c.alpn), "%s", alpn ? alpn : "");
	snprintf(c.detail, sizeof(c.detail), "%s", detail ? detail : "");
	ev.claim.flow = ln_log_flow(r, o);
	ev.claim.claim = &c;
	ln_log_give_names(r, rec, "names", &addr);
	ln_log_give(r, &ev);
}
