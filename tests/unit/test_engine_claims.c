/* SPDX-License-Identifier: Apache-2.0 */
/* What bytes claim, judged by what permitted the flow: claims are made here without bytes. */
#include "engine_fixture.h"

static const char policy_text[] = "agent_name: \"tester\"\n"
				  "expected_outbound:\n"
				  "  - destination: \"api.example.com\"\n"
				  "    port: [443, 80]\n"
				  "    protocol: \"any\"\n"
				  "  - destination: \"other.example.com\"\n"
				  "    port: 443\n"
				  "    protocol: \"TCP\"\n"
				  "  - destination: \"git.corp.example\"\n"
				  "    port: 443\n"
				  "    protocol: \"TCP\"\n"
				  "  - destination: \"203.0.113.0/24\"\n"
				  "    port: any\n"
				  "    protocol: \"TCP\"\n"
				  "  - destination: \"127.0.0.1\"\n"
				  "    port: 3128\n"
				  "    protocol: \"TCP\"\n"
				  "allowed_dynamic_resolution:\n"
				  "  - \"*.dyn.example.com\"\n";

#define SHARED "198.51.100.1:443"
#define PROXY  "127.0.0.1:3128"

static const uint8_t shared_addr[4] = {198, 51, 100, 1};

static struct fixture *start_claims(void)
{
	static const char search[][LN_NAME_MAX] = {"corp.example"};
	struct fixture *f = calloc(1, sizeof(*f));
	struct ln_diags diags = {0};
	struct ln_endpoint resolver;
	struct ln_engine_config config = {
	    .agent = 1,
	    .resolvers = &resolver,
	    .n_resolvers = 1,
	    .search = search,
	    .n_search = 1,
	    .on_finding = on_finding,
	    .user = f,
	};

	assert_non_null(f);
	assert_true(ln_endpoint_parse(RESOLVER, 53, &resolver));
	assert_int_equal(ln_policy_parse("test.yaml", policy_text, strlen(policy_text), false,
					 &diags, &f->policy),
			 0);
	ln_diags_done(&diags);
	f->now_ns = START_NS;
	f->agent = 1;
	config.policy = f->policy;
	assert_int_equal(ln_engine_new(&config, &f->engine), 0);
	ask(f, 1, "api.example.com");
	answer(f, 1, "api.example.com", shared_addr, 60);
	return f;
}

static struct ln_target asked;

static struct ln_claim claim_of(enum ln_layer layer, const char *name)
{
	struct ln_claim c = {.layer = layer, .has_name = name};

	snprintf(c.name, sizeof(c.name), "%s", name ? name : "");
	return c;
}

static void claim(struct fixture *f, const struct ln_flow *flow, const struct ln_claim *c)
{
	struct ln_event ev = event(f, LN_EVENT_BYTES);

	ev.bytes.flow = *flow;
	ln_claims_take(f->engine, &ev, c, &asked);
	assert_int_equal(f->last.kind, LN_FINDING_CLAIM);
}

static void claim_name(struct fixture *f, const struct ln_flow *flow, enum ln_layer layer,
		       const char *name)
{
	struct ln_claim c = claim_of(layer, name);

	claim(f, flow, &c);
}

static void ask_relay(struct fixture *f, const struct ln_flow *flow, const char *name,
		      const char *addr, uint16_t port, uint8_t depth)
{
	struct ln_claim c = claim_of(LN_LAYER_HTTP_PROXY, name);

	c.port = port;
	c.depth = depth;
	if (addr)
		assert_true(ln_addr_parse(addr, &c.addr));
	claim(f, flow, &c);
}

static struct ln_flow opened(struct fixture *f, const char *remote)
{
	static uint64_t id;
	struct ln_flow flow = make_flow(++id, remote, IPPROTO_TCP);

	open_flow(f, &flow);
	return flow;
}

static void test_another_site_of_the_same_address(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, SHARED);

	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	claim_name(f, &flow, LN_LAYER_TLS, "www.evil.example");
	assert_string_equal(f->last.title, "NAME MISMATCH");
	assert_true(f->last.alert);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_null(f->last.rule);
	assert_string_equal(f->last_reason, "The bytes name a site that is not in the allow-list.");
	assert_string_equal(f->last_subject, "www.evil.example at 198.51.100.1:443");
	assert_string_equal(f->last_hint, "to allow it, add: destination \"www.evil.example\", "
					  "port 443, protocol \"TCP\"");
	assert_int_equal(summary(f).violations, 1);
	assert_int_equal(summary(f).claims_unexpected, 1);
	/* Told once; another name, and another address, are others. */
	flow = opened(f, SHARED);
	claim_name(f, &flow, LN_LAYER_TLS, "www.evil.example");
	assert_false(f->last.alert);
	assert_int_equal(f->last.repeat_of, 1);
	claim_name(f, &flow, LN_LAYER_TLS, "second.evil.example");
	assert_true(f->last.alert);
	assert_int_equal(summary(f).violations, 2);
	assert_int_equal(f->alerts[LN_FINDING_CLAIM], 2);
	f->now_ns += 11 * LN_NS_PER_S;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->told, 1);
	assert_string_equal(f->last_subject, "www.evil.example at 198.51.100.1:443");
	stop(f);
}

/* None of them may raise an alert, or be a notice. */
static void test_what_is_no_mismatch(void **state)
{
	static const char *const names[] = {
	    NULL,                /* no name at all */
	    "api.example.com",   /* what was asked for */
	    "other.example.com", /* listed too, wherever it is */
	    "x.dyn.example.com", /* permitted by the other list */
	    "git",               /* as the search list completes it */
	};
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, SHARED);
	struct ln_claim literal = {.layer = LN_LAYER_HTTP};

	for (size_t i = 0; i < LN_ARRAY_SIZE(names); i++) {
		claim_name(f, &flow, LN_LAYER_TLS, names[i]);
		assert_int_not_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
		assert_null(f->last.title);
		assert_false(f->last.notice);
	}
	assert_int_equal(f->last.rule->line, 9);
	assert_int_equal(ln_engine_rule_hits(f->engine, f->last.rule->id), 1);
	flow = opened(f, "198.51.100.1:80");
	assert_true(ln_addr_parse("192.0.2.99", &literal.addr));
	claim(f, &flow, &literal);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_int_equal(summary(f).violations, 0);
	assert_int_equal(summary(f).claims, 6);
	assert_int_equal(summary(f).claims_unexpected, 0);
	stop(f);
}

/* A rule for one port says nothing about another, nor does one for the name above. */
static void test_near_misses_of_a_claim(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, "198.51.100.1:80");

	claim_name(f, &flow, LN_LAYER_HTTP, "other.example.com");
	assert_string_equal(f->last.title, "NAME MISMATCH");
	assert_string_equal(f->last_hint,
			    "other.example.com is expected on 443/TCP, this is 80/TCP");
	claim_name(f, &flow, LN_LAYER_HTTP, "dyn.example.com");
	assert_string_equal(f->last_hint,
			    "*.dyn.example.com does not include dyn.example.com itself");
	stop(f);
}

static void test_the_end_of_the_chain_is_no_other_site(void **state)
{
	struct fixture *f = start_claims();
	struct ln_event ev = event(f, LN_EVENT_NAME);
	struct ln_flow flow = opened(f, SHARED);

	ev.name.addr = flow.remote.addr;
	ev.name.evidence = (struct ln_name_evidence){
	    .name = "api.example.com",
	    .chain = "first.cdn.example edge.cdn.example",
	    .source = LN_NAME_OWN_LOOKUP,
	    .grants = true,
	    .seen_ns = f->now_ns,
	    .expires_ns = f->now_ns + LN_NS_PER_S,
	};
	ln_engine_feed(f->engine, &ev);
	claim_name(f, &flow, LN_LAYER_TLS, "first.cdn.example");
	assert_null(f->last.title);
	claim_name(f, &flow, LN_LAYER_TLS, "edge.cdn.example");
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_int_equal(f->last.rule->line, 3);
	/* Of a name that is not listed it is another's site. */
	snprintf(ev.name.evidence.name, LN_NAME_MAX, "unlisted.example");
	ev.name.evidence.chain = "bad.cdn.example";
	ln_engine_feed(f->engine, &ev);
	claim_name(f, &flow, LN_LAYER_TLS, "bad.cdn.example");
	assert_string_equal(f->last.title, "NAME MISMATCH");
	/* And so it is in an answer that grants nothing. */
	snprintf(ev.name.evidence.name, LN_NAME_MAX, "api.example.com");
	ev.name.evidence.chain = "forged.cdn.example";
	ev.name.evidence.source = LN_NAME_UNTRUSTED;
	ln_engine_feed(f->engine, &ev);
	claim_name(f, &flow, LN_LAYER_TLS, "forged.cdn.example");
	assert_string_equal(f->last.title, "NAME MISMATCH");
	stop(f);
}

static void test_a_name_that_cannot_be_read(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, SHARED);

	claim_name(f, &flow, LN_LAYER_TLS, "");
	assert_string_equal(f->last.title, "NAME MISMATCH");
	assert_string_equal(f->last_subject, "unreadable name at 198.51.100.1:443");
	assert_string_equal(f->last_reason, "The bytes name a site in a way that cannot be read.");
	assert_string_equal(f->last_hint, "");
	flow = opened(f, "192.0.2.7:443");
	claim_name(f, &flow, LN_LAYER_TLS, "");
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_false(f->last.notice);
	stop(f);
}

static void test_what_an_address_rule_permits_is_only_named(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, "203.0.113.7:443");

	claim_name(f, &flow, LN_LAYER_TLS, "www.evil.example");
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_int_equal(f->last.rule->dest, LN_DEST_NET);
	assert_null(f->last.title);
	assert_false(f->last.notice);
	close_flow(f, &flow);
	assert_int_equal(f->last.n_names, 1);
	assert_string_equal(f->last.names[0].name, "www.evil.example");
	assert_int_equal(f->last.names[0].source, LN_NAME_SNI);
	assert_false(f->last.names[0].grants);
	stop(f);
}

static void test_a_listed_name_that_is_only_claimed(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, "192.0.2.7:443");

	assert_true(f->last.alert);
	claim_name(f, &flow, LN_LAYER_TLS, "api.example.com");
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_null(f->last.title);
	assert_false(f->last.alert);
	assert_true(f->last.notice);
	assert_string_equal(f->last_subject,
			    "192.0.2.7:443 is called api.example.com by the agent (TLS SNI): a "
			    "claim, it permits nothing; the name is listed, but nothing that "
			    "grants says that it leads there");
	claim_name(f, &flow, LN_LAYER_TLS, "api.example.com");
	assert_false(f->last.notice);
	/* It names from now on, and it has permitted nothing. */
	close_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_string_equal(f->last.names[0].name, "api.example.com");
	flow = opened(f, "192.0.2.7:80");
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_true(f->last.alert);
	assert_string_equal(f->last_hint, "api.example.com is listed, but only the agent itself "
					  "says that it is this address");
	assert_int_equal(summary(f).violations, 2);
	assert_int_equal(summary(f).claims_unexpected, 0);
	stop(f);
}

static void test_other_names_of_an_unexpected_place(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow;
	struct ln_claim hidden = claim_of(LN_LAYER_QUIC, "outer.example");

	/* What a resolver said already is no news. */
	ask(f, 2, "www.evil.example");
	answer(f, 2, "www.evil.example", (const uint8_t[]){192, 0, 2, 8}, 60);
	flow = opened(f, "192.0.2.8:443");
	claim_name(f, &flow, LN_LAYER_TLS, "www.evil.example");
	assert_false(f->last.notice);
	hidden.ech = true;
	claim(f, &flow, &hidden);
	assert_true(f->last.notice);
	assert_string_equal(f->last_subject,
			    "192.0.2.8:443 is called outer.example by the agent (QUIC SNI, outer "
			    "name (ECH)): a claim, it permits nothing");
	claim_name(f, &flow, LN_LAYER_HTTP, "host.example");
	assert_true(f->last.notice);
	close_flow(f, &flow);
	assert_int_equal(f->last.n_names, 3);
	stop(f);
}

/* Anybody can send the extension, so the outer name counts as any other. */
static void test_ech_hides_no_other_site(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, SHARED);
	struct ln_claim c = claim_of(LN_LAYER_TLS, "api.example.com");

	c.ech = true;
	claim(f, &flow, &c);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	c = claim_of(LN_LAYER_TLS, "public.ech.example");
	c.ech = true;
	claim(f, &flow, &c);
	assert_string_equal(f->last.title, "NAME MISMATCH");
	stop(f);
}

static void test_protocols_that_are_foreign_on_their_port(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, SHARED);
	struct ln_claim c = claim_of(LN_LAYER_SSH, NULL);

	snprintf(c.detail, sizeof(c.detail), "SSH-2.0-OpenSSH_9.2");
	claim(f, &flow, &c);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_false(f->last.alert);
	assert_true(f->last.notice);
	assert_string_equal(f->last_subject,
			    "198.51.100.1:443 (api.example.com) is spoken to in SSH, not in TLS: "
			    "SSH-2.0-OpenSSH_9.2");
	claim(f, &flow, &c);
	assert_false(f->last.notice);
	claim_name(f, &flow, LN_LAYER_HTTP, "api.example.com");
	assert_true(f->last.notice);
	assert_string_equal(f->last_subject, "198.51.100.1:443 (api.example.com) is spoken to in "
					     "HTTP in plain text, not in TLS");
	claim_name(f, &flow, LN_LAYER_OTHER, NULL);
	assert_true(f->last.notice);
	flow = opened(f, "198.51.100.1:80");
	claim_name(f, &flow, LN_LAYER_OTHER, NULL);
	assert_false(f->last.notice);
	flow = opened(f, "192.0.2.9:993");
	claim_name(f, &flow, LN_LAYER_OTHER, NULL);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_true(f->last.notice);
	assert_string_equal(
	    f->last_subject,
	    "192.0.2.9:993 is spoken to in a protocol that is not known, not in TLS");
	assert_int_equal(f->alerts[LN_FINDING_CLAIM], 0);
	stop(f);
}

static void test_what_is_asked_of_a_relay(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, PROXY);

	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	ask_relay(f, &flow, "api.example.com", NULL, 443, 0);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_string_equal(f->last.rule->text, "api.example.com");
	assert_int_equal(ln_engine_rule_hits(f->engine, f->last.rule->id), 1);
	ask_relay(f, &flow, NULL, "203.0.113.9", 25, 0);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	ask_relay(f, &flow, NULL, "198.51.100.1", 443, 0); /* by what was resolved */
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_string_equal(f->last.rule->text, "api.example.com");
	assert_int_equal(summary(f).violations, 0);

	ask_relay(f, &flow, "www.evil.example", NULL, 443, 0);
	assert_string_equal(f->last.title, "UNEXPECTED DESTINATION BEHIND RELAY");
	assert_true(f->last.alert);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_string_equal(f->last_subject, "www.evil.example:443 behind 127.0.0.1:3128");
	assert_string_equal(f->last_hint, "to allow it, add: destination \"www.evil.example\", "
					  "port 443, protocol \"TCP\"");
	ask_relay(f, &flow, "www.evil.example", NULL, 443, 0);
	assert_int_equal(f->last.repeat_of, 1);
	ask_relay(f, &flow, "api.example.com", NULL, 22, 0);
	assert_string_equal(f->last_hint,
			    "api.example.com is expected on 80,443/any, this is 22/TCP");
	ask_relay(f, &flow, NULL, "192.0.2.7", 443, 0);
	assert_string_equal(f->last_subject, "192.0.2.7:443 behind 127.0.0.1:3128");
	ask_relay(f, &flow, "", NULL, 443, 0);
	assert_string_equal(f->last_subject, "unreadable:443 behind 127.0.0.1:3128");
	assert_int_equal(summary(f).violations, 4);
	assert_int_equal(f->alerts[LN_FINDING_CLAIM], 4);
	stop(f);
}

/* SOCKS can ask for more than connections. */
static void test_other_requests_of_a_relay(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, PROXY);
	struct ln_claim c = claim_of(LN_LAYER_SOCKS5, NULL);

	snprintf(c.detail, sizeof(c.detail), "UDP ASSOCIATE");
	assert_true(ln_addr_parse("203.0.113.9", &c.addr)); /* listed for TCP alone */
	c.port = 53;
	claim(f, &flow, &c);
	assert_string_equal(f->last.title, "UNEXPECTED DESTINATION BEHIND RELAY");
	c = claim_of(LN_LAYER_SOCKS5, "api.example.com");
	snprintf(c.detail, sizeof(c.detail), "RESOLVE");
	claim(f, &flow, &c);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	c = claim_of(LN_LAYER_SOCKS5, "data.evil.example");
	claim(f, &flow, &c);
	assert_string_equal(f->last.title, "UNEXPECTED DESTINATION BEHIND RELAY");
	stop(f);
}

/* The resolver is trusted for what goes to it directly; nobody reads what a relay is told. */
static void test_a_resolver_behind_a_relay(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, PROXY);

	ask_relay(f, &flow, NULL, "10.0.0.53", 53, 0);
	assert_string_equal(f->last.title, "UNEXPECTED DESTINATION BEHIND RELAY");
	stop(f);
}

static void test_names_inside_of_a_tunnel(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, PROXY);
	struct ln_claim c = claim_of(LN_LAYER_TLS, "api.example.com");

	c.depth = 1;
	ask_relay(f, &flow, "api.example.com", NULL, 443, 0);
	claim(f, &flow, &c);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_string_equal(f->last_reason,
			    "expected_outbound rule 1 (line 3): api.example.com 80,443/any");
	c = claim_of(LN_LAYER_TLS, "www.evil.example");
	c.depth = 1;
	claim(f, &flow, &c);
	assert_string_equal(f->last.title, "NAME MISMATCH");
	assert_string_equal(f->last_subject,
			    "www.evil.example at api.example.com:443 behind 127.0.0.1:3128");
	/* A tunnel in the tunnel. */
	ask_relay(f, &flow, "third.example", NULL, 443, 1);
	assert_string_equal(f->last.title, "UNEXPECTED DESTINATION BEHIND RELAY");
	assert_string_equal(f->last_subject, "third.example:443 behind 127.0.0.1:3128");
	/* That place was told: its own name says nothing new. */
	c = claim_of(LN_LAYER_TLS, "third.example");
	c.depth = 2;
	claim(f, &flow, &c);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_null(f->last.title);
	assert_false(f->last.notice);
	c = claim_of(LN_LAYER_TLS, "fourth.example");
	c.depth = 2;
	claim(f, &flow, &c);
	assert_true(f->last.notice);
	assert_string_equal(f->last_subject,
			    "third.example:443 behind 127.0.0.1:3128 is called fourth.example by "
			    "the agent (TLS SNI): a claim, it permits nothing");
	stop(f);
}

/* The alert is for the relay; what is asked of it is told beside. */
static void test_a_relay_that_is_not_listed(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, "192.0.2.7:1080");
	struct ln_claim c = claim_of(LN_LAYER_TLS, "www.evil.example");

	ask_relay(f, &flow, "api.example.com", NULL, 443, 0);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_null(f->last.title);
	assert_true(f->last.notice);
	assert_string_equal(f->last_subject, "192.0.2.7:1080 is asked by the agent for "
					     "api.example.com:443 (HTTP proxy request)");
	c.depth = 1;
	claim(f, &flow, &c);
	assert_null(f->last.title);
	assert_true(f->last.notice);
	assert_int_equal(summary(f).violations, 1);
	stop(f);
}

/* Judged as it would have been. */
static void test_a_flow_whose_opening_was_lost(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = make_flow(999, SHARED, IPPROTO_TCP);

	claim_name(f, &flow, LN_LAYER_TLS, "www.evil.example");
	assert_string_equal(f->last.title, "NAME MISMATCH");
	stop(f);
}

static void test_who_opened_it_is_who_says_it(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = make_flow(998, SHARED, IPPROTO_TCP);
	struct ln_event ev = event(f, LN_EVENT_BYTES);
	struct ln_claim c = claim_of(LN_LAYER_TLS, NULL);

	open_flow(f, &flow);
	ev.pid = ev.tid = 0; /* it left in another's time */
	ev.bytes.flow = flow;
	ln_claims_take(f->engine, &ev, &c, &asked);
	assert_int_equal(f->last.pid, 100);
	stop(f);
}

static void test_a_flood_of_claims_is_folded(void **state)
{
	struct fixture *f = start_claims();
	struct ln_flow flow = opened(f, SHARED);
	char name[64];

	for (unsigned int i = 0; i < 3 * LN_ALERTS_PER_S; i++) {
		snprintf(name, sizeof(name), "n%u.evil.example", i);
		claim_name(f, &flow, LN_LAYER_TLS, name);
	}
	assert_int_equal(f->alerts[LN_FINDING_CLAIM], LN_ALERTS_PER_S);
	assert_int_equal(summary(f).violations, 3 * LN_ALERTS_PER_S);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->folds, 1);
	assert_int_equal(f->told, 2 * LN_ALERTS_PER_S);
	/* They take no room from what a resolver said. */
	flow = opened(f, SHARED);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_another_site_of_the_same_address),
	    cmocka_unit_test(test_what_is_no_mismatch),
	    cmocka_unit_test(test_near_misses_of_a_claim),
	    cmocka_unit_test(test_the_end_of_the_chain_is_no_other_site),
	    cmocka_unit_test(test_a_name_that_cannot_be_read),
	    cmocka_unit_test(test_what_an_address_rule_permits_is_only_named),
	    cmocka_unit_test(test_a_listed_name_that_is_only_claimed),
	    cmocka_unit_test(test_other_names_of_an_unexpected_place),
	    cmocka_unit_test(test_ech_hides_no_other_site),
	    cmocka_unit_test(test_protocols_that_are_foreign_on_their_port),
	    cmocka_unit_test(test_what_is_asked_of_a_relay),
	    cmocka_unit_test(test_other_requests_of_a_relay),
	    cmocka_unit_test(test_a_resolver_behind_a_relay),
	    cmocka_unit_test(test_names_inside_of_a_tunnel),
	    cmocka_unit_test(test_a_relay_that_is_not_listed),
	    cmocka_unit_test(test_a_flow_whose_opening_was_lost),
	    cmocka_unit_test(test_who_opened_it_is_who_says_it),
	    cmocka_unit_test(test_a_flood_of_claims_is_folded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
