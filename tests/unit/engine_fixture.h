/* SPDX-License-Identifier: Apache-2.0 */
/* An engine under a small policy, and what it has said so far. Only test_engine*.c include it. */
#ifndef LINNET_TESTS_ENGINE_FIXTURE_H
#define LINNET_TESTS_ENGINE_FIXTURE_H

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "dns/message.h"
#include "engine/engine.h"
#include "engine/internal.h"
#include "policy/parse.h"

#define START_NS (5000 * LN_NS_PER_S)
#define WALL_NS  (1698330720 * LN_NS_PER_S)
#define RESOLVER "10.0.0.53:53"

static const char fixture_policy[] LN_UNUSED = "agent_name: \"tester\"\n"
					       "expected_outbound:\n"
					       "  - destination: \"api.example.com\"\n"
					       "    port: 443\n"
					       "    protocol: \"TCP\"\n"
					       "allowed_dynamic_resolution:\n"
					       "  - \"*.dyn.example.com\"\n";

struct fixture {
	struct ln_policy *policy;
	struct ln_engine *engine;
	uint64_t now_ns;
	uint32_t agent; /* of the next event */
	uint64_t netns; /* of the sockets of the next messages */
	bool same_tree;
	void *deeds; /* of the tests that act */
	uint64_t n[LN_FINDING_COUNT], alerts[LN_FINDING_COUNT];
	uint64_t told;   /* sum of the counts of all REPEATS */
	uint64_t folds;  /* REPEATS without a flow */
	uint64_t titled; /* violations that are no question, told or counted */
	uint64_t digest; /* of all findings, in order */
	struct ln_finding last;
	char last_reason[256], last_hint[512], last_subject[512];
	char reported[LN_NAME_MAX + 2]; /* the question of the last REPEATS */
};

static inline void digest(struct fixture *f, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < len; i++)
		f->digest = (f->digest ^ at[i]) * 0x100000001b3;
}

static inline void digest_text(struct fixture *f, const char *text)
{
	digest(f, text ? text : "-", text ? strlen(text) + 1 : 1);
}

static inline void on_finding(const struct ln_finding *finding, void *user)
{
	struct fixture *f = user;

	f->n[finding->kind]++;
	f->alerts[finding->kind] += finding->alert;
	if (finding->kind == LN_FINDING_REPEATS) {
		f->told += finding->count;
		f->folds += !finding->flow;
		snprintf(f->reported, sizeof(f->reported), "%s",
			 finding->query ? finding->query : "");
	}
	if (finding->title && finding->kind != LN_FINDING_REPEATS &&
	    finding->kind != LN_FINDING_DNS_QUERY &&
	    (finding->kind != LN_FINDING_TAMPER || finding->alert))
		f->titled++;
	digest(f, &finding->kind, sizeof(finding->kind));
	digest(f, &finding->verdict, sizeof(finding->verdict));
	digest(f, &finding->count, sizeof(finding->count));
	digest(f, &finding->repeat_of, sizeof(finding->repeat_of));
	digest_text(f, finding->reason);
	digest_text(f, finding->hint);
	digest_text(f, finding->query);
	digest_text(f, finding->title);
	digest_text(f, finding->subject);
	for (size_t i = 0; i < finding->n_names; i++)
		digest_text(f, finding->names[i].name);
	f->last = *finding;
	snprintf(f->last_reason, sizeof(f->last_reason), "%s",
		 finding->reason ? finding->reason : "");
	snprintf(f->last_subject, sizeof(f->last_subject), "%s",
		 finding->subject ? finding->subject : "");
	snprintf(f->last_hint, sizeof(f->last_hint), "%s", finding->hint ? finding->hint : "");
}

static inline struct fixture *start_with(struct ln_policy *policy)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct ln_endpoint resolver;
	struct ln_engine_config config = {
	    .agent = 1,
	    .resolvers = &resolver,
	    .n_resolvers = 1,
	    .on_finding = on_finding,
	    .user = f,
	};

	assert_non_null(f);
	assert_true(ln_endpoint_parse(RESOLVER, 53, &resolver));
	f->policy = policy;
	f->now_ns = START_NS;
	f->agent = 1;
	config.policy = policy;
	assert_int_equal(ln_engine_new(&config, &f->engine), 0);
	return f;
}

static inline struct fixture *start(void)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;

	assert_int_equal(ln_policy_parse("test.yaml", fixture_policy, strlen(fixture_policy), false,
					 &diags, &policy),
			 0);
	ln_diags_done(&diags);
	return start_with(policy);
}

static inline void stop(struct fixture *f)
{
	ln_engine_free(&f->engine);
	assert_null(f->engine);
	ln_policy_free(&f->policy);
	free(f);
}

static inline struct ln_engine_summary summary(const struct fixture *f)
{
	struct ln_engine_summary s;

	ln_engine_summary(f->engine, &s);
	return s;
}

static inline uint64_t wall_of(uint64_t mono_ns)
{
	return WALL_NS + (mono_ns - START_NS);
}

static inline struct ln_event event(const struct fixture *f, enum ln_event_kind kind)
{
	return (struct ln_event){
	    .kind = kind,
	    .time_ns = f->now_ns,
	    .wall_ns = wall_of(f->now_ns),
	    .agent = f->agent,
	    .pid = 100,
	    .tid = 100,
	};
}

static inline struct ln_flow make_flow(uint64_t id, const char *remote, uint8_t proto)
{
	struct ln_flow flow = {.id = id, .proto = proto};

	assert_true(ln_endpoint_parse(remote, 0, &flow.remote));
	return flow;
}

static inline void open_flow(struct fixture *f, const struct ln_flow *flow)
{
	struct ln_event ev = event(f, LN_EVENT_FLOW_OPEN);

	ev.flow.flow = *flow;
	ln_engine_feed(f->engine, &ev);
}

static inline void close_flow(struct fixture *f, const struct ln_flow *flow)
{
	struct ln_event ev = event(f, LN_EVENT_FLOW_CLOSE);

	ev.flow.flow = *flow;
	ev.flow.end.tx_bytes = 10;
	ev.flow.end.rx_bytes = 20;
	ln_engine_feed(f->engine, &ev);
}

/* The n-th of many destinations that no rule lists. */
static inline struct ln_flow nth_flow(uint32_t n)
{
	struct ln_flow flow = {.id = n + 1, .proto = IPPROTO_TCP};
	const uint8_t bytes[4] = {100, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

	flow.remote.addr = ln_addr_make(4, bytes);
	flow.remote.port = 80;
	return flow;
}

static inline size_t put_question(uint8_t *buf, uint16_t id, bool answer, const char *name,
				  uint16_t type)
{
	const uint8_t head[12] = {
	    (uint8_t)(id >> 8), (uint8_t)id, answer ? 0x85 : 1, answer ? 0x80 : 0, 0, 1, 0,
	    answer ? 1 : 0};
	const uint8_t tail[4] = {(uint8_t)(type >> 8), (uint8_t)type, 0, 1};
	uint8_t *at = buf + sizeof(head);

	memcpy(buf, head, sizeof(head));
	while (*name) {
		size_t len = strcspn(name, ".");

		*at++ = (uint8_t)len;
		memcpy(at, name, len);
		at += len;
		name += len + (name[len] == '.');
	}
	*at++ = 0;
	memcpy(at, tail, sizeof(tail));
	return (size_t)(at - buf) + sizeof(tail);
}

static inline void message(struct fixture *f, const char *resolver, bool answer,
			   const uint8_t *bytes, size_t len)
{
	struct ln_event ev = event(f, LN_EVENT_DNS);

	ev.dns.flow = make_flow(7, resolver, IPPROTO_UDP);
	ev.dns.flow.netns = f->netns;
	ev.dns.flow.same_tree = f->same_tree;
	ev.dns.answer = answer;
	ev.dns.bytes = bytes;
	ev.dns.len = len;
	ln_engine_feed(f->engine, &ev);
}

static inline void ask_at(struct fixture *f, const char *resolver, uint16_t id, const char *name)
{
	uint8_t buf[512];

	message(f, resolver, false, buf, put_question(buf, id, false, name, LN_DNS_A));
}

static inline void ask(struct fixture *f, uint16_t id, const char *name)
{
	ask_at(f, RESOLVER, id, name);
}

static inline void answer(struct fixture *f, uint16_t id, const char *name, const uint8_t addr[4],
			  uint8_t ttl_s)
{
	uint8_t buf[512];
	const uint8_t record[12] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl_s, 0, 4};
	size_t len = put_question(buf, id, true, name, LN_DNS_A);

	memcpy(buf + len, record, sizeof(record));
	memcpy(buf + len + sizeof(record), addr, 4);
	message(f, RESOLVER, true, buf, len + sizeof(record) + 4);
}

#endif
