/* SPDX-License-Identifier: Apache-2.0 */
/* DNS over TCP (RFC 1035, 4.2.2; RFC 7766): each direction of a conversation put in order and cut
 * into messages, which are judged as those over UDP. What was missed cannot be made up for, because
 * only the lengths say where a message begins: the rest of that direction is told as a loss. */
#include "internal.h"

#include <netinet/in.h>
#include "base/table.h"
#include "payload/stream.h"

#define LENGTH_LEN   2
#define HELD_MAX     (80 << 10) /* one message of the largest size, and what came behind it */
#define QUESTION_MAX (4 << 10)
#define BAD_MAX      16 /* messages of one direction that are no DNS */

#define LOST_BYTES    "DNS over TCP that was missed: the rest is not read"
#define LOST_NOT_DNS  "what a trusted resolver gets over TCP is no DNS: not read"
#define LOST_TOO_MANY "too many DNS conversations over TCP: one is not read"

struct direction {
	struct ln_stream *stream; /* owned; NULL: nothing yet, or blind */
	bool blind;
	unsigned int bad;
};

struct ln_dns_stream {
	uint64_t id; /* of the flow */
	bool other;  /* it is no DNS: for bytes.c */
	struct direction ways[2];
	UT_hash_handle hh;
};

static void go_blind(struct direction *way)
{
	ln_stream_free(&way->stream);
	way->blind = true;
}

static void forget(struct ln_engine *e, struct ln_dns_stream *s)
{
	HASH_DEL(e->dns_streams, s);
	go_blind(&s->ways[0]);
	go_blind(&s->ways[1]);
	free(s);
}

static struct ln_dns_stream *find(struct ln_engine *e, uint64_t id)
{
	struct ln_dns_stream *s;

	HASH_FIND(hh, e->dns_streams, &id, sizeof(id), s);
	return s;
}

/* NULL: no memory. */
static struct ln_dns_stream *make(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_dns_stream *s;

	if (HASH_COUNT(e->dns_streams) >= LN_DNS_STREAMS_MAX) {
		forget(e, e->dns_streams);
		e->sum.tables_full++;
		ln_losses_add(e, ev->agent, LOST_TOO_MANY, 1);
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->id = ev->bytes.flow.id;
	HASH_ADD(hh, e->dns_streams, id, sizeof(s->id), s);
	if (!s->hh.tbl)
		free(LN_TAKE_PTR(s));
	return s;
}

static bool is_conversation(const struct ln_engine *e, const struct ln_flow *flow)
{
	return flow->proto == IPPROTO_TCP && !flow->inbound &&
	       (flow->remote.port == LN_PORT_DNS || ln_engine_lists_resolver(e, &flow->remote));
}

/* TLS, HTTP and SSH begin with bytes that would be a question of more than 4 KiB. A trusted
 * resolver is spoken to in DNS whatever it looks like. */
static bool is_other(const struct ln_engine *e, const struct ln_event *ev)
{
	return !ln_engine_lists_resolver(e, &ev->bytes.flow.remote) && !ev->bytes.inbound &&
	       ev->bytes.offset == 0 && ev->bytes.len > 0 &&
	       ev->bytes.bytes[0] >= QUESTION_MAX >> 8;
}

static void judge(struct ln_engine *e, const struct ln_event *ev, const struct ln_flow *flow,
		  bool answer, const uint8_t *bytes, size_t len, struct direction *way)
{
	const struct ln_dns_bytes m = {.flow = flow, .answer = answer, .bytes = bytes, .len = len};

	if (ln_questions_message(e, ev, &m))
		return;
	if (++way->bad < BAD_MAX)
		return;
	go_blind(way);
	ln_questions_doubt(e, e->now_ns);
	if (ln_engine_is_resolver(e, flow))
		ln_losses_add(e, ev->agent, LOST_NOT_DNS, 1);
}

static void read_messages(struct ln_engine *e, const struct ln_event *ev, struct direction *way)
{
	while (way->stream) {
		size_t len, message;
		const uint8_t *bytes = ln_stream_bytes(way->stream, &len);

		if (len < LENGTH_LEN)
			return;
		message = (size_t)bytes[0] << 8 | bytes[1];
		if (len - LENGTH_LEN < message)
			return;
		judge(e, ev, &ev->bytes.flow, ev->bytes.inbound, bytes + LENGTH_LEN, message, way);
		if (way->stream)
			ln_stream_consume(way->stream, LENGTH_LEN + message);
	}
}

/* False: something of it is missing, or somebody sent two versions of it. */
static bool put(const struct ln_event *ev, struct direction *way)
{
	if (!way->stream)
		way->stream = ln_stream_new(HELD_MAX);
	return way->stream &&
	       ln_stream_put(way->stream, ev->bytes.offset, ev->bytes.bytes, ev->bytes.len) == 0 &&
	       !ln_stream_differed(way->stream);
}

bool ln_dns_stream_take(struct ln_engine *e, const struct ln_event *ev)
{
	const struct ln_flow *flow = &ev->bytes.flow;
	struct ln_dns_stream *s;
	struct direction *way;
	bool whole;

	if (!is_conversation(e, flow))
		return false;
	s = find(e, flow->id);
	/* Nobody answers first: what does not start at its beginning was evicted, or came before
	 * the watch. It stays in the table so that this is told once. */
	whole = s || (ev->bytes.offset == 0 && !ev->bytes.inbound);
	if (!s) {
		s = make(e, ev);
		if (s)
			s->other = is_other(e, ev);
	}
	if (s && s->other)
		return false;
	way = s ? &s->ways[ev->bytes.inbound] : NULL;
	if (way && way->blind)
		return true;
	whole = whole && way && put(ev, way);
	if (whole)
		read_messages(e, ev, way);
	if (whole && !ev->bytes.cut)
		return true;
	if (way)
		go_blind(way);
	ln_losses_add(e, ev->agent, LOST_BYTES, 1);
	ln_questions_doubt(e, e->now_ns);
	return true;
}

/* What was asked in a message that never became whole is judged as far as it goes. */
void ln_dns_stream_end(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_dns_stream *s = e->dns_streams ? find(e, ev->flow.flow.id) : NULL;
	struct direction *out;
	const uint8_t *bytes;
	size_t len;

	if (!s)
		return;
	out = &s->ways[false];
	if (out->stream) {
		bytes = ln_stream_bytes(out->stream, &len);
		if (len > LENGTH_LEN)
			judge(e, ev, &ev->flow.flow, false, bytes + LENGTH_LEN, len - LENGTH_LEN,
			      out);
	}
	forget(e, s);
}

void ln_dns_streams_done(struct ln_engine *e)
{
	while (e->dns_streams)
		forget(e, e->dns_streams);
}
