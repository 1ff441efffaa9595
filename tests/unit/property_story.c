/* SPDX-License-Identifier: Apache-2.0 */
#include "property_story.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/clock.h"
#include "dns/message.h"

#define RECENT_MAX   16
#define DNS_FLOW_IDS 1000000 /* flows of DNS messages are no others */

static const char *const names[] = {
    "api.example.com",   "www.api.example.com", "x.dyn.example.com",
    "y.dyn.example.com", "bad.dyn.example.com", "half.example.com",
    "old.example.net",   "a.wide.example.org",  "evil.test",
};

static const char *const addrs[] = {
    "192.0.2.1", "192.0.2.200", "198.51.100.1", "198.51.100.2", "203.0.113.9",
    "10.0.0.53", "127.0.0.1",   "2001:db8::1",  "2001:db8::2",
};

static const char *const policies[STORY_POLICIES] = {
    "agent_name: first\n"
    "expected_outbound:\n"
    "  - {destination: 192.0.2.0/24, port: 443, protocol: TCP}\n"
    "  - {destination: api.example.com, port: 443, protocol: TCP}\n"
    "  - {destination: half.example.com, port: any, protocol: any}\n"
    "  - {destination: '*.wide.example.org', port: 8000-8100, protocol: any}\n"
    "  - {destination: '*.example.org', port: [80, 443], protocol: TCP}\n"
    "  - {destination: old.example.net, port: any, protocol: any,"
    " expires: 2023-10-26T14:50:00Z}\n"
    "  - {destination: 198.51.100.2, port: any, protocol: any,"
    " expires: 2023-10-26T14:10:00Z}\n"
    "allowed_dynamic_resolution:\n"
    "  - '*.dyn.example.com'\n"
    "deny:\n"
    "  - 192.0.2.128/25\n"
    "  - bad.dyn.example.com\n"
    "  - {destination: half.example.com, port: 80}\n"
    "  - 203.0.113.9\n"
    "expected_inbound:\n"
    "  - {port: 8080, protocol: TCP, from: 192.0.2.0/24}\n",
    "agent_name: second\n"
    "expected_outbound:\n"
    "  - {destination: 198.51.100.1, port: any, protocol: any}\n"
    "  - {destination: old.example.net, port: 443, protocol: TCP,"
    " expires: 2023-10-26T14:35:00Z}\n"
    "  - {destination: 'www.api.example.com', port: [80, 443], protocol: any}\n"
    "allowed_dynamic_resolution:\n"
    "  - '*.example.com'\n"
    "  - evil.test\n"
    "dns: {grace: 0s}\n"
    "loopback: allow\n"
    "limits:\n"
    "  - {bytes_out: 10kB, period: 60s}\n"
    "  - {new_destinations: 3, period: 1h}\n",
    "agent_name: third\n"
    "expected_outbound:\n"
    "  - {destination: '2001:db8::/64', port: any, protocol: UDP}\n"
    "  - {destination: 198.51.100.2, port: 443, protocol: TCP,"
    " expires: 2023-10-26T14:40:00Z}\n"
    "  - {destination: x.dyn.example.com, port: 443, protocol: TCP}\n"
    "  - {destination: '*.dyn.example.com', port: 8080, protocol: any}\n"
    "  - {destination: evil.test, port: 53, protocol: UDP}\n"
    "deny:\n"
    "  - api.example.com\n"
    "  - {destination: '*.api.example.com', port: 443, protocol: TCP}\n"
    "  - 127.0.0.1\n"
    "  - '2001:db8::2'\n"
    "expected_unix: ['/run/nscd/socket']\n"
    "dns: {grace: 30s}\n",
};

const char *story_policy(unsigned int i)
{
	return policies[i % STORY_POLICIES];
}

size_t story_resolvers(unsigned int policy, struct ln_endpoint ret[STORY_RESOLVERS])
{
	ln_endpoint_parse("10.0.0.53:53", 53, &ret[0]);
	ln_endpoint_parse("[2001:db8::53]:53", 53, &ret[1]);
	return policy % STORY_POLICIES == 1 ? 1 : 2;
}

/* SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators"). */
static uint64_t next(struct story_random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint32_t story_pick(struct story_random *r, uint32_t n)
{
	return (uint32_t)(next(r) >> 32) % n;
}

struct asked {
	uint32_t agent;
	struct ln_flow flow;
	struct story_dns dns;
};

struct writer {
	struct story_random random;
	uint64_t now_ns, wall_ns;  /* of the burst */
	uint64_t last_ns, skew_ns; /* the latest time, and how far the wall clock was set */
	unsigned int burst;
	uint64_t n_flows;
	uint16_t n_dns;
	struct ln_flow flows[RECENT_MAX]; /* opened lately */
	uint32_t owners[RECENT_MAX];      /* their agents */
	size_t n_recent;
	struct asked asked[RECENT_MAX];
	size_t n_asked;
};

static uint32_t pick(struct writer *w, uint32_t n)
{
	return story_pick(&w->random, n);
}

static bool one_in(struct writer *w, uint32_t n)
{
	return pick(w, n) == 0;
}

static const char *pick_name(struct writer *w)
{
	return names[pick(w, LN_ARRAY_SIZE(names))];
}

static struct ln_addr pick_addr(struct writer *w, uint8_t family)
{
	struct ln_addr addr = {0};

	do {
		ln_addr_parse(addrs[pick(w, LN_ARRAY_SIZE(addrs))], &addr);
	} while (family != 0 && addr.family != family);
	return addr;
}

static struct ln_endpoint pick_remote(struct writer *w)
{
	static const uint16_t ports[] = {443, 443, 443, 80, 8080, 53, 25};

	return (struct ln_endpoint){pick_addr(w, 0), ports[pick(w, LN_ARRAY_SIZE(ports))]};
}

static uint32_t pick_pid(struct writer *w, uint32_t agent)
{
	return 100 * agent + pick(w, 12);
}

static void put_flow(struct writer *w, struct ln_event *ev)
{
	struct ln_flow *flow = &ev->flow.flow;

	flow->id = ++w->n_flows;
	flow->proto = one_in(w, 12) ? IPPROTO_SCTP : one_in(w, 3) ? IPPROTO_UDP : IPPROTO_TCP;
	flow->remote = pick_remote(w);
	flow->local.port = one_in(w, 2) ? 8080 : 40000;
	flow->how = pick(w, LN_HOW_COUNT);
	flow->inbound = one_in(w, 10);
	flow->same_tree = one_in(w, 20);
	flow->received = one_in(w, 20);
	flow->passed = one_in(w, 20);
	flow->existing = one_in(w, 10);
	flow->refused = one_in(w, 10);
	flow->would_refuse = one_in(w, 10);
	flow->other.pid = flow->received || flow->passed ? 7 : 0;
}

/* One that was opened lately, with its agent, or one that nobody knows. */
static void put_known_flow(struct writer *w, struct ln_event *ev, struct ln_flow *flow)
{
	size_t i = w->n_recent > 0 ? pick(w, (uint32_t)LN_MIN(w->n_recent, RECENT_MAX)) : 0;

	if (w->n_recent == 0 || one_in(w, 8)) {
		struct ln_event other = *ev;

		put_flow(w, &other);
		*flow = other.flow.flow;
		return;
	}
	*flow = w->flows[i];
	ev->agent = w->owners[i];
}

static void put_open(struct writer *w, struct story_event *s)
{
	struct ln_event *ev = &s->ev;
	size_t at = w->n_recent % RECENT_MAX;

	ev->kind = LN_EVENT_FLOW_OPEN;
	if (one_in(w, 8)) /* told twice */
		put_known_flow(w, ev, &ev->flow.flow);
	else
		put_flow(w, ev);
	w->flows[at] = ev->flow.flow;
	w->owners[at] = ev->agent;
	w->n_recent++;
}

static void put_close(struct writer *w, struct story_event *s)
{
	s->ev.kind = one_in(w, 3) ? LN_EVENT_FLOW_PROGRESS : LN_EVENT_FLOW_CLOSE;
	put_known_flow(w, &s->ev, &s->ev.flow.flow);
	s->ev.flow.end.tx_bytes = pick(w, 6000);
	s->ev.flow.end.rx_bytes = pick(w, 6000);
	s->ev.flow.end.outcome = pick(w, LN_OUTCOME_COUNT);
}

static uint8_t *put_dns_name(uint8_t *at, const char *name)
{
	for (; *name != '\0'; name += *name == '.') {
		size_t len = strcspn(name, ".");

		*at++ = (uint8_t)len;
		memcpy(at, name, len);
		at += len;
		name += len;
	}
	*at++ = 0;
	return at;
}

static uint8_t *put16(uint8_t *at, unsigned int v)
{
	*at++ = (uint8_t)(v >> 8);
	*at++ = (uint8_t)v;
	return at;
}

static uint8_t *put_record(uint8_t *at, const char *owner, uint16_t type, uint32_t ttl_s)
{
	at = put16(put16(put_dns_name(at, owner), type), 1);
	return put16(put16(at, ttl_s >> 16), ttl_s & 0xffff);
}

static void write_message(struct story_event *s, bool answer)
{
	const struct story_dns *d = &s->dns;
	uint8_t *at = put16(put16(s->bytes, d->id), answer ? 0x8580 : 0x0100), *end;
	size_t len = d->addr.family == 4 ? 4 : 16;

	at = put16(put16(at, 1), answer ? 1 + (d->alias != NULL) : 0);
	at = put_dns_name(put16(put16(at, 0), 0), d->name);
	at = put16(put16(at, d->qtype), 1);
	if (answer && d->alias) {
		at = put_record(at, d->name, LN_DNS_CNAME, d->alias_ttl_s);
		end = put_dns_name(at + 2, d->alias);
		put16(at, (unsigned int)(end - at) - 2);
		at = end;
	}
	if (answer) {
		at = put_record(at, d->alias ? d->alias : d->name, d->qtype, d->ttl_s);
		at = put16(at, (unsigned int)len);
		memcpy(at, d->addr.bytes, len);
		at += len;
	}
	s->ev.dns.answer = answer;
	s->ev.dns.bytes = s->bytes;
	s->ev.dns.len = (size_t)(at - s->bytes);
}

static void put_question(struct writer *w, struct story_event *s)
{
	static const char *const servers[] = {"10.0.0.53:53", "[2001:db8::53]:53",
					      "203.0.113.53:53"};
	uint32_t server = pick(w, LN_ARRAY_SIZE(servers));
	struct ln_flow *flow = &s->ev.dns.flow;

	s->ev.kind = LN_EVENT_DNS;
	flow->id = DNS_FLOW_IDS + 10 * s->ev.agent + server;
	flow->proto = IPPROTO_UDP;
	flow->same_tree = one_in(w, 20);
	ln_endpoint_parse(servers[server], 53, &flow->remote);
	s->dns.id = ++w->n_dns;
	s->dns.qtype = one_in(w, 4) ? LN_DNS_AAAA : LN_DNS_A;
	s->dns.name = pick_name(w);
	write_message(s, false);
	w->asked[w->n_asked++ % RECENT_MAX] = (struct asked){s->ev.agent, *flow, s->dns};
}

/* Most to what was asked, some with something wrong. */
static void put_answer(struct writer *w, struct story_event *s)
{
	static const uint32_t ttls[] = {0, 1, 30, 600, 86400};
	struct asked *asked;

	if (w->n_asked == 0) {
		put_question(w, s);
		return;
	}
	asked = &w->asked[pick(w, (uint32_t)LN_MIN(w->n_asked, RECENT_MAX))];
	s->ev.kind = LN_EVENT_DNS;
	s->ev.agent = one_in(w, 10) ? 1 + pick(w, STORY_AGENTS) : asked->agent;
	s->ev.dns.flow = asked->flow;
	s->ev.dns.stranger = one_in(w, 12);
	s->dns = asked->dns;
	s->dns.id = one_in(w, 8) ? 0xfff0 : s->dns.id; /* nobody uses that one */
	s->dns.name = one_in(w, 8) ? pick_name(w) : s->dns.name;
	s->dns.addr = pick_addr(w, s->dns.qtype == LN_DNS_A ? 4 : 6);
	s->dns.ttl_s = ttls[pick(w, LN_ARRAY_SIZE(ttls))];
	s->dns.alias_ttl_s = ttls[pick(w, LN_ARRAY_SIZE(ttls))];
	if (one_in(w, 3)) {
		s->dns.alias = pick_name(w);
		if (strcmp(s->dns.alias, s->dns.name) == 0)
			s->dns.alias = NULL;
	}
	write_message(s, true);
}

/* A source that only names may say that it grants. */
static void put_name(struct writer *w, struct story_event *s)
{
	static const uint32_t lives_s[] = {0, 1, 60, 3600};
	struct ln_name_evidence *e = &s->ev.name.evidence;

	s->ev.kind = LN_EVENT_NAME;
	s->ev.agent = pick(w, 1 + STORY_AGENTS);
	s->ev.name.addr = pick_addr(w, 0);
	strcpy(e->name, pick_name(w));
	e->source = pick(w, LN_NAME_SOURCE_COUNT);
	e->grants = !one_in(w, 4);
	e->seen_ns = w->now_ns;
	e->expires_ns = e->source == LN_NAME_HOSTS
			    ? UINT64_MAX
			    : w->now_ns + lives_s[pick(w, LN_ARRAY_SIZE(lives_s))] * LN_NS_PER_S;
}

static void put_wire(struct writer *w, struct story_event *s)
{
	s->ev.kind = LN_EVENT_WIRE;
	put_known_flow(w, &s->ev, &s->ev.wire.flow);
	s->ev.wire.wire = pick_remote(w);
	s->ev.wire.why = pick(w, LN_WIRE_COUNT);
}

static void put_channel(struct writer *w, struct story_event *s)
{
	static const char *const paths[] = {"/run/nscd/socket", "/run/docker.sock", "/tmp/x"};
	struct ln_channel *c = &s->ev.channel;

	s->ev.kind = LN_EVENT_CHANNEL;
	c->kind = pick(w, LN_CHANNEL_COUNT);
	c->family = c->kind == LN_CHANNEL_UNIX_SOCKET ? AF_UNIX : AF_INET;
	c->number = pick(w, 20);
	c->same_tree = one_in(w, 4);
	c->other.pid = one_in(w, 2) ? 7 : 0;
	c->path = paths[pick(w, LN_ARRAY_SIZE(paths))];
	c->path_len = strlen(c->path);
	if (one_in(w, 2)) {
		put_known_flow(w, &s->ev, &s->flow);
		c->flow = &s->flow;
	}
}

static void put_bytes(struct writer *w, struct story_event *s)
{
	static const char *const forms[] = {
	    "GET / HTTP/1.1\r\nHost: %s\r\n\r\n",
	    "CONNECT %s:443 HTTP/1.1\r\n\r\n",
	    "SSH-2.0-%s\r\n",
	    "\x16\x03\x01\x02%s",
	    "%s",
	};
	char text[sizeof(s->bytes)];
	int len;

	s->ev.kind = LN_EVENT_BYTES;
	put_known_flow(w, &s->ev, &s->ev.bytes.flow);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	len = snprintf(text, sizeof(text), forms[pick(w, LN_ARRAY_SIZE(forms))], pick_name(w));
#pragma GCC diagnostic pop
	memcpy(s->bytes, text, (size_t)len);
	s->ev.bytes.bytes = s->bytes;
	s->ev.bytes.len = one_in(w, 4) ? pick(w, (uint32_t)len) : (size_t)len;
	s->ev.bytes.offset = one_in(w, 6) ? pick(w, 40) : 0;
	s->ev.bytes.inbound = one_in(w, 8);
	s->ev.bytes.cut = one_in(w, 12);
}

static void put_process(struct writer *w, struct story_event *s)
{
	static const enum ln_event_kind kinds[] = {LN_EVENT_FORK, LN_EVENT_ADOPT, LN_EVENT_EXEC,
						   LN_EVENT_EXIT};
	struct ln_event *ev = &s->ev;

	ev->kind = kinds[pick(w, LN_ARRAY_SIZE(kinds))];
	if (ev->kind == LN_EVENT_FORK) {
		ev->fork.child = pick_pid(w, ev->agent);
	} else if (ev->kind != LN_EVENT_EXIT) {
		ev->exec.exe = "/usr/bin/true";
		ev->exec.exe_len = strlen(ev->exec.exe);
		ev->exec.args = "true\0--now";
		ev->exec.args_len = sizeof("true\0--now");
		ev->exec.cgroup_id = pick(w, 4);
	}
	if (ev->kind == LN_EVENT_ADOPT)
		ev->exec.ppid = one_in(w, 2) ? pick_pid(w, ev->agent) : 0;
}

static void put_other(struct writer *w, struct story_event *s)
{
	struct ln_event *ev = &s->ev;

	switch (pick(w, 5)) {
	case 0:
		ev->kind = LN_EVENT_CGROUP;
		ev->cgroup.id = 1 + pick(w, 3);
		ev->cgroup.path = "/system.slice/agent.service";
		ev->cgroup.path_len = strlen(ev->cgroup.path);
		ev->cgroup.moved = one_in(w, 2);
		break;
	case 1:
		ev->kind = LN_EVENT_TAMPER;
		ev->tamper.what = one_in(w, 2) ? "a probe was detached" : "a counter went back";
		break;
	case 2:
		ev->kind = LN_EVENT_LOOKED;
		ev->looked.ticket = 1 + pick(w, 8);
		ev->looked.failed = one_in(w, 2);
		break;
	case 3:
		ev->kind = LN_EVENT_LOST;
		ev->lost.reason = one_in(w, 2) ? "ring buffer full" : "sockets";
		ev->lost.count = 1 + pick(w, 9);
		break;
	default:
		ev->kind = LN_EVENT_TICK;
		break;
	}
}

static void put_step(struct writer *w, struct story_event *s)
{
	static const enum step steps[] = {STEP_RELOAD, STEP_REFUSE, STEP_TICK, STEP_GRANT_AGAIN};

	s->step = steps[pick(w, LN_ARRAY_SIZE(steps))];
	s->policy = pick(w, STORY_POLICIES);
}

static void put_event(struct writer *w, struct story_event *s)
{
	static void (*const kinds[])(struct writer *, struct story_event *) = {
	    put_open,     put_open,   put_open,    put_open,    put_close, put_close, put_question,
	    put_question, put_answer, put_answer,  put_answer,  put_name,  put_name,  put_wire,
	    put_channel,  put_bytes,  put_process, put_process, put_other, put_step,
	};

	memset(s, 0, sizeof(*s));
	s->burst = w->burst;
	s->ev.kind = LN_EVENT_TICK;
	s->ev.time_ns = w->now_ns;
	s->ev.wall_ns = w->wall_ns;
	s->ev.agent = 1 + pick(w, STORY_AGENTS);
	s->ev.pid = s->ev.tid = pick_pid(w, s->ev.agent);
	kinds[pick(w, LN_ARRAY_SIZE(kinds))](w, s);
}

/* Time stands still, goes on a little or far, or goes back; the wall clock is also set. */
static void begin_burst(struct writer *w)
{
	static const uint64_t steps_ns[] = {
	    0, 0, 10 * LN_NS_PER_MS, 2 * LN_NS_PER_S, 40 * LN_NS_PER_S, 900 * LN_NS_PER_S};
	uint64_t most_ns = steps_ns[pick(w, LN_ARRAY_SIZE(steps_ns))];

	w->last_ns += most_ns > 0 ? next(&w->random) % most_ns : 0;
	w->now_ns = w->last_ns;
	if (one_in(w, 8))
		w->now_ns -= next(&w->random) % (100 * LN_NS_PER_S);
	if (one_in(w, 10))
		w->skew_ns = pick(w, 3) * 1800 * LN_NS_PER_S;
	w->wall_ns = STORY_WALL_NS - 1800 * LN_NS_PER_S + w->skew_ns + w->now_ns - STORY_START_NS;
	w->burst++;
}

void story_make(uint64_t seed, struct story *ret)
{
	struct writer w = {.random.state = seed, .last_ns = STORY_START_NS};
	size_t n = 20 + pick(&w, STORY_EVENTS_MAX - 20);

	ret->seed = seed;
	for (ret->n = 0; ret->n < n;) {
		begin_burst(&w);
		for (uint32_t more = 1 + pick(&w, 5); more > 0 && ret->n < n; more--)
			put_event(&w, &ret->events[ret->n++]);
	}
}
