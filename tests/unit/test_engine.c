/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's bounds and its timing. What it says about ordinary events is in tests/replay. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "dns/message.h"
#include "engine/destinations.h"
#include "engine/engine.h"
#include "engine/internal.h"
#include "policy/parse.h"

#define START_NS (5000 * LN_NS_PER_S)
#define WALL_NS  (1698330720 * LN_NS_PER_S)
#define RESOLVER "10.0.0.53:53"

static const char policy_text[] = "agent_name: \"tester\"\n"
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
	uint64_t n[LN_FINDING_COUNT], alerts[LN_FINDING_COUNT];
	uint64_t told;   /* sum of the counts of all REPEATS */
	uint64_t folds;  /* REPEATS without a flow */
	uint64_t digest; /* of all findings, in order */
	struct ln_finding last;
	char last_reason[256], last_hint[512], last_query[LN_NAME_MAX + 2];
	struct ln_flow last_flow;
};

static void digest(struct fixture *f, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < len; i++)
		f->digest = (f->digest ^ at[i]) * 0x100000001b3;
}

static void digest_text(struct fixture *f, const char *text)
{
	digest(f, text ? text : "-", text ? strlen(text) + 1 : 1);
}

static void on_finding(const struct ln_finding *finding, void *user)
{
	struct fixture *f = user;

	f->n[finding->kind]++;
	f->alerts[finding->kind] += finding->alert;
	if (finding->kind == LN_FINDING_REPEATS) {
		f->told += finding->count;
		f->folds += !finding->flow;
	}
	digest(f, &finding->kind, sizeof(finding->kind));
	digest(f, &finding->verdict, sizeof(finding->verdict));
	digest(f, &finding->count, sizeof(finding->count));
	digest(f, &finding->repeat_of, sizeof(finding->repeat_of));
	digest_text(f, finding->reason);
	digest_text(f, finding->hint);
	digest_text(f, finding->query);
	for (size_t i = 0; i < finding->n_names; i++)
		digest_text(f, finding->names[i].name);
	f->last = *finding;
	snprintf(f->last_reason, sizeof(f->last_reason), "%s",
		 finding->reason ? finding->reason : "");
	snprintf(f->last_hint, sizeof(f->last_hint), "%s", finding->hint ? finding->hint : "");
	snprintf(f->last_query, sizeof(f->last_query), "%s", finding->query ? finding->query : "");
	if (finding->flow)
		f->last_flow = *finding->flow;
}

static struct fixture *start_with(struct ln_policy *policy)
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
	config.policy = policy;
	assert_int_equal(ln_engine_new(&config, &f->engine), 0);
	return f;
}

static struct fixture *start(void)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;

	assert_int_equal(
	    ln_policy_parse("test.yaml", policy_text, strlen(policy_text), false, &diags, &policy),
	    0);
	ln_diags_done(&diags);
	return start_with(policy);
}

static void stop(struct fixture *f)
{
	ln_engine_free(&f->engine);
	assert_null(f->engine);
	ln_policy_free(&f->policy);
	free(f);
}

static struct ln_engine_summary summary(const struct fixture *f)
{
	struct ln_engine_summary s;

	ln_engine_summary(f->engine, &s);
	return s;
}

static uint64_t wall_of(uint64_t mono_ns)
{
	return WALL_NS + (mono_ns - START_NS);
}

static struct ln_event event(const struct fixture *f, enum ln_event_kind kind)
{
	return (struct ln_event){
	    .kind = kind,
	    .time_ns = f->now_ns,
	    .wall_ns = wall_of(f->now_ns),
	    .agent = 1,
	    .pid = 100,
	    .tid = 100,
	};
}

static struct ln_flow make_flow(uint64_t id, const char *remote, uint8_t proto)
{
	struct ln_flow flow = {.id = id, .proto = proto};

	assert_true(ln_endpoint_parse(remote, 0, &flow.remote));
	return flow;
}

static void open_flow(struct fixture *f, const struct ln_flow *flow)
{
	struct ln_event ev = event(f, LN_EVENT_FLOW_OPEN);

	ev.flow.flow = *flow;
	ln_engine_feed(f->engine, &ev);
}

static void close_flow(struct fixture *f, const struct ln_flow *flow)
{
	struct ln_event ev = event(f, LN_EVENT_FLOW_CLOSE);

	ev.flow.flow = *flow;
	ev.flow.end.tx_bytes = 10;
	ev.flow.end.rx_bytes = 20;
	ln_engine_feed(f->engine, &ev);
}

/* The n-th of many destinations that no rule lists. */
static struct ln_flow nth_flow(uint32_t n)
{
	struct ln_flow flow = {.id = n + 1, .proto = IPPROTO_TCP};
	const uint8_t bytes[4] = {100, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

	flow.remote.addr = ln_addr_make(4, bytes);
	flow.remote.port = 80;
	return flow;
}

static size_t put_question(uint8_t *buf, uint16_t id, bool answer, const char *name, uint16_t type)
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

static void message(struct fixture *f, bool answer, const uint8_t *bytes, size_t len)
{
	struct ln_event ev = event(f, LN_EVENT_DNS);

	ev.dns.flow = make_flow(7, RESOLVER, IPPROTO_UDP);
	ev.dns.answer = answer;
	ev.dns.bytes = bytes;
	ev.dns.len = len;
	ln_engine_feed(f->engine, &ev);
}

static void ask(struct fixture *f, uint16_t id, const char *name)
{
	uint8_t buf[512];

	message(f, false, buf, put_question(buf, id, false, name, LN_DNS_A));
}

static void answer(struct fixture *f, uint16_t id, const char *name, const uint8_t addr[4],
		   uint8_t ttl_s)
{
	uint8_t buf[512];
	const uint8_t record[12] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl_s, 0, 4};
	size_t len = put_question(buf, id, true, name, LN_DNS_A);

	memcpy(buf + len, record, sizeof(record));
	memcpy(buf + len + sizeof(record), addr, 4);
	message(f, true, buf, len + sizeof(record) + 4);
}

static void test_words(void **state)
{
	assert_string_equal(ln_event_kind_text(LN_EVENT_FORK), "fork");
	assert_string_equal(ln_event_kind_text(LN_EVENT_TICK), "tick");
	assert_string_equal(ln_outcome_text(LN_OUTCOME_TIMED_OUT), "timed-out");
	assert_string_equal(ln_finding_kind_text(LN_FINDING_LOST), "lost");
	assert_string_equal(ln_verdict_text(LN_VERDICT_UNEXPECTED), "unexpected");
	assert_string_equal(ln_verdict_text(LN_VERDICT_COUNT), "unknown");
	assert_string_equal(ln_outcome_text(LN_OUTCOME_COUNT), "unknown");
	assert_string_equal(ln_event_kind_text(LN_EVENT_COUNT), "unknown");
	assert_string_equal(ln_finding_kind_text(LN_FINDING_COUNT), "unknown");
}

static void test_without_policy_everything_is_unexpected(void **state)
{
	struct fixture *f = start_with(ln_policy_new_empty("nobody"));
	struct ln_flow flow = make_flow(1, "198.51.100.1:443", IPPROTO_TCP);

	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_true(f->last.alert);
	assert_null(f->last.rule);
	assert_string_equal(f->last.agent_name, "nobody");
	assert_string_equal(f->last_reason, "Connection not in allow-list.");
	assert_string_equal(f->last_hint, "to allow it, add: destination \"198.51.100.1\", "
					  "port 443, protocol \"TCP\"");
	assert_int_equal(ln_engine_rule_hits(f->engine, 0), 0);
	stop(f);
}

static void test_close_keeps_the_verdict_of_its_open(void **state)
{
	struct fixture *f = start();
	const uint8_t addr[4] = {198, 51, 100, 1};
	struct ln_flow flow = make_flow(9, "198.51.100.1:443", IPPROTO_TCP);

	ask(f, 1, "x.dyn.example.com");
	answer(f, 1, "x.dyn.example.com", addr, 60);
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_DYNAMIC);
	/* Long after the evidence ended. */
	f->now_ns += 86400 * LN_NS_PER_S;
	close_flow(f, &flow);
	assert_int_equal(f->last.kind, LN_FINDING_FLOW_CLOSE);
	assert_int_equal(f->last.verdict, LN_VERDICT_DYNAMIC);
	assert_int_equal(f->last.rule->kind, LN_RULE_DYNAMIC);
	assert_int_equal(ln_engine_rule_hits(f->engine, f->last.rule->id), 1);
	assert_int_equal(summary(f).flows, 1);
	assert_int_equal(summary(f).tx_bytes, 10);
	assert_int_equal(summary(f).rx_bytes, 20);
	/* A second close of the same flow is one whose open is not known. */
	close_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_int_equal(summary(f).flows, 2);
	stop(f);
}

static void test_open_flows_are_bounded(void **state)
{
	struct fixture *f = start();
	struct ln_flow flow = make_flow(0, "127.0.0.1:80", IPPROTO_TCP);

	flow.same_tree = true;
	for (uint32_t i = 0; i <= LN_OPEN_FLOWS_MAX; i++) {
		flow.id = i + 1;
		open_flow(f, &flow);
	}
	assert_int_equal(summary(f).tables_full, 1);
	assert_int_equal(f->alerts[LN_FINDING_LOST], 1);
	assert_int_equal(summary(f).lost, 0); /* of events nothing was lost */
	assert_int_equal(summary(f).flows, LN_OPEN_FLOWS_MAX + 1);
	flow.id = 2; /* still known */
	close_flow(f, &flow);
	assert_int_equal(summary(f).flows, LN_OPEN_FLOWS_MAX + 1);
	flow.id = 1; /* the oldest, which had to go */
	close_flow(f, &flow);
	assert_int_equal(summary(f).flows, LN_OPEN_FLOWS_MAX + 2);
	stop(f);
}

static void test_questions_are_bounded(void **state)
{
	struct fixture *f = start();
	const uint8_t first[4] = {198, 51, 100, 1}, second[4] = {198, 51, 100, 2};
	struct ln_flow flow = make_flow(1, "198.51.100.1:443", IPPROTO_TCP);

	for (uint16_t i = 0; i <= LN_QUESTIONS_MAX; i++)
		ask(f, i, "api.example.com");
	assert_int_equal(summary(f).tables_full, 1);
	answer(f, 0, "api.example.com", first, 60);
	assert_false(f->last.trusted);
	answer(f, 1, "api.example.com", second, 60);
	assert_true(f->last.trusted);
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	flow = make_flow(2, "198.51.100.2:443", IPPROTO_TCP);
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	stop(f);
}

static void test_asking_again_renews_a_question(void **state)
{
	struct fixture *f = start();
	const uint8_t addr[4] = {198, 51, 100, 1};

	ask(f, 1, "api.example.com");
	f->now_ns += 20 * LN_NS_PER_S;
	ask(f, 1, "api.example.com");
	f->now_ns += 20 * LN_NS_PER_S;
	answer(f, 1, "api.example.com", addr, 60);
	assert_true(f->last.trusted);
	stop(f);
}

/* Every destination of a scan is a finding; every one is told, by itself or in a count. */
static void test_scan_is_told_completely(void **state)
{
	struct fixture *f = start();
	const uint32_t n = LN_TOLD_MAX + 5000;

	for (uint32_t i = 0; i < n; i++) {
		struct ln_flow flow = nth_flow(i);

		f->now_ns = START_NS + i * LN_NS_PER_MS;
		open_flow(f, &flow);
	}
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], n);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN] + f->told, n);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], LN_ALERTS_PER_S * (n / 1000 + 1));
	assert_int_equal(f->folds, n / 1000 + 1);
	assert_int_equal(f->n[LN_FINDING_REPEATS], f->folds);
	assert_int_equal(summary(f).violations, n);
	assert_int_equal(summary(f).destinations, n);
	assert_int_equal(summary(f).alerts_folded, f->told);
	assert_int_equal(summary(f).tables_full, 5000); /* the idlest ones went */
	stop(f);
}

/* Repeats of many violations: each is counted in some REPEATS, and those are few a second. */
static void test_repeats_of_many_are_told_completely(void **state)
{
	struct fixture *f = start();
	const uint32_t n = 1000;

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < n; i++) {
			struct ln_flow flow = nth_flow(i);

			open_flow(f, &flow);
		}
	}
	f->told = 0;
	f->n[LN_FINDING_REPEATS] = 0;
	f->now_ns += 11 * LN_NS_PER_S;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	/* The first round is told by alerts and one count of the fold. */
	assert_int_equal(f->told, 2 * n + (n - LN_ALERTS_PER_S));
	assert_int_equal(f->n[LN_FINDING_REPEATS], LN_ALERTS_PER_S + 2);
	assert_int_equal(summary(f).repeats, 2 * n);
	stop(f);
}

static void test_a_forgotten_violation_tells_its_repeats(void **state)
{
	struct fixture *f = start();
	struct ln_flow flow = nth_flow(0);

	for (int i = 0; i < 5; i++)
		open_flow(f, &flow);
	assert_int_equal(f->n[LN_FINDING_REPEATS], 0);
	for (uint32_t i = 1; i <= LN_TOLD_MAX; i++) {
		flow = nth_flow(i);
		open_flow(f, &flow);
	}
	assert_int_equal(f->n[LN_FINDING_REPEATS], 1);
	assert_int_equal(f->told, 4);
	/* It is new when it comes again. */
	flow = nth_flow(0);
	f->now_ns += 2 * LN_NS_PER_S;
	open_flow(f, &flow);
	assert_true(f->last.alert);
	stop(f);
}

static void test_the_deadline_is_when_something_is_due(void **state)
{
	struct fixture *f = start();
	struct ln_flow flow = nth_flow(0);

	assert_true(ln_engine_deadline(f->engine) == UINT64_MAX);
	open_flow(f, &flow);
	assert_true(ln_engine_deadline(f->engine) == UINT64_MAX);
	f->now_ns += LN_NS_PER_S;
	open_flow(f, &flow);
	assert_true(ln_engine_deadline(f->engine) == f->now_ns + 10 * LN_NS_PER_S);
	f->now_ns += 10 * LN_NS_PER_S - 1;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->n[LN_FINDING_REPEATS], 0);
	f->now_ns += 1;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->n[LN_FINDING_REPEATS], 1);
	assert_int_equal(f->last.count, 1);
	assert_true(f->last.alert);
	assert_true(f->last.wall_ns == wall_of(f->now_ns));
	assert_true(ln_engine_deadline(f->engine) == UINT64_MAX);
	stop(f);
}

/* 10, 20, 40, 80, 160, 300, 300 … seconds while it goes on. */
static void test_the_period_doubles_up_to_five_minutes(void **state)
{
	static const uint64_t periods_s[] = {10, 20, 40, 80, 160, 300, 300, 300};
	struct fixture *f = start();
	struct ln_flow flow = nth_flow(0);

	open_flow(f, &flow);
	for (size_t i = 0; i < LN_ARRAY_SIZE(periods_s); i++) {
		open_flow(f, &flow);
		assert_true(ln_engine_deadline(f->engine) ==
			    f->now_ns + periods_s[i] * LN_NS_PER_S);
		f->now_ns = ln_engine_deadline(f->engine);
		ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	}
	assert_int_equal(f->n[LN_FINDING_REPEATS], LN_ARRAY_SIZE(periods_s));
	stop(f);
}

static void test_time_never_goes_back(void **state)
{
	struct fixture *f = start();
	const uint8_t addr[4] = {198, 51, 100, 1};
	struct ln_flow flow = make_flow(1, "198.51.100.1:443", IPPROTO_TCP);

	ask(f, 1, "api.example.com");
	f->now_ns += LN_NS_PER_S;
	answer(f, 1, "api.example.com", addr, 60);
	/* An event of another CPU, a little older than the answer that came before it. */
	f->now_ns -= LN_NS_PER_S / 2;
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_true(f->last.time_ns == f->now_ns);
	stop(f);
}

static void test_reasons_of_losses_are_bounded(void **state)
{
	struct fixture *f = start();
	char reason[32];

	for (unsigned int i = 0; i < 50; i++) {
		struct ln_event ev = event(f, LN_EVENT_LOST);

		snprintf(reason, sizeof(reason), "reason %u", i);
		ev.lost.reason = reason;
		ev.lost.count = 2;
		ln_engine_feed(f->engine, &ev);
	}
	assert_int_equal(f->n[LN_FINDING_LOST], LN_LOSS_REASONS_MAX);
	assert_int_equal(f->alerts[LN_FINDING_LOST], LN_LOSS_REASONS_MAX);
	assert_string_equal(f->last_reason, "other reasons");
	assert_true(ln_engine_deadline(f->engine) == f->now_ns + LN_NS_PER_S);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->n[LN_FINDING_LOST], LN_LOSS_REASONS_MAX + 1);
	assert_int_equal(f->last.count, 2 * (50 - LN_LOSS_REASONS_MAX));
	assert_int_equal(summary(f).lost, 100);
	stop(f);
}

static void test_destinations_are_an_exact_bounded_set(void **state)
{
	struct ln_destinations d = {0};
	struct ln_endpoint remote;

	assert_true(ln_endpoint_parse("192.0.2.1:0", 0, &remote));
	for (uint32_t port = 0; port < LN_DESTINATIONS_MAX; port++) {
		remote.port = (uint16_t)port;
		assert_true(ln_destinations_add(&d, &remote, IPPROTO_TCP));
		assert_true(ln_destinations_add(&d, &remote, IPPROTO_TCP));
	}
	assert_int_equal(d.n, LN_DESTINATIONS_MAX);
	assert_false(ln_destinations_add(&d, &remote, IPPROTO_UDP));
	assert_true(ln_destinations_add(&d, &remote, IPPROTO_TCP));
	assert_int_equal(d.n, LN_DESTINATIONS_MAX);
	ln_destinations_done(&d);
}

static void test_names_in_many_zones_are_folded(void **state)
{
	struct fixture *f = start();
	char name[64];

	for (unsigned int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "data.zone%u.test", i);
		ask(f, (uint16_t)i, name);
	}
	assert_int_equal(f->alerts[LN_FINDING_DNS_QUERY], LN_ALERTS_PER_S);
	f->now_ns += LN_NS_PER_S;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->folds, 1);
	assert_int_equal(f->told, 200 - LN_ALERTS_PER_S);
	assert_int_equal(summary(f).dns_unexpected, 200);
	stop(f);
}

static void test_processes_live_and_end(void **state)
{
	struct fixture *f = start();
	struct ln_event ev = event(f, LN_EVENT_EXEC);

	ev.exec.exe = "/bin/sh";
	ev.exec.exe_len = strlen(ev.exec.exe);
	ln_engine_feed(f->engine, &ev); /* the root: run tells its exec first */
	ev = event(f, LN_EVENT_FORK);
	ev.fork.child = 101;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->last.child, 101);
	assert_int_equal(ln_engine_living(f->engine), 2);
	ev = event(f, LN_EVENT_ADOPT); /* seen twice: by its fork and by the seed */
	ev.pid = 101;
	ev.exec.ppid = 100;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(ln_engine_living(f->engine), 2);
	assert_int_equal(summary(f).processes, 2);
	assert_string_equal(f->last.proc->exe, "/bin/sh");
	ev = event(f, LN_EVENT_EXIT);
	ev.exit.status = 256;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->last.exit_status, 256);
	ev.pid = 101;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(ln_engine_living(f->engine), 0);
	stop(f);
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Any events, in any order, with any bytes. */
static void random_event(struct fixture *f, uint64_t *seed)
{
	static const char *const exes[] = {"/bin/a", "/bin/\033[2J", ""};
	uint8_t bytes[64];
	struct ln_event ev = event(f, next_random(seed) % LN_EVENT_COUNT);
	uint32_t n = next_random(seed);

	f->now_ns += next_random(seed) % (3 * LN_NS_PER_S);
	ev.pid = n % 50;
	ev.agent = n % 3;
	if (ev.kind == LN_EVENT_FORK) {
		ev.fork.child = next_random(seed) % 50;
	} else if (ev.kind == LN_EVENT_EXEC || ev.kind == LN_EVENT_ADOPT) {
		ev.exec.exe = exes[n % LN_ARRAY_SIZE(exes)];
		ev.exec.exe_len = strlen(ev.exec.exe);
	} else if (ev.kind == LN_EVENT_FLOW_OPEN || ev.kind == LN_EVENT_FLOW_CLOSE) {
		ev.flow.flow = nth_flow(n % 40);
		ev.flow.flow.proto = n % 2 ? IPPROTO_TCP : (uint8_t)n;
	} else if (ev.kind == LN_EVENT_DNS) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)next_random(seed) % 8;
		bytes[2] = n % 2 ? 0x81 : 0x01;
		ev.dns.flow = make_flow(7, RESOLVER, IPPROTO_UDP);
		ev.dns.answer = n % 2;
		ev.dns.bytes = bytes;
		ev.dns.len = n % sizeof(bytes);
	} else if (ev.kind == LN_EVENT_NAME) {
		ev.name.addr = nth_flow(n % 40).remote.addr;
		ev.name.evidence.grants = true;
		ev.name.evidence.source = n % LN_NAME_SOURCE_COUNT;
		ev.name.evidence.expires_ns = f->now_ns + LN_NS_PER_S;
		strcpy(ev.name.evidence.name, n % 2 ? "api.example.com" : "x.dyn.example.com");
	} else if (ev.kind == LN_EVENT_LOST) {
		ev.lost.reason = "ring buffer full";
		ev.lost.count = n % 9;
	}
	ln_engine_feed(f->engine, &ev);
}

static uint64_t random_run(uint64_t seed)
{
	struct fixture *f = start();
	uint64_t result;

	for (int i = 0; i < 20000; i++)
		random_event(f, &seed);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(summary(f).by_verdict[LN_VERDICT_UNEXPECTED],
			 summary(f).violations + summary(f).repeats);
	assert_true(summary(f).repeats > 1000);
	assert_true(ln_engine_deadline(f->engine) == UINT64_MAX);
	result = f->digest;
	stop(f);
	return result;
}

static void test_same_events_same_findings(void **state)
{
	assert_true(random_run(1) == random_run(1));
	assert_true(random_run(2) != random_run(3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_without_policy_everything_is_unexpected),
	    cmocka_unit_test(test_close_keeps_the_verdict_of_its_open),
	    cmocka_unit_test(test_open_flows_are_bounded),
	    cmocka_unit_test(test_questions_are_bounded),
	    cmocka_unit_test(test_asking_again_renews_a_question),
	    cmocka_unit_test(test_scan_is_told_completely),
	    cmocka_unit_test(test_repeats_of_many_are_told_completely),
	    cmocka_unit_test(test_a_forgotten_violation_tells_its_repeats),
	    cmocka_unit_test(test_the_deadline_is_when_something_is_due),
	    cmocka_unit_test(test_the_period_doubles_up_to_five_minutes),
	    cmocka_unit_test(test_time_never_goes_back),
	    cmocka_unit_test(test_reasons_of_losses_are_bounded),
	    cmocka_unit_test(test_destinations_are_an_exact_bounded_set),
	    cmocka_unit_test(test_names_in_many_zones_are_folded),
	    cmocka_unit_test(test_processes_live_and_end),
	    cmocka_unit_test(test_same_events_same_findings),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
