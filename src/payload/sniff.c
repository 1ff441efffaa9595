/* SPDX-License-Identifier: Apache-2.0 */
#include "sniff.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "base/macros.h"
#include "head.h"
#include "quic.h"
#include "stream.h"

#define LIKE_QUIC "it begins like QUIC, and does not open"

struct ln_sniff {
	struct ln_stream *stream; /* owned; NULL: UDP, or done */
	struct ln_quic *quic;     /* owned; NULL: TCP, or done */
	unsigned int n_datagrams;
	uint8_t proto;
	uint8_t depth;
	bool done;
	bool no_memory;        /* of a part that is not held any more, see ln_sniff_no_memory */
	bool requests;         /* HTTP requests follow, or nothing that is read */
	size_t reader;         /* the one that wants more; those before it refused */
	size_t known;          /* bytes that it has seen */
	size_t consumed;       /* bytes of the heads that were read, and of bodies */
	uint64_t skip;         /* bytes of a body that are passed over */
	struct ln_claim *last; /* owned; of the head or hello before; NULL: none */
};

const char *ln_layer_text(enum ln_layer l)
{
	static const char *const texts[] = {
	    [LN_LAYER_TLS] = "tls",
	    [LN_LAYER_QUIC] = "quic",
	    [LN_LAYER_HTTP] = "http",
	    [LN_LAYER_HTTP2] = "http2",
	    [LN_LAYER_HTTP_PROXY] = "http-proxy",
	    [LN_LAYER_SOCKS4] = "socks4",
	    [LN_LAYER_SOCKS5] = "socks5",
	    [LN_LAYER_SSH] = "ssh",
	    [LN_LAYER_OTHER] = "other",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_LAYER_COUNT, "a text for each layer");

	return (unsigned int)l < LN_LAYER_COUNT ? texts[l] : "unknown";
}

static void stop(struct ln_sniff *s)
{
	s->done = true;
	s->no_memory = ln_sniff_no_memory(s);
	ln_stream_free(&s->stream);
	ln_quic_free(&s->quic);
	free(LN_TAKE_PTR(s->last));
}

struct ln_sniff *ln_sniff_new(uint8_t proto)
{
	struct ln_sniff *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->proto = proto;
	if (proto == IPPROTO_UDP)
		s->quic = ln_quic_new();
	else
		s->stream = ln_stream_new(LN_SNIFF_MAX);
	if (!s->quic && !s->stream)
		ln_sniff_free(&s);
	return s;
}

void ln_sniff_free(struct ln_sniff **s)
{
	if (!*s)
		return;
	stop(*s);
	free(*s);
	*s = NULL;
}

static void set_hello(struct ln_claim *c, const struct ln_tls_hello *h)
{
	if (h->has_name)
		ln_head_set_host(c, h->name, strlen(h->name));
	c->ech = h->ech;
	memcpy(c->alpn, h->alpn, sizeof(h->alpn));
}

static int read_tls(const uint8_t *bytes, size_t len, bool cut, struct ln_head *ret)
{
	struct ln_tls_hello h;
	int r = cut ? ln_tls_read_cut(bytes, len, &h) : ln_tls_read(bytes, len, &h);

	if (r < 0)
		return r;
	*ret = (struct ln_head){.claim.layer = LN_LAYER_TLS};
	set_hello(&ret->claim, &h);
	return 0;
}

/* No two protocols begin alike, so the first one that does not refuse is the one. */
static const struct {
	int (*head)(const uint8_t *bytes, size_t len, bool cut, struct ln_head *ret);
	bool (*may_settle)(const uint8_t *bytes, size_t known, size_t len); /* NULL: each byte */
} readers[] = {
    {read_tls, NULL},
    {ln_socks4_read_head, NULL},
    {ln_socks5_read_head, NULL},
    {ln_ssh_read_head, NULL},
    {ln_http_read_head, ln_http_may_settle},
};

/* Goes on with the reader that wanted more. */
static int read_head(struct ln_sniff *s, const uint8_t *bytes, size_t len, bool cut,
		     struct ln_head *ret)
{
	for (; s->reader < LN_ARRAY_SIZE(readers); s->reader++, s->known = 0) {
		int r;

		if (s->known > 0 && !cut && readers[s->reader].may_settle &&
		    !readers[s->reader].may_settle(bytes, s->known, len))
			r = -EAGAIN;
		else
			r = readers[s->reader].head(bytes, len, cut, ret);
		if (r == -EAGAIN)
			s->known = len;
		if (r != -EBADMSG)
			return r;
	}
	*ret = (struct ln_head){.claim.layer = LN_LAYER_OTHER};
	return 0;
}

/* Whether a head says what the one before said: the next request to the same host, or the same
 * tunnel once more, because the relay wanted a password first. */
static bool is_repeated(const struct ln_sniff *s, const struct ln_claim *c)
{
	return s->last && c->layer == s->last->layer && c->port == s->last->port &&
	       ln_head_same_host(c, s->last) && strcmp(c->detail, s->last->detail) == 0;
}

static void remember(struct ln_sniff *s, const struct ln_claim *c)
{
	if (!s->last)
		s->last = malloc(sizeof(*s->last));
	s->no_memory |= !s->last;
	if (s->last)
		*s->last = *c;
}

static void consume(struct ln_sniff *s, size_t len)
{
	ln_stream_consume(s->stream, len);
	s->consumed += len;
	s->reader = 0;
	s->known = 0;
}

/* Tells a head, and makes ready for what follows it. False: nothing does. */
static bool tell(struct ln_sniff *s, struct ln_head *head, ln_claim_fn fn, void *user)
{
	bool repeated = is_repeated(s, &head->claim);

	if (s->requests && head->claim.layer != LN_LAYER_HTTP &&
	    head->claim.layer != LN_LAYER_HTTP_PROXY)
		return false;
	head->claim.depth = s->depth;
	if (!repeated)
		fn(&head->claim, user);
	if (head->next == LN_HEAD_END)
		return false;
	if (head->next == LN_HEAD_TUNNEL && !repeated && s->depth++ == LN_SNIFF_DEPTH)
		return false;
	s->requests = head->next == LN_HEAD_REQUEST;
	s->skip = head->next == LN_HEAD_REQUEST ? head->body_len : 0;
	remember(s, &head->claim);
	consume(s, head->len);
	return true;
}

/* False: nothing more will come of it. */
static bool read_stream(struct ln_sniff *s, ln_claim_fn fn, void *user)
{
	while (true) {
		struct ln_head head;
		const uint8_t *bytes;
		size_t len;
		bool cut;

		ln_stream_bytes(s->stream, &len);
		if (s->skip > 0) {
			size_t n = LN_MIN(len, s->skip);

			consume(s, n);
			s->skip -= n;
		}
		bytes = ln_stream_bytes(s->stream, &len);
		if (len == 0)
			return s->consumed < LN_SNIFF_MAX;
		cut = s->consumed + len >= LN_SNIFF_MAX;
		/* A later request that is cut says no less than the one that would be behind it. */
		if (read_head(s, bytes, len, cut && !s->requests, &head) < 0)
			return !cut;
		if (!tell(s, &head, fn, user))
			return false;
	}
}

/* Of a hello that never became whole no name is known; that must not look like no name. */
static int read_hello(struct ln_sniff *s, bool maybe, const uint8_t *bytes, size_t len,
		      struct ln_tls_hello *ret)
{
	int r = maybe ? ln_quic_put(s->quic, bytes, len, ret) : -EBADMSG;

	if (r == -EAGAIN && !s->last && s->n_datagrams == LN_SNIFF_DATAGRAMS)
		return ln_quic_cut(s->quic, ret);
	return r;
}

/* From the same port a client may begin one connection after the other, each with its own name. It
 * may also say the hello once more, in part: without an end that is nothing new. */
static bool expect_another(struct ln_sniff *s)
{
	s->no_memory |= ln_quic_no_memory(s->quic);
	ln_quic_free(&s->quic);
	s->quic = ln_quic_new();
	s->no_memory |= !s->quic;
	return s->quic && s->n_datagrams < LN_SNIFF_DATAGRAMS;
}

/* False: nothing more will come of it. */
static bool read_datagram(struct ln_sniff *s, const uint8_t *bytes, size_t len, ln_claim_fn fn,
			  void *user)
{
	struct ln_claim c = {.layer = LN_LAYER_QUIC};
	struct ln_tls_hello h;
	bool maybe = s->n_datagrams++ > 0 || ln_quic_maybe(bytes, len);
	int r = read_hello(s, maybe, bytes, len, &h);

	if (r == -EAGAIN)
		return s->n_datagrams < LN_SNIFF_DATAGRAMS;
	if (r < 0 && s->last)
		return expect_another(s);
	if (r == 0) {
		set_hello(&c, &h);
	} else {
		c.layer = LN_LAYER_OTHER;
		snprintf(c.detail, sizeof(c.detail), "%s", maybe ? LIKE_QUIC : "");
	}
	if (!is_repeated(s, &c))
		fn(&c, user);
	remember(s, &c);
	return r == 0 && expect_another(s);
}

bool ln_sniff_no_memory(const struct ln_sniff *s)
{
	return s->no_memory || (s->stream && ln_stream_no_memory(s->stream)) ||
	       (s->quic && ln_quic_no_memory(s->quic));
}

bool ln_sniff_put(struct ln_sniff *s, uint32_t offset, const uint8_t *bytes, size_t len,
		  ln_claim_fn fn, void *user)
{
	bool more = true;

	if (s->done)
		return false;
	if (s->proto == IPPROTO_UDP) {
		more = read_datagram(s, bytes, len, fn, user);
	} else if (offset < LN_SNIFF_MAX) {
		/* What is not kept now may be sent again; without it there is no claim. */
		ln_stream_put(s->stream, offset, bytes, LN_MIN(len, LN_SNIFF_MAX - offset));
		more = read_stream(s, fn, user);
	}
	if (!more)
		stop(s);
	return more;
}
