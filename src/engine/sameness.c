/* SPDX-License-Identifier: Apache-2.0 */
#include "sameness.h"

#include <string.h>

enum ln_same_kind ln_same_kind_of(const struct ln_finding *f)
{
	if (f->kind == LN_FINDING_WIRE)
		return LN_SAME_WIRE;
	if (f->dns_way != LN_DNS_WAY_NONE && !f->title)
		return LN_SAME_DNS_WAY;
	if (f->kind == LN_FINDING_CLAIM)
		return LN_SAME_CLAIM;
	if (f->kind == LN_FINDING_DNS_ANSWER)
		return LN_SAME_FORGED;
	/* That it was received and that it is used are one thing. */
	if (f->kind == LN_FINDING_CHANNEL)
		return f->channel->kind == LN_CHANNEL_SOCKET_RECEIVED && f->flow ? LN_SAME_SOCKET
										 : LN_SAME_CHANNEL;
	if (f->verdict != LN_VERDICT_UNEXPECTED)
		return LN_SAME_SOCKET;
	return f->flow->inbound ? LN_SAME_INBOUND : LN_SAME_FLOW;
}

static void put_endpoint(struct ln_same_key *key, const struct ln_endpoint *ep)
{
	key->port = ep->port;
	key->addr.family = ep->addr.family;
	memcpy(key->addr.bytes, ep->addr.bytes, sizeof(key->addr.bytes));
}

static size_t put_bytes(struct ln_same_key *key, const char *bytes, size_t len)
{
	len = LN_MIN(len, sizeof(key->text) - 1);
	if (len > 0)
		memcpy(key->text, bytes, len);
	return len;
}

/* A destination that the agent reaches by somebody else's socket is not the same violation. */
static size_t put_party(struct ln_same_key *key, const struct ln_finding *f)
{
	const struct ln_flow *flow = f->flow;
	const struct ln_party *other = f->channel ? &f->channel->other : &flow->other;
	bool received = f->channel || flow->received;

	if (!received && !flow->passed)
		return 0;
	return (size_t)snprintf(key->text, sizeof(key->text), "%c%u", received ? 'r' : 'p',
				other->pid);
}

size_t ln_same_key_make(enum ln_same_kind kind, const struct ln_finding *f,
			const struct ln_buf *same, struct ln_same_key *ret)
{
	size_t len = 0;

	memset(ret, 0, sizeof(*ret));
	ret->kind = (uint8_t)kind;
	ret->agent = f->agent;
	if (f->flow)
		ret->proto = f->flow->proto;
	switch (kind) {
	case LN_SAME_FLOW:
	case LN_SAME_SOCKET:
		put_endpoint(ret, &f->flow->remote);
		len = put_party(ret, f);
		break;
	case LN_SAME_INBOUND:
		put_endpoint(ret, &f->flow->remote);
		ret->port = f->flow->local.port;
		break;
	case LN_SAME_WIRE:
		put_endpoint(ret, f->wire);
		len = put_bytes(ret, f->subject, strlen(f->subject));
		break;
	case LN_SAME_CHANNEL:
		ret->proto = (uint8_t)f->channel->kind;
		len = put_bytes(ret, same->data, same->len);
		break;
	case LN_SAME_CLAIM:
		put_endpoint(ret, &f->flow->remote);
		len = put_bytes(ret, same->data, same->len);
		break;
	case LN_SAME_NAME:
		ret->proto = 0;
		len = put_bytes(ret, f->query, strlen(f->query));
		break;
	case LN_SAME_GROUP:
		ret->proto = 0;
		len = put_bytes(ret, f->group->domain, strlen(f->group->domain));
		break;
	case LN_SAME_DNS_WAY:
		put_endpoint(ret, f->target ? &f->target->remote : &f->flow->remote);
		ret->proto = (uint8_t)f->dns_way;
		if (f->target && f->target->remote.addr.family == 0)
			len = put_bytes(ret, f->target->name, strlen(f->target->name));
		break;
	case LN_SAME_FORGED:
		ret->proto = (uint8_t)f->forgery;
		len = put_bytes(ret, f->query, strlen(f->query));
		break;
	case LN_SAME_UNREADABLE:
		put_endpoint(ret, &f->flow->remote);
		break;
	}
	return LN_SAME_HEAD + len;
}
