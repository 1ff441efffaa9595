/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "commands.h"
#include "explain.h"
#include "output/describe.h"
#include "output/json.h"
#include "output/record_event.h"

#define EDGES_MAX 512 /* where a rule's ports begin or end */
#define ROWS_MAX  (2 * EDGES_MAX)

/* Ports that are all judged alike. */
struct row {
	uint16_t first, last;
	uint8_t proto; /* 0: both */
	enum ln_verdict verdict;
	const struct ln_rule *rule, *expired;
};

struct explain {
	struct ln_asked asked;
	const char *text; /* as it was asked */
	const struct ln_policy *policy;
	struct ln_engine *engine; /* owned */
	struct ln_known_names known;
	bool json, resolve;
	size_t n_rows;
	struct row rows[ROWS_MAX];
	uint32_t edges[EDGES_MAX];
	size_t n_edges;
	bool edges_over; /* there were more */
};

static bool is_permitted(enum ln_verdict v)
{
	return v != LN_VERDICT_UNEXPECTED;
}

static const char *name_of(const struct explain *x)
{
	return x->asked.name[0] != '\0' ? x->asked.name : NULL;
}

static void ask(struct explain *x, uint16_t port, uint8_t proto, struct ln_explanation *ret)
{
	struct ln_endpoint remote = x->asked.remote;

	remote.port = port;
	ln_engine_explain(x->engine, proto, &remote, name_of(x), ret);
}

static void add_edge(struct explain *x, uint32_t port)
{
	size_t i = 0;

	while (i < x->n_edges && x->edges[i] < port)
		i++;
	if (port > UINT16_MAX || (i < x->n_edges && x->edges[i] == port))
		return;
	if (x->n_edges == EDGES_MAX) {
		x->edges_over = true;
		return;
	}
	memmove(&x->edges[i + 1], &x->edges[i], (x->n_edges - i) * sizeof(x->edges[0]));
	x->edges[i] = port;
	x->n_edges++;
}

/* Rules that may say something of it; those that do not only split what is put together again. */
static bool may_matter(const struct explain *x, const struct ln_rule *r)
{
	if (r->kind == LN_RULE_UNIX || r->kind == LN_RULE_INBOUND)
		return false;
	if (r->dest == LN_DEST_NET)
		return x->asked.remote.addr.family != 0 &&
		       ln_net_contains(&r->net, &x->asked.remote.addr);
	return !name_of(x) || ln_name_under(x->asked.name, r->name);
}

static void find_edges(struct explain *x)
{
	const struct ln_endpoint *resolvers;
	size_t n = ln_policy_resolvers(x->policy, &resolvers);

	add_edge(x, 1);
	for (size_t i = 0; i < n; i++) {
		add_edge(x, resolvers[i].port);
		add_edge(x, resolvers[i].port + 1u);
	}
	for (size_t i = 0; i < ln_policy_rules(x->policy); i++) {
		const struct ln_rule *r = ln_policy_rule(x->policy, i);

		if (!may_matter(x, r))
			continue;
		for (size_t k = 0; k < r->n_ports; k++) {
			add_edge(x, r->ports[k].first);
			add_edge(x, r->ports[k].last + 1u);
		}
	}
}

static bool same_judgement(const struct row *a, const struct row *b)
{
	return a->verdict == b->verdict && a->rule == b->rule && a->expired == b->expired;
}

static void add_row(struct explain *x, uint32_t first, uint32_t last, uint8_t proto)
{
	struct row *before = x->n_rows > 0 ? &x->rows[x->n_rows - 1] : NULL;
	struct row row = {.first = (uint16_t)first, .last = (uint16_t)last, .proto = proto};
	struct ln_explanation e;

	ask(x, (uint16_t)first, proto, &e);
	row.verdict = e.verdict;
	row.rule = e.rule;
	row.expired = e.expired;
	if (before && before->proto == proto && same_judgement(before, &row))
		before->last = (uint16_t)last;
	else if (x->n_rows < ROWS_MAX)
		x->rows[x->n_rows++] = row;
}

static void add_rows(struct explain *x, uint8_t proto)
{
	if (x->asked.remote.port != 0) {
		add_row(x, x->asked.remote.port, x->asked.remote.port, proto);
		return;
	}
	for (size_t i = 0; i < x->n_edges; i++)
		add_row(x, x->edges[i],
			i + 1 < x->n_edges ? x->edges[i + 1] - 1 : (uint32_t)UINT16_MAX, proto);
}

/* What is the same for TCP and for UDP is one row. */
static void join_protocols(struct explain *x, size_t n_tcp)
{
	for (size_t i = 0; i < n_tcp; i++) {
		struct row *tcp = &x->rows[i];

		for (size_t k = n_tcp; k < x->n_rows; k++) {
			struct row *udp = &x->rows[k];

			if (udp->first != tcp->first || udp->last != tcp->last ||
			    !same_judgement(tcp, udp))
				continue;
			tcp->proto = 0;
			memmove(udp, udp + 1, (x->n_rows - k - 1) * sizeof(*udp));
			x->n_rows--;
			break;
		}
	}
}

static void find_rows(struct explain *x)
{
	size_t n_tcp;

	find_edges(x);
	if (x->asked.proto != 0) {
		add_rows(x, x->asked.proto);
		return;
	}
	add_rows(x, IPPROTO_TCP);
	n_tcp = x->n_rows;
	add_rows(x, IPPROTO_UDP);
	join_protocols(x, n_tcp);
}

/* "443/TCP", "1-442/any" */
static void add_ports(struct ln_buf *b, const struct row *row)
{
	if (row->first == 1 && row->last == UINT16_MAX)
		ln_buf_adds(b, "any port");
	else if (row->first == row->last)
		ln_buf_addf(b, "%u", row->first);
	else
		ln_buf_addf(b, "%u-%u", row->first, row->last);
	if (row->proto == 0 && row->last - row->first == UINT16_MAX - 1)
		return;
	ln_buf_addc(b, '/');
	if (row->proto == 0)
		ln_buf_adds(b, "any");
	else
		ln_describe_proto(b, row->proto);
}

static const char *verdict_words(enum ln_verdict v)
{
	static const char *const words[] = {
	    [LN_VERDICT_NONE] = "not judged",
	    [LN_VERDICT_EXPECTED] = "expected",
	    [LN_VERDICT_DYNAMIC] = "allowed, and logged as dynamic",
	    [LN_VERDICT_DNS] = "a trusted resolver",
	    [LN_VERDICT_INTERNAL] = "internal",
	    [LN_VERDICT_UNEXPECTED] = "UNEXPECTED",
	};
	_Static_assert(LN_ARRAY_SIZE(words) == LN_VERDICT_COUNT, "words for each verdict");

	return words[v];
}

static void add_line(struct ln_buf *b, const char *label, const char *words)
{
	ln_buf_addf(b, "  %-9s ", label);
	ln_text_escape(b, words, strlen(words));
	ln_buf_addc(b, '\n');
}

static void add_date(struct ln_buf *b, const char *label, const struct ln_rule *rule)
{
	char time[LN_TIME_TEXT_MAX];

	ln_buf_addf(b, "  %-9s rule in line %u, %s\n", label, rule->line,
		    ln_time_format(rule->expires_s * LN_NS_PER_S, 0, time));
}

static const char *destination_of(const struct explain *x, const struct ln_explanation *e,
				  char buf[LN_ADDR_TEXT_MAX])
{
	if (name_of(x))
		return x->asked.name;
	if (e->n_names > 0 && e->names[0].grants)
		return e->names[0].name;
	return ln_addr_format(&x->asked.remote.addr, buf);
}

static void add_evidence(struct ln_buf *b, const struct explain *x, const struct ln_explanation *e)
{
	if (name_of(x)) {
		add_line(b, "Evidence:",
			 "supposed: that a trusted answer, the hosts file or linnet's own look-up "
			 "says where the name leads");
		return;
	}
	for (size_t i = 0; i < e->n_names; i++) {
		ln_buf_addf(b, "  %-9s ", "Evidence:");
		ln_describe_evidence(b, &e->names[i], ln_clock_mono_ns());
		ln_buf_addc(b, '\n');
	}
	if (e->n_names == 0)
		add_line(b, "Evidence:",
			 "no name is known for the address; with a trusted answer that gives it to "
			 "a listed name, that rule would permit it");
}

/* The reason, the rule, and what to do, for one port and protocol. */
static void add_details(struct ln_buf *b, struct explain *x, const struct row *row)
{
	uint8_t proto = row->proto ? row->proto : IPPROTO_TCP;
	uint16_t port =
	    row->first == row->last || row->first > 443 || row->last < 443 ? row->first : 443;
	char address[LN_ADDR_TEXT_MAX];
	struct ln_explanation e;

	ask(x, port, proto, &e);
	add_line(b, "Reason:", e.reason);
	if (e.rule && e.rule->kind == LN_RULE_DENY)
		ln_buf_addf(b, "  %-9s by the rule in line %u: it wins over every other\n",
			    "Denied:", e.rule->line);
	if (e.rule && e.rule->purpose)
		add_line(b, "Purpose:", e.rule->purpose);
	if (e.rule && e.rule->expires_s)
		add_date(b, "Expires:", e.rule);
	if (e.expired)
		add_date(b, "Expired:", e.expired);
	if (e.place)
		add_line(b, "Place:", e.place);
	add_evidence(b, x, &e);
	if (is_permitted(e.verdict) || (e.rule && e.rule->kind == LN_RULE_DENY))
		return;
	if (e.hint && !ln_explain_is_rule(e.hint))
		add_line(b, "Hint:", e.hint);
	ln_buf_adds(b, "  To allow it, add to expected_outbound:\n");
	ln_explain_add_rule(b, "    ", destination_of(x, &e, address), port, proto, NULL);
}

bool ln_explain_is_rule(const char *hint)
{
	return hint && strncmp(hint, "to allow it", strlen("to allow it")) == 0;
}

void ln_explain_add_rule(struct ln_buf *out, const char *indent, const char *destination,
			 uint16_t port, uint8_t proto, const char *purpose)
{
	ln_buf_addf(out, "%s- destination: \"%s\"\n%s  port: %u\n%s  protocol: \"", indent,
		    destination, indent, port, indent);
	ln_describe_proto(out, proto);
	ln_buf_addf(out, "\"\n%s  purpose: \"%s\"\n", indent, purpose ? purpose : LN_PURPOSE_MARK);
}

static bool is_known_before(const struct explain *x, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (ln_addr_equal(&x->known.list[k].addr, &x->known.list[i].addr) &&
		    strcmp(x->known.list[k].name, x->known.list[i].name) == 0)
			return true;
	}
	return false;
}

/* Where the name leads, and which other names lead there. */
static void add_addresses(struct ln_buf *b, const struct explain *x)
{
	char text[LN_ADDR_TEXT_MAX];

	for (size_t i = 0; name_of(x) && i < x->known.n; i++) {
		const struct ln_known *one = &x->known.list[i];
		bool shared = false;

		if (strcmp(one->name, x->asked.name) != 0 || is_known_before(x, i))
			continue;
		ln_buf_addf(b, "  %-9s %s", "Address:", ln_addr_format(&one->addr, text));
		for (size_t k = 0; k < x->known.n; k++) {
			const struct ln_known *other = &x->known.list[k];

			if (!ln_addr_equal(&other->addr, &one->addr) ||
			    strcmp(other->name, one->name) == 0 || is_known_before(x, k))
				continue;
			ln_buf_addf(b, "%s%s", shared ? ", " : ", shared with ", other->name);
			shared = true;
		}
		ln_buf_addc(b, '\n');
	}
	if (x->edges_over && x->asked.remote.port == 0)
		add_line(b, "Note:",
			 "there are more ranges of ports than can be told: ask for one port");
	if (x->known.unanswered)
		add_line(b, "Note:", "not every look-up was answered");
}

static void print_text(struct explain *x)
{
	struct ln_buf b = {0};

	if (x->n_rows == 1) {
		ln_text_escape(&b, x->text, strlen(x->text));
		ln_buf_addf(&b, " is %s\n", verdict_words(x->rows[0].verdict));
		add_details(&b, x, &x->rows[0]);
	} else {
		ln_text_escape(&b, x->text, strlen(x->text));
		ln_buf_addc(&b, '\n');
	}
	for (size_t i = 0; x->n_rows > 1 && i < x->n_rows; i++) {
		const struct row *row = &x->rows[i];
		struct ln_explanation e;

		ask(x, row->first, row->proto ? row->proto : IPPROTO_TCP, &e);
		ln_buf_adds(&b, "  ");
		add_ports(&b, row);
		ln_buf_addf(&b, ": %s - %s", verdict_words(row->verdict), e.reason);
		if (row->expired)
			ln_buf_addf(&b, " The rule in line %u has expired.", row->expired->line);
		ln_buf_addc(&b, '\n');
	}
	add_addresses(&b, x);
	fputs(ln_buf_text(&b), stdout);
	ln_buf_done(&b);
}

static void add_json_addresses(struct ln_buf *b, const struct explain *x)
{
	bool first = true;

	LN_JSON_KEY(b, "addresses");
	ln_buf_addc(b, '[');
	for (size_t i = 0; name_of(x) && i < x->known.n; i++) {
		if (strcmp(x->known.list[i].name, x->asked.name) != 0 || is_known_before(x, i))
			continue;
		if (!first)
			ln_buf_addc(b, ',');
		first = false;
		ln_json_addr(b, &x->known.list[i].addr);
	}
	ln_buf_addc(b, ']');
}

static void print_json(struct explain *x)
{
	for (size_t i = 0; i < x->n_rows; i++) {
		const struct row *row = &x->rows[i];
		struct ln_explanation e;
		struct ln_buf b = {0};

		ask(x, row->first, row->proto ? row->proto : IPPROTO_TCP, &e);
		LN_JSON_OPEN(&b, "asked");
		ln_json_text(&b, x->text);
		LN_JSON_KEY(&b, "first_port");
		ln_json_number(&b, row->first);
		LN_JSON_KEY(&b, "last_port");
		ln_json_number(&b, row->last);
		LN_JSON_KEY(&b, "proto");
		ln_json_text(&b, row->proto ? ln_proto_name(row->proto) : "any");
		LN_JSON_KEY(&b, "allowed");
		ln_json_bool(&b, is_permitted(row->verdict));
		LN_JSON_KEY(&b, "verdict");
		ln_json_text(&b, ln_verdict_text(row->verdict));
		LN_JSON_KEY(&b, "rule");
		ln_record_rule(&b, e.rule, e.rule_name);
		LN_JSON_KEY(&b, "expired");
		ln_record_rule(&b, e.expired, NULL);
		LN_JSON_KEY(&b, "reason");
		ln_json_text(&b, e.reason);
		LN_JSON_KEY(&b, "hint");
		ln_json_text(&b, e.hint);
		LN_JSON_KEY(&b, "place");
		ln_json_text(&b, e.place);
		add_json_addresses(&b, x);
		ln_buf_addc(&b, '}');
		puts(ln_buf_text(&b));
		ln_buf_done(&b);
	}
}

static void ignore(const struct ln_finding *f, void *user)
{
}

static int make_engine(struct explain *x)
{
	struct ln_engine_config config = {
	    .policy = x->policy,
	    .agent = 1,
	    .on_finding = ignore,
	};
	int r;

	config.n_resolvers = ln_policy_resolvers(x->policy, &config.resolvers);
	r = ln_engine_new(&config, &x->engine);
	if (r == 0)
		ln_engine_tick(x->engine, ln_clock_mono_ns(), ln_clock_wall_ns());
	return r;
}

static int explain(struct explain *x)
{
	int status = LN_STATUS_FINDINGS;

	if (make_engine(x) < 0) {
		ln_log(LN_LOG_ERROR, "out of memory");
		return LN_STATUS_USAGE;
	}
	x->known.engine = x->engine;
	ln_known_hosts(&x->known);
	if (x->resolve && ln_known_resolve(&x->known, x->policy, x->asked.name) < 0)
		return LN_STATUS_USAGE;
	find_rows(x);
	if (x->json)
		print_json(x);
	else
		print_text(x);
	for (size_t i = 0; i < x->n_rows; i++) {
		if (is_permitted(x->rows[i].verdict))
			status = 0;
	}
	return status;
}

struct arguments {
	const char *policy, *log;
	bool json, resolve;
};

static int run_with(const struct ln_command *c, const struct arguments *a, const char *what)
{
	struct ln_policy *policy = a->policy ? ln_load_policy_or_tell(a->policy) : NULL;
	struct explain *x = calloc(1, sizeof(*x));
	int status = LN_STATUS_USAGE;

	if (a->policy && !policy) {
		free(x);
		return LN_STATUS_USAGE;
	}
	if (a->log) {
		status = ln_explain_alert(a->log, what, policy, a->json);
	} else if (x && ln_asked_parse(what, &x->asked)) {
		x->text = what;
		x->policy = policy;
		x->json = a->json;
		x->resolve = a->resolve;
		status = explain(x);
		ln_known_done(&x->known);
		ln_engine_free(&x->engine);
	}
	free(x);
	ln_policy_free(&policy);
	return status;
}

static int run(const struct ln_command *c, int argc, char **argv)
{
	struct arguments a = {0};
	struct ln_options o;
	const char *value = NULL;
	int id;

	ln_options_init(&o, c, argc, argv);
	while ((id = ln_options_next(&o, &value)) != LN_OPT_END) {
		if (id == 'p')
			a.policy = value;
		else if (id == LN_OPT_LOG)
			a.log = value;
		else if (id == LN_OPT_JSON)
			a.json = true;
		else if (id == LN_OPT_RESOLVE)
			a.resolve = true;
		else
			return id == LN_OPT_HELP ? 0 : c->usage_status;
	}
	if (!a.policy && !a.log)
		return ln_options_wrong(c, "no policy is given: linnet explain -p POLICY "
					   "DEST[:PORT][/PROTO]");
	if (argc - ln_options_rest(&o) != 1)
		return ln_options_wrong(c, "one %s is to be given",
					a.log ? "alert id" : "destination");
	return run_with(c, &a, argv[ln_options_rest(&o)]);
}

static const struct ln_option OPTIONS[] = {
    {"policy", 'p', "FILE", "the policy to judge by"},
    {"log", LN_OPT_LOG, "FILE", "explain an alert of this connection log, by its id"},
    {"resolve", LN_OPT_RESOLVE, NULL,
     "look up the name, and those that the policy lists: which addresses\n"
     "they share"},
    {"json", LN_OPT_JSON, NULL, "one JSON object a line"},
    {"help", 'h', NULL, "this text"},
    {0},
};

const struct ln_command ln_cmd_explain = {
    .name = "explain",
    .summary = "tell why a destination is allowed or not",
    .usage = "-p FILE DEST[:PORT][/PROTO]\n       linnet explain [-p FILE] --log LOG ALERT",
    .description = "Tells what a policy says of a destination: one decision, its reason, what\n"
		   "the decision rests on, and the rule to add. Without a port it tells it for\n"
		   "each port that rules tell apart. Or explains an alert of a log by the id in\n"
		   "its last line, and whether the policy would permit it now. Exits with 0 when\n"
		   "it is allowed (without a port: on some port), with 1 when it is not, and with\n"
		   "2 when something cannot be used.\n",
    .options = OPTIONS,
    .examples = "  linnet explain -p policy.yaml api.example.com:443/TCP\n"
		"  linnet explain -p policy.yaml [2001:db8::1]:443\n"
		"  linnet explain -p policy.yaml --log run.jsonl k7f2-3\n",
    .usage_status = LN_STATUS_USAGE,
    .permutes = true,
    .run = run,
};
