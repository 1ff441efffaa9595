/* SPDX-License-Identifier: Apache-2.0 */
/* What a record was made of: processes, names and flows. */
#include <string.h>
#include "dns/chain.h"
#include "log_impl.h"

#define AGENT        1
#define SECONDS_MAX  1000000000
#define ARGS_MAX     (64u << 10)
#define MILLISECONDS 1e15
#define NS_PER_MS_F  1e6

static const char *source_text(unsigned int i)
{
	return ln_name_source_text((enum ln_name_source)i);
}

static const char *how_text(unsigned int i)
{
	return ln_how_text((enum ln_how)i);
}

static const char *outcome_text(unsigned int i)
{
	return ln_outcome_text((enum ln_outcome)i);
}

static const char *event_text(unsigned int i)
{
	return ln_event_kind_text((enum ln_event_kind)i);
}

/* The wall clock is all that a log has. The engine's time does not go back when it does. */
static uint64_t mono_of(const struct ln_log_reader *r, uint64_t wall_ns)
{
	if (wall_ns >= r->first_wall_ns)
		return LN_LOG_MONO_NS + (wall_ns - r->first_wall_ns);
	return LN_LOG_MONO_NS - LN_MIN(r->first_wall_ns - wall_ns, LN_LOG_MONO_NS / 2);
}

struct ln_event ln_log_event(struct ln_log_reader *r, const struct ln_log_record *rec,
			     enum ln_event_kind kind)
{
	return (struct ln_event){
	    .kind = kind,
	    .time_ns = mono_of(r, rec->wall_ns),
	    .wall_ns = rec->wall_ns,
	    .agent = AGENT,
	    .pid = (uint32_t)ln_log_number(r, rec->json, "pid", UINT32_MAX),
	    .tid = (uint32_t)ln_log_number(r, rec->json, "tid", UINT32_MAX),
	};
}

void ln_log_give(struct ln_log_reader *r, const struct ln_event *ev)
{
	if (!r->wrong && r->h->event)
		r->h->event(ev, r->user);
}

struct ln_flow ln_log_flow(struct ln_log_reader *r, const json_t *o)
{
	return (struct ln_flow){
	    .id = ln_log_hex(r, o, "id"),
	    .proto = ln_log_proto(r, o),
	    .how = (enum ln_how)ln_log_word(r, o, "how", how_text, LN_HOW_COUNT, LN_HOW_TASK),
	    .received = ln_log_bool(r, o, "received"),
	    .passed = ln_log_bool(r, o, "passed"),
	    .inbound = ln_log_bool(r, o, "inbound"),
	    .existing = ln_log_bool(r, o, "existing"),
	    .same_tree = ln_log_bool(r, o, "same_tree"),
	    .mptcp = ln_log_bool(r, o, "mptcp"),
	    .uncounted = ln_log_bool(r, o, "uncounted"),
	    .refused = ln_log_bool(r, o, "refused"),
	    .would_refuse = ln_log_bool(r, o, "would_refuse"),
	    .remote = ln_log_endpoint(r, o, "remote"),
	    .local = ln_log_endpoint(r, o, "local"),
	    .netns = ln_log_hex(r, o, "netns"),
	    .listener = ln_log_party(r, o, "listener"),
	    .other = ln_log_party(r, o, "other"),
	};
}

/* Whole seconds after `from_ns`, as the log has them: cut towards zero. */
static uint64_t after(struct ln_log_reader *r, const json_t *o, uint64_t from_ns, bool stale,
		      bool over)
{
	const json_t *value = json_object_get(o, "expires_in");
	json_int_t seconds;
	uint64_t back_ns;

	if (!value || json_is_null(value))
		return UINT64_MAX;
	seconds = json_integer_value(value);
	if (!json_is_integer(value) || seconds > SECONDS_MAX || seconds < -SECONDS_MAX) {
		ln_log_wrong(r, "\"expires_in\" is no number of seconds");
		return UINT64_MAX;
	}
	if (seconds > 0 || (seconds == 0 && !stale && !over))
		return from_ns + (uint64_t)seconds * LN_NS_PER_S;
	/* What was over stays so: the part of a second that is not in the log had passed. */
	back_ns = (uint64_t)-seconds * LN_NS_PER_S;
	if (over)
		back_ns += LN_NS_PER_S - 1;
	else if (seconds == 0)
		back_ns = 1;
	return from_ns > back_ns ? from_ns - back_ns : 1;
}

static const char *read_chain(struct ln_log_reader *r, const json_t *o)
{
	const json_t *list = ln_log_list(r, o, "chain"), *one;
	size_t i;

	ln_buf_reset(&r->chain);
	json_array_foreach(list, i, one)
	{
		if (!json_is_string(one) || json_string_length(one) >= LN_NAME_MAX ||
		    r->chain.len + json_string_length(one) + 2 > LN_CHAIN_TEXT_MAX) {
			ln_log_wrong(r, "\"chain\" has what is no name, or too many");
			return NULL;
		}
		if (i > 0)
			ln_buf_addc(&r->chain, ' ');
		ln_buf_adds(&r->chain, json_string_value(one));
	}
	return r->chain.len > 0 ? ln_buf_text(&r->chain) : NULL;
}

static void read_evidence(struct ln_log_reader *r, const json_t *o, uint64_t now_ns,
			  struct ln_name_evidence *ret)
{
	const char *name = ln_log_text(r, o, "name");
	bool stale = ln_log_bool(r, o, "stale"), grants = ln_log_bool(r, o, "grants"), over;
	uint64_t age_ns = ln_log_number(r, o, "age", SECONDS_MAX) * LN_NS_PER_S;

	*ret = (struct ln_name_evidence){
	    .source = (enum ln_name_source)ln_log_word(r, o, "source", source_text,
						       LN_NAME_SOURCE_COUNT, LN_NAME_UNTRUSTED),
	    .pid = (uint32_t)ln_log_number(r, o, "asked_by", UINT32_MAX),
	    .ttl_s = (uint32_t)ln_log_number(r, o, "ttl", UINT32_MAX),
	    .seen_ns = now_ns > age_ns ? now_ns - age_ns : 1,
	    .chain = read_chain(r, o),
	};
	if (!name || !ln_name_canonical(name, strlen(name), ret->name))
		ln_log_wrong(r, "a name that is none");
	/* What grants no more because its time is over may do so by another policy. */
	over = !grants && ln_name_source_grants(ret->source) &&
	       json_integer_value(json_object_get(o, "expires_in")) < 0;
	ret->grants = grants || over;
	ret->expires_ns = after(r, o, now_ns, stale, over);
	if (ln_name_source_is_claim(ret->source))
		ret->expires_ns = now_ns - 1;
}

static void give_name(struct ln_log_reader *r, const struct ln_log_record *rec, const json_t *o,
		      const struct ln_addr *addr)
{
	struct ln_event ev = ln_log_event(r, rec, LN_EVENT_NAME);

	ev.pid = 0;
	ev.tid = 0;
	ev.name.addr = *addr;
	read_evidence(r, o, ev.time_ns, &ev.name.evidence);
	ln_log_give(r, &ev);
}

void ln_log_give_names(struct ln_log_reader *r, const struct ln_log_record *rec, const char *key,
		       const struct ln_addr *addr)
{
	const json_t *list = ln_log_list(r, rec->json, key), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (!json_is_object(one))
			ln_log_wrong(r, "\"%s\" has what is no evidence", key);
		if (!r->wrong && addr->family != 0)
			give_name(r, rec, one, addr);
	}
}

static void give_found_name(struct ln_log_reader *r, const struct ln_log_record *rec)
{
	struct ln_addr addr = ln_log_addr(r, rec->json, "ip");
	const json_t *evidence = json_object_get(rec->json, "evidence");

	if (!json_is_object(evidence) || addr.family == 0)
		ln_log_wrong(r, "a name without an address or without evidence");
	else
		give_name(r, rec, evidence, &addr);
}

static void read_args(struct ln_log_reader *r, const json_t *o, struct ln_event *ev)
{
	const json_t *list = ln_log_list(r, o, "args"), *one;
	size_t i;

	ln_buf_reset(&r->args);
	json_array_foreach(list, i, one)
	{
		if (!json_is_string(one) || r->args.len + json_string_length(one) >= ARGS_MAX) {
			ln_log_wrong(r, "\"args\" has what is no text, or too much");
			return;
		}
		ln_buf_adds(&r->args, json_string_value(one));
		ln_buf_addc(&r->args, '\0');
	}
	ev->exec.args = ln_buf_text(&r->args);
	ev->exec.args_len = r->args.len;
	ev->exec.cut = ln_log_bool(r, o, "args_cut");
}

static void give_image(struct ln_log_reader *r, const struct ln_log_record *rec,
		       struct ln_event *ev)
{
	const json_t *parent = json_array_get(json_object_get(rec->json, "parents"), 0);

	ev->exec.exe = ln_log_text(r, rec->json, "exe");
	ev->exec.exe_len = ev->exec.exe ? strlen(ev->exec.exe) : 0;
	ev->exec.ns_pid = (uint32_t)ln_log_number(r, rec->json, "ns_pid", UINT32_MAX);
	read_args(r, rec->json, ev);
	if (ev->kind == LN_EVENT_ADOPT) {
		ev->exec.ppid = (uint32_t)ln_log_number(r, parent, "pid", UINT32_MAX);
		ev->exec.why = ln_log_keep(r, ln_log_text(r, rec->json, "watched_since"));
	}
	ln_log_give(r, ev);
}

static void give_process(struct ln_log_reader *r, const struct ln_log_record *rec)
{
	unsigned int kind =
	    ln_log_word(r, rec->json, "event", event_text, LN_EVENT_COUNT, LN_EVENT_TICK);
	struct ln_event ev = ln_log_event(r, rec, (enum ln_event_kind)kind);

	if (kind == LN_EVENT_FORK) {
		ev.fork.child = (uint32_t)ln_log_number(r, rec->json, "child", UINT32_MAX);
		ln_log_give(r, &ev);
	} else if (kind == LN_EVENT_EXIT) {
		ev.exit.status = (int)ln_log_number(r, rec->json, "status", UINT8_MAX) << 8 |
				 (int)ln_log_number(r, rec->json, "signal", 127);
		ln_log_give(r, &ev);
	} else if (kind == LN_EVENT_EXEC || kind == LN_EVENT_ADOPT) {
		give_image(r, rec, &ev);
	}
}

static void read_end(struct ln_log_reader *r, const json_t *o, struct ln_event *ev)
{
	double ms = json_number_value(json_object_get(o, "duration_ms"));
	struct ln_flow_end *end = &ev->flow.end;
	uint64_t ns = ms > 0 && ms < MILLISECONDS ? (uint64_t)(ms * NS_PER_MS_F) : 0;

	end->open_ns = ev->time_ns > ns ? ev->time_ns - ns : 1;
	end->tx_bytes = ln_log_number(r, o, "tx_bytes", INT64_MAX);
	end->rx_bytes = ln_log_number(r, o, "rx_bytes", INT64_MAX);
	end->tx_packets = ln_log_number(r, o, "tx_packets", INT64_MAX);
	end->rx_packets = ln_log_number(r, o, "rx_packets", INT64_MAX);
	end->outcome = (enum ln_outcome)ln_log_word(r, o, "outcome", outcome_text, LN_OUTCOME_COUNT,
						    LN_OUTCOME_NONE);
	end->evicted = ln_log_bool(r, o, "evicted");
}

static void give_flow(struct ln_log_reader *r, const struct ln_log_record *rec, bool close)
{
	struct ln_event ev = ln_log_event(r, rec, close ? LN_EVENT_FLOW_CLOSE : LN_EVENT_FLOW_OPEN);

	ev.flow.flow = ln_log_flow(r, rec->json);
	if (close)
		read_end(r, rec->json, &ev);
	ln_log_give_names(r, rec, "names", &ev.flow.flow.remote.addr);
	ln_log_give(r, &ev);
}

void ln_log_events(struct ln_log_reader *r, const struct ln_log_record *rec)
{
	switch (rec->kind) {
	case LN_FINDING_PROCESS:
		give_process(r, rec);
		break;
	case LN_FINDING_NAME:
		give_found_name(r, rec);
		break;
	case LN_FINDING_FLOW_OPEN:
	case LN_FINDING_FLOW_CLOSE:
		give_flow(r, rec, rec->kind == LN_FINDING_FLOW_CLOSE);
		break;
	case LN_FINDING_DNS_QUERY:
	case LN_FINDING_DNS_ANSWER:
		ln_log_give_dns(r, rec, rec->kind == LN_FINDING_DNS_ANSWER);
		break;
	case LN_FINDING_WIRE:
		ln_log_give_wire(r, rec);
		break;
	case LN_FINDING_CHANNEL:
		ln_log_give_channel(r, rec);
		break;
	case LN_FINDING_CLAIM:
		ln_log_give_claim(r, rec);
		break;
	case LN_FINDING_REPEATS:
	case LN_FINDING_TAMPER:
	case LN_FINDING_POLICY:
	case LN_FINDING_VERDICT:
	case LN_FINDING_LIMIT:
	case LN_FINDING_LOST:
	case LN_FINDING_COUNT:
		break;
	}
}
