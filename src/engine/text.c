/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the engine's enums: they stand in the log and must not change. */
#include "finding.h"

const char *ln_event_kind_text(enum ln_event_kind k)
{
	static const char *const texts[] = {
	    [LN_EVENT_FORK] = "fork",
	    [LN_EVENT_ADOPT] = "adopt",
	    [LN_EVENT_EXEC] = "exec",
	    [LN_EVENT_EXIT] = "exit",
	    [LN_EVENT_FLOW_OPEN] = "flow-open",
	    [LN_EVENT_FLOW_CLOSE] = "flow-close",
	    [LN_EVENT_DNS] = "dns",
	    [LN_EVENT_NAME] = "name",
	    [LN_EVENT_WIRE] = "wire",
	    [LN_EVENT_CHANNEL] = "channel",
	    [LN_EVENT_CGROUP] = "cgroup",
	    [LN_EVENT_BYTES] = "bytes",
	    [LN_EVENT_CLAIM] = "claim",
	    [LN_EVENT_TAMPER] = "tamper",
	    [LN_EVENT_LOOKED] = "looked",
	    [LN_EVENT_FLOW_PROGRESS] = "flow-progress",
	    [LN_EVENT_LOST] = "lost",
	    [LN_EVENT_TICK] = "tick",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_EVENT_COUNT, "a text for each kind");

	return (unsigned int)k < LN_EVENT_COUNT ? texts[k] : "unknown";
}

const char *ln_outcome_text(enum ln_outcome o)
{
	static const char *const texts[] = {
	    [LN_OUTCOME_NONE] = "none",       [LN_OUTCOME_CONNECTED] = "connected",
	    [LN_OUTCOME_REFUSED] = "refused", [LN_OUTCOME_TIMED_OUT] = "timed-out",
	    [LN_OUTCOME_RESET] = "reset",     [LN_OUTCOME_UNREACHABLE] = "unreachable",
	    [LN_OUTCOME_ABORTED] = "aborted", [LN_OUTCOME_BLOCKED] = "blocked",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_OUTCOME_COUNT, "a text for each outcome");

	return (unsigned int)o < LN_OUTCOME_COUNT ? texts[o] : "unknown";
}

const char *ln_finding_kind_text(enum ln_finding_kind k)
{
	static const char *const texts[] = {
	    [LN_FINDING_FLOW_OPEN] = "flow-open", [LN_FINDING_FLOW_CLOSE] = "flow-close",
	    [LN_FINDING_DNS_QUERY] = "dns-query", [LN_FINDING_DNS_ANSWER] = "dns-answer",
	    [LN_FINDING_NAME] = "name",           [LN_FINDING_PROCESS] = "process",
	    [LN_FINDING_REPEATS] = "repeats",     [LN_FINDING_WIRE] = "wire",
	    [LN_FINDING_POLICY] = "policy",       [LN_FINDING_VERDICT] = "flow-verdict",
	    [LN_FINDING_LIMIT] = "limit",         [LN_FINDING_CHANNEL] = "channel",
	    [LN_FINDING_CLAIM] = "claim",         [LN_FINDING_TAMPER] = "tamper",
	    [LN_FINDING_LOST] = "lost",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_FINDING_COUNT, "a text for each kind");

	return (unsigned int)k < LN_FINDING_COUNT ? texts[k] : "unknown";
}

const char *ln_action_text(enum ln_action a)
{
	static const char *const texts[] = {
	    [LN_ACTION_NONE] = "none",
	    [LN_ACTION_LOGGED] = "logged",
	    [LN_ACTION_BLOCKED] = "blocked",
	    [LN_ACTION_KILLED] = "killed",
	    [LN_ACTION_FROZEN] = "frozen",
	    [LN_ACTION_WOULD_BLOCK] = "would-block",
	    [LN_ACTION_WOULD_KILL] = "would-kill",
	    [LN_ACTION_WOULD_FREEZE] = "would-freeze",
	    [LN_ACTION_LET_THROUGH] = "let-through",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_ACTION_COUNT, "a text for each action");

	return (unsigned int)a < LN_ACTION_COUNT ? texts[a] : "unknown";
}

const char *ln_verdict_text(enum ln_verdict v)
{
	static const char *const texts[] = {
	    [LN_VERDICT_NONE] = "none",         [LN_VERDICT_EXPECTED] = "expected",
	    [LN_VERDICT_DYNAMIC] = "dynamic",   [LN_VERDICT_DNS] = "dns",
	    [LN_VERDICT_INTERNAL] = "internal", [LN_VERDICT_UNEXPECTED] = "unexpected",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_VERDICT_COUNT, "a text for each verdict");

	return (unsigned int)v < LN_VERDICT_COUNT ? texts[v] : "unknown";
}

const char *ln_how_text(enum ln_how h)
{
	static const char *const texts[] = {
	    [LN_HOW_TASK] = "task",
	    [LN_HOW_SOCKET] = "socket",
	    [LN_HOW_CGROUP] = "cgroup",
	    [LN_HOW_AMBIGUOUS] = "ambiguous",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_HOW_COUNT, "a text for each way");

	return (unsigned int)h < LN_HOW_COUNT ? texts[h] : "unknown";
}

const char *ln_wire_why_text(enum ln_wire_why w)
{
	static const char *const texts[] = {
	    [LN_WIRE_CHANGED] = "changed",
	    [LN_WIRE_ROUTED] = "routed",
	    [LN_WIRE_SUBFLOW] = "subflow",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_WIRE_COUNT, "a text for each reason");

	return (unsigned int)w < LN_WIRE_COUNT ? texts[w] : "unknown";
}

const char *ln_dns_way_text(enum ln_dns_way w)
{
	static const char *const texts[] = {
	    [LN_DNS_WAY_NONE] = "none",   [LN_DNS_WAY_PLAIN] = "dns",
	    [LN_DNS_WAY_DOT] = "dot",     [LN_DNS_WAY_DOQ] = "doq",
	    [LN_DNS_WAY_DOH] = "doh",     [LN_DNS_WAY_MDNS] = "mdns",
	    [LN_DNS_WAY_LLMNR] = "llmnr", [LN_DNS_WAY_NETBIOS] = "netbios",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_DNS_WAY_COUNT, "a text for each way");

	return (unsigned int)w < LN_DNS_WAY_COUNT ? texts[w] : "unknown";
}

const char *ln_forgery_text(enum ln_forgery g)
{
	static const char *const texts[] = {
	    [LN_FORGERY_NONE] = "none",       [LN_FORGERY_SOURCE] = "source",
	    [LN_FORGERY_ID] = "id",           [LN_FORGERY_QUESTION] = "question",
	    [LN_FORGERY_CASE] = "case",       [LN_FORGERY_UNASKED] = "unasked",
	    [LN_FORGERY_FOREIGN] = "foreign", [LN_FORGERY_LOCAL] = "local",
	    [LN_FORGERY_OWN] = "own",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_FORGERY_COUNT, "a text for each kind");

	return (unsigned int)g < LN_FORGERY_COUNT ? texts[g] : "unknown";
}

const char *ln_channel_kind_text(enum ln_channel_kind k)
{
	static const char *const texts[] = {
	    [LN_CHANNEL_RAW_SOCKET] = "raw-socket",
	    [LN_CHANNEL_PACKET_SOCKET] = "packet-socket",
	    [LN_CHANNEL_OTHER_SOCKET] = "other-socket",
	    [LN_CHANNEL_TUNNEL_DEVICE] = "tunnel-device",
	    [LN_CHANNEL_UNIX_SOCKET] = "unix-socket",
	    [LN_CHANNEL_SOCKET_RECEIVED] = "socket-received",
	    [LN_CHANNEL_RING_RECEIVED] = "ring-received",
	    [LN_CHANNEL_LISTEN] = "listen",
	    [LN_CHANNEL_PRIVILEGE] = "privilege",
	    [LN_CHANNEL_INJECTION] = "injection",
	    [LN_CHANNEL_ATTACK] = "attack",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_CHANNEL_COUNT, "a text for each kind");

	return (unsigned int)k < LN_CHANNEL_COUNT ? texts[k] : "unknown";
}

const char *ln_protocol_text(enum ln_layer layer)
{
	static const char *const texts[] = {
	    [LN_LAYER_TLS] = "TLS",
	    [LN_LAYER_QUIC] = "QUIC",
	    [LN_LAYER_HTTP] = "HTTP in plain text",
	    [LN_LAYER_HTTP2] = "HTTP/2 in plain text",
	    [LN_LAYER_HTTP_PROXY] = "HTTP to a proxy",
	    [LN_LAYER_SOCKS4] = "SOCKS4",
	    [LN_LAYER_SOCKS5] = "SOCKS5",
	    [LN_LAYER_SSH] = "SSH",
	    [LN_LAYER_OTHER] = "a protocol that is not known",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_LAYER_COUNT, "a text for each layer");

	return (unsigned int)layer < LN_LAYER_COUNT ? texts[layer] : "unknown";
}

/* The outer name of ECH is what the server is asked for until it can decrypt the inner one. */
const char *ln_claim_text(const struct ln_claim *c)
{
	switch (c->layer) {
	case LN_LAYER_TLS:
		return c->ech ? "TLS SNI, outer name (ECH)" : "TLS SNI";
	case LN_LAYER_QUIC:
		return c->ech ? "QUIC SNI, outer name (ECH)" : "QUIC SNI";
	case LN_LAYER_HTTP:
		return "HTTP Host";
	case LN_LAYER_HTTP_PROXY:
		return "HTTP proxy request";
	default:
		return ln_protocol_text(c->layer);
	}
}
