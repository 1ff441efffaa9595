/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP/1 request (RFC 9112), as far as it names where it goes, and the preface of
 * HTTP/2. Servers differ in what they forgive. Whatever two of them could read as two names is a
 * name that cannot be read. Of a path nothing is kept, it can hold secrets, but that it is DNS. */
#include "head.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/macros.h"

#define METHOD_MAX 32
#define BLANKS_MAX 256 /* before a request */

struct text {
	const char *at;
	size_t len;
};

struct request {
	struct text method, target;
	struct ln_claim host; /* by Host lines */
	bool has_host, two_hosts;
	bool host_line;    /* the line before was one */
	bool unreadable;   /* bytes that servers take in different ways */
	bool body_unknown; /* where the next request begins cannot be told */
	bool has_length;
	uint64_t body_len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static bool is_token(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c);
}

static struct text trim(struct text t)
{
	while (t.len > 0 && is_blank(t.at[0])) {
		t.at++;
		t.len--;
	}
	while (t.len > 0 && is_blank(t.at[t.len - 1]))
		t.len--;
	return t;
}

static bool equals(struct text t, const char *word)
{
	return t.len == strlen(word) && strncasecmp(t.at, word, t.len) == 0;
}

/* A line without its end, LF or CR LF. False: its end is not there. */
static bool take_line(struct text *rest, struct text *ret)
{
	const char *end = rest->len > 0 ? memchr(rest->at, '\n', rest->len) : NULL;

	if (!end)
		return false;
	*ret = (struct text){rest->at, (size_t)(end - rest->at)};
	if (ret->len > 0 && end[-1] == '\r')
		ret->len--;
	rest->len -= (size_t)(end + 1 - rest->at);
	rest->at = end + 1;
	return true;
}

/* Before a request: an empty line does not count (RFC 9112, 2.2), and blanks not for all servers.
 */
static bool is_ahead(char c)
{
	return is_blank(c) || c == '\n';
}

/* 0: the method is there, and a blank. */
static int take_method(struct text *rest, struct text *ret)
{
	size_t n = 0;

	for (int i = 0; i < BLANKS_MAX && rest->len > 0 && is_ahead(rest->at[0]); i++) {
		rest->at++;
		rest->len--;
	}
	while (n < rest->len && n <= METHOD_MAX && is_token(rest->at[n]))
		n++;
	if (n > METHOD_MAX)
		return -EBADMSG;
	if (n == rest->len)
		return -EAGAIN;
	if (n == 0 || !is_blank(rest->at[n]))
		return -EBADMSG;
	*ret = (struct text){rest->at, n};
	rest->at += n;
	rest->len -= n;
	return 0;
}

/* The part before "://"; 0: the target is no absolute URL. */
static size_t scheme_length(struct text target)
{
	size_t n = 0;

	while (n < target.len && is_token(target.at[n]))
		n++;
	return n > 0 && target.len - n >= 3 && memcmp(target.at + n, "://", 3) == 0 ? n : 0;
}

/* Of those that a line without a version has to begin with, to be none of another protocol. */
static bool is_known_method(struct text t)
{
	static const char *const methods[] = {"CONNECT", "DELETE", "GET",  "HEAD",
					      "OPTIONS", "PATCH",  "POST", "PUT"};

	for (size_t i = 0; i < LN_ARRAY_SIZE(methods); i++)
		if (t.len == strlen(methods[i]) && memcmp(t.at, methods[i], t.len) == 0)
			return true;
	return false;
}

static bool is_version(struct text t)
{
	return t.len > 5 && strncasecmp(t.at, "HTTP/", 5) == 0 && t.at[5] >= '0' && t.at[5] <= '9';
}

/* What is behind the method: target and version, of which servers take any. A target with blanks
 * inside is for those that look for the last word of the line. Without a version (HTTP/0.9) the
 * head is over for some, and others go on and find a host: 1. */
static int split_request_line(struct text line, struct request *q)
{
	struct text version;
	size_t at;

	line = trim(line);
	for (at = line.len; at > 0 && !is_blank(line.at[at - 1]); at--)
		;
	version = (struct text){line.at + at, line.len - at};
	q->target = trim((struct text){line.at, at});
	if (is_version(version) && q->target.len > 0)
		return 0;
	q->target = line;
	q->body_unknown = true;
	q->unreadable = true;
	return at == 0 && line.len > 0 && is_known_method(q->method) ? 1 : -EBADMSG;
}

static void add_host(struct request *q, struct text value)
{
	struct ln_claim host = {0};

	if (value.len > 0)
		ln_head_set_authority(&host, value.at, value.len);
	if (q->has_host && (!ln_head_same_host(&host, &q->host) || host.port != q->host.port))
		q->two_hosts = true;
	q->host = host;
	q->has_host = true;
}

static void add_length(struct request *q, struct text value)
{
	uint64_t len = 0;
	size_t digits = 0;

	for (size_t i = 0; i < value.len && value.at[i] >= '0' && value.at[i] <= '9'; i++) {
		len = LN_MIN(len, UINT32_MAX) * 10 + (uint64_t)(value.at[i] - '0');
		digits++;
	}
	if (digits == 0 || digits != value.len || (q->has_length && len != q->body_len))
		q->body_unknown = true;
	q->has_length = true;
	q->body_len = len;
}

/* A line that begins with a blank goes on with the one before (obs-fold), or it is a line of its
 * own: the one for a host is read as both. */
static void read_header(struct text line, struct request *q)
{
	bool folded = line.len > 0 && is_blank(line.at[0]);
	const char *colon = line.len > 0 ? memchr(line.at, ':', line.len) : NULL;
	struct text name = {line.at, colon ? (size_t)(colon - line.at) : line.len}, value = {0};

	if (memchr(line.at, '\0', line.len) || memchr(line.at, '\r', line.len))
		q->unreadable = true;
	if (folded && q->host_line && trim(line).len > 0)
		q->unreadable = true;
	if (colon)
		value = trim((struct text){colon + 1, line.len - name.len - 1});
	name = trim(name);
	if (colon && equals(name, "host"))
		add_host(q, value);
	else if (colon && equals(name, "content-length"))
		add_length(q, value);
	else if (equals(name, "transfer-encoding"))
		q->body_unknown = true;
	q->host_line = (folded && q->host_line) || equals(name, "host");
}

/* 0: up to the empty line; -EAGAIN: it is not there yet. */
static int read_headers(struct text *rest, struct request *q)
{
	struct text line;

	while (take_line(rest, &line)) {
		if (line.len == 0)
			return 0;
		read_header(line, q);
	}
	return -EAGAIN;
}

static uint16_t scheme_port(struct text scheme)
{
	if (equals(scheme, "http") || equals(scheme, "ws"))
		return 80;
	if (equals(scheme, "https") || equals(scheme, "wss"))
		return 443;
	return equals(scheme, "ftp") ? 21 : 0;
}

/* host[:port] of an absolute URL, behind a user and password if there are any. A mark that ends
 * the host for some, and is part of a password for others, makes it one that cannot be read. */
static void set_url(struct ln_claim *c, struct text url, size_t scheme_len)
{
	struct text authority = {url.at + scheme_len + 3, url.len - scheme_len - 3};
	const char *slash = memchr(authority.at, '/', authority.len), *at;
	size_t len = slash ? (size_t)(slash - authority.at) : authority.len, marks = 0;

	while (marks < len && !strchr("?#\\", authority.at[marks]))
		marks++;
	if (memchr(authority.at + marks, '@', len - marks)) {
		ln_head_set_unreadable(c);
		return;
	}
	at = memchr(authority.at, '@', marks);
	if (at) {
		marks -= (size_t)(at + 1 - authority.at);
		authority.at = at + 1;
	}
	ln_head_set_authority(c, authority.at, marks);
	if (c->port == 0)
		c->port = scheme_port((struct text){url.at, scheme_len});
}

/* " /dns-query" when the target's path is one of DNS over HTTPS (RFC 8484, and a JSON form). */
static const char *dns_path(struct text target)
{
	static const char *const paths[] = {"/dns-query", "/resolve"};
	size_t scheme = scheme_length(target), len;
	size_t skip = scheme > 0 ? scheme + 3 : 0;

	while (skip < target.len && target.at[skip] != '/')
		skip++;
	target.at += skip;
	target.len -= skip;
	for (len = 0; len < target.len && target.at[len] != '?'; len++)
		;
	for (size_t i = 0; i < LN_ARRAY_SIZE(paths); i++)
		if (len == strlen(paths[i]) && memcmp(target.at, paths[i], len) == 0)
			return paths[i];
	return "";
}

/* A path, or the server as a whole. */
static bool is_local(struct text target)
{
	return target.len > 0 && (target.at[0] == '/' || equals(target, "*"));
}

/* Host and target together. */
static void make_claim(const struct request *q, bool whole, struct ln_head *h)
{
	size_t scheme = scheme_length(q->target);
	bool connect = equals(q->method, "CONNECT"), two = q->two_hosts && !connect;
	const char *path = dns_path(q->target);
	struct ln_claim *c = &h->claim;

	c->layer = connect || scheme > 0 ? LN_LAYER_HTTP_PROXY : LN_LAYER_HTTP;
	if (connect && !is_known_method(q->method)) {
		ln_head_set_unreadable(c); /* "connect": not for all relays */
	} else if (connect) {
		ln_head_set_authority(c, q->target.at, q->target.len);
	} else if (scheme > 0) {
		set_url(c, q->target, scheme);
		two |= q->has_host && !ln_head_same_host(c, &q->host);
	} else if (q->has_host) {
		*c = q->host;
		c->layer = LN_LAYER_HTTP;
	} else {
		c->has_name = !whole;
	}
	if (two || q->unreadable || (c->layer == LN_LAYER_HTTP && !is_local(q->target)))
		ln_head_set_unreadable(c);
	snprintf(c->detail, sizeof(c->detail), "%.*s%s%s%s", (int)q->method.len, q->method.at,
		 path[0] != '\0' ? " " : "", path, two ? ": two hosts" : "");
	h->next = connect ? LN_HEAD_TUNNEL : LN_HEAD_REQUEST;
	if (!whole || (q->body_unknown && !connect))
		h->next = LN_HEAD_END;
	h->body_len = q->body_len;
}

/* A request line without an end in all that will come: its target must look like one. */
static int read_cut_line(struct text rest, struct request *q)
{
	q->target = trim(rest);
	q->unreadable = true;
	if (q->target.len > 0 && (q->target.at[0] == '/' || scheme_length(q->target) > 0))
		return 0;
	return equals(q->method, "CONNECT") ? 0 : -EBADMSG;
}

static int read_request(struct text *rest, bool cut, struct ln_head *h)
{
	struct request q = {0};
	struct text line;
	int r = take_method(rest, &q.method);

	if (r < 0)
		return r == -EAGAIN && cut ? -EBADMSG : r;
	if (!take_line(rest, &line)) {
		r = cut ? read_cut_line(*rest, &q) : -EAGAIN;
		if (r == 0)
			make_claim(&q, false, h);
		return r;
	}
	if (memchr(line.at, '\0', line.len) || memchr(line.at, '\r', line.len))
		q.unreadable = true;
	r = split_request_line(line, &q);
	if (r < 0)
		return r;
	r = r == 0 ? read_headers(rest, &q) : 0;
	if (r < 0 && !cut)
		return r;
	make_claim(&q, r == 0, h);
	return 0;
}

int ln_http_read_head(const uint8_t *bytes, size_t len, bool cut, struct ln_head *ret)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; /* RFC 9113, 3.4 */
	const size_t preface_len = sizeof(preface) - 1;
	struct text rest = {(const char *)bytes, len};
	struct ln_head h = {0};
	int r;

	if (memcmp(bytes, preface, LN_MIN(len, preface_len)) == 0 && (len >= preface_len || !cut)) {
		if (len < preface_len)
			return -EAGAIN;
		*ret = (struct ln_head){.claim.layer = LN_LAYER_HTTP2};
		return 0;
	}
	r = read_request(&rest, cut, &h);
	if (r < 0)
		return r;
	h.len = len - rest.len;
	*ret = h;
	return 0;
}

bool ln_http_may_settle(const uint8_t *bytes, size_t known, size_t len)
{
	const uint8_t *end;
	size_t first = 0;

	if (known <= BLANKS_MAX + METHOD_MAX)
		return true;
	while (is_ahead((char)bytes[first])) /* not all of what was known: see take_method */
		first++;
	end = memchr(bytes + first, '\n', len - first);
	if (!end || (size_t)(end - bytes) >= known)
		return end != NULL;
	for (size_t i = known; i < len; i++) {
		end = memchr(bytes + i, '\n', len - i);
		if (!end)
			return false;
		i = (size_t)(end - bytes);
		if (bytes[i - 1] == '\n' || (bytes[i - 1] == '\r' && bytes[i - 2] == '\n'))
			return true;
	}
	return false;
}
