/* SPDX-License-Identifier: Apache-2.0 */
/* What helps a person with an unexpected flow or name: the near miss, what a special address is,
 * or the rule to add. */
#include "internal.h"

#include <netinet/in.h>
#include <string.h>
#include "places.h"
#include "policy/pattern.h"

struct special {
	const char *words;
	bool may_list; /* a rule for it makes sense */
};

static const char *proto_text(uint8_t proto)
{
	const char *name = ln_proto_name(proto);

	return name ? name : "another protocol";
}

/* The best evidence for a listed name that does not grant, and why it does not. */
static void add_ungranted(struct ln_engine *e, const char *name)
{
	const struct ln_name_evidence *best = NULL;
	bool only_claimed = true;

	for (size_t i = 0; i < e->n_found && !best; i++) {
		if (strcmp(e->found[i].name, name) != 0)
			continue;
		if (ln_name_source_grants(e->found[i].source))
			best = &e->found[i];
		else if (!ln_name_source_is_claim(e->found[i].source))
			only_claimed = false;
	}
	ln_buf_addf(&e->hint, "%s is listed, but ", name);
	if (!best && only_claimed)
		ln_buf_adds(&e->hint, "only the agent itself says that it is this address");
	else if (!best)
		ln_buf_adds(&e->hint, "only an untrusted answer says that it is this address");
	else if (best->over)
		ln_buf_addf(&e->hint, "the answer that said so ended %llu s ago",
			    (unsigned long long)((e->now_ns - best->expires_ns) / LN_NS_PER_S));
	else
		ln_buf_adds(&e->hint, "a name cannot permit this address; list the address");
}

static void add_near(struct ln_engine *e, const struct ln_flow *flow, const struct ln_match *m)
{
	const struct ln_rule *rule = m->near_rule;
	char ports[128];

	switch (m->near) {
	case LN_NEAR_PORT:
	case LN_NEAR_PROTO:
		ln_buf_addf(&e->hint, "%s is %s on %s, this is %u/%s",
			    m->near_name ? m->near_name : rule->text,
			    rule->kind == LN_RULE_DYNAMIC ? "allowed" : "expected",
			    ln_rule_ports_text(rule, ports, sizeof(ports)), flow->remote.port,
			    proto_text(flow->proto));
		break;
	case LN_NEAR_SUBDOMAIN:
		ln_buf_addf(&e->hint, "%s does not include %s%s", rule->text, m->near_name,
			    rule->dest == LN_DEST_SUFFIX ? " itself" : "");
		break;
	case LN_NEAR_UNTRUSTED:
		add_ungranted(e, m->near_name);
		break;
	case LN_NEAR_NONE:
		break;
	}
}

static void add_expired(struct ln_engine *e, const struct ln_rule *rule)
{
	ln_buf_addf(&e->hint, "to allow it again, give the rule on line %u a later date",
		    rule->line);
}

static struct special multicast(const struct ln_flow *flow)
{
	if (flow->remote.port == 1900)
		return (struct special){"SSDP: a search for devices on the local network", false};
	if (flow->remote.port == 5353)
		return (struct special){"mDNS: names on the local network", false};
	if (flow->remote.port == 5355)
		return (struct special){"LLMNR: names on the local network", false};
	return (struct special){"multicast: it reaches many machines of the local network", false};
}

static struct special special_of(const struct ln_flow *flow)
{
	const struct ln_addr_place *place = ln_place_find(&flow->remote.addr);

	switch (place ? place->kind : LN_PLACE_PRIVATE) {
	case LN_PLACE_CLOUD:
		return (struct special){
		    "this service hands out the machine's identity and credentials", false};
	case LN_PLACE_LOOPBACK:
		return (struct special){
		    "a process outside the agent listens on loopback: it may relay", true};
	case LN_PLACE_BROADCAST:
		return (struct special){"broadcast: it reaches all of the local network", false};
	case LN_PLACE_MULTICAST:
		return multicast(flow);
	case LN_PLACE_LINK_LOCAL:
		return (struct special){"link-local: a machine or service next to this one", false};
	case LN_PLACE_PRIVATE:
	case LN_PLACE_RESOLVER:
		break;
	}
	if (flow->remote.port == 53)
		return (struct special){"a DNS server that is not trusted: its answers grant "
					"nothing; trusted are those of resolv.conf, or the "
					"policy's resolvers",
					false};
	if (flow->remote.port == 123 && flow->proto == IPPROTO_UDP)
		return (struct special){"port 123/UDP is the network time service (NTP)", true};
	return (struct special){NULL, true};
}

static void add_name(struct ln_engine *e, const char *name)
{
	char text[LN_NAME_UNICODE_MAX];

	ln_buf_addf(&e->hint, "\"%s\"", name);
	if (ln_name_unicode(name, text))
		ln_buf_addf(&e->hint, " (%s)", text);
}

/* Only what the policy can say: TCP or UDP, and a port. */
static void add_rule_for(struct ln_engine *e, const char *destination, const struct ln_flow *flow)
{
	if ((flow->proto != IPPROTO_TCP && flow->proto != IPPROTO_UDP) || flow->remote.port == 0)
		return;
	if (e->hint.len > 0)
		ln_buf_adds(&e->hint, "; ");
	ln_buf_adds(&e->hint, "to allow it, add: destination ");
	add_name(e, destination);
	ln_buf_addf(&e->hint, ", port %u, protocol \"%s\"", flow->remote.port,
		    proto_text(flow->proto));
}

static void add_rule_to_add(struct ln_engine *e, const struct ln_flow *flow)
{
	char text[LN_ADDR_TEXT_MAX];
	bool named = e->n_found > 0 && e->found[0].grants;

	add_rule_for(e, named ? e->found[0].name : ln_addr_format(&flow->remote.addr, text), flow);
}

static const char *hint_text(struct ln_engine *e)
{
	return e->hint.len > 0 ? ln_buf_text(&e->hint) : NULL;
}

const char *ln_hint_flow(struct ln_engine *e, const struct ln_flow *flow,
			 const struct ln_match *match)
{
	struct special special = special_of(flow);

	ln_buf_reset(&e->hint);
	if (match->expired)
		add_expired(e, match->expired);
	else
		add_near(e, flow, match);
	if (special.words)
		ln_buf_addf(&e->hint, "%s%s", e->hint.len > 0 ? "; " : "", special.words);
	if (special.may_list && !match->rule && !match->expired && match->near == LN_NEAR_NONE)
		add_rule_to_add(e, flow);
	return hint_text(e);
}

const char *ln_hint_name(struct ln_engine *e, const char *name)
{
	struct ln_query query = {.naming = &name, .n_naming = 1, .now_s = ln_engine_wall_s(e)};
	const struct ln_rule *over = ln_policy_covers_name(e->policy, name, 0);
	struct ln_match match;

	ln_buf_reset(&e->hint);
	ln_policy_match(e->policy, &query, &match);
	if (over) {
		add_expired(e, over);
	} else if (match.near == LN_NEAR_SUBDOMAIN) {
		add_near(e, NULL, &match);
	} else {
		ln_buf_adds(&e->hint, "to allow it, list ");
		add_name(e, name);
		ln_buf_adds(&e->hint, " in expected_outbound or in allowed_dynamic_resolution");
	}
	return hint_text(e);
}

const char *ln_hint_claim(struct ln_engine *e, const char *name, const struct ln_flow *flow,
			  const struct ln_match *match)
{
	ln_buf_reset(&e->hint);
	if (match->expired)
		add_expired(e, match->expired);
	else
		add_near(e, flow, match);
	if (!match->rule && !match->expired && match->near == LN_NEAR_NONE)
		add_rule_for(e, name, flow);
	return hint_text(e);
}

const char *ln_hint_inbound(struct ln_engine *e, uint8_t proto, uint16_t local_port,
			    const struct ln_addr *from)
{
	char text[LN_ADDR_TEXT_MAX];

	ln_buf_reset(&e->hint);
	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP) || local_port == 0)
		return NULL;
	ln_buf_addf(&e->hint, "to allow it, add to expected_inbound: port %u, protocol \"%s\"",
		    local_port, proto_text(proto));
	if (from)
		ln_buf_addf(&e->hint, ", from \"%s\"", ln_addr_format(from, text));
	return hint_text(e);
}

/* Whether it can stand in quotes in a policy, and means itself there. */
static bool is_plain_path(const struct ln_channel *c)
{
	struct ln_socket_name name;

	if (!ln_socket_name_make(c->path, c->path_len, c->abstract, &name))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		if (name.text[i] <= 0x20 || name.text[i] == 0x7f || strchr("\"\\*", name.text[i]))
			return false;
	}
	return true;
}

const char *ln_hint_unix(struct ln_engine *e, const struct ln_channel *c, const char *words)
{
	ln_buf_reset(&e->hint);
	if (words)
		ln_buf_adds(&e->hint, words);
	if (!is_plain_path(c))
		return hint_text(e);
	ln_buf_addf(&e->hint, "%sto allow it, add to expected_unix: \"%s%.*s\"", words ? "; " : "",
		    c->abstract ? "@" : "", (int)c->path_len, c->path);
	return hint_text(e);
}
