/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "base/buf.h"
#include "base/log.h"
#include "base/table.h"
#include "base/text.h"
#include "commands.h"
#include "output/describe.h"
#include "output/json.h"
#include "rejudge.h"

#define CHANGES_MAX 65536 /* kept apart */

/* How one side judged it. */
struct side {
	enum ln_verdict verdict;
	bool told;   /* it is a violation */
	char *words; /* owned; the rule, or why none */
};

/* What was judged in the same way before, and in the same way after. */
struct change {
	char *subject; /* owned; "api.example.com:443/TCP" */
	struct side before, after;
	char *hint; /* owned; of after; NULL: none */
	uint64_t count;
	UT_hash_handle hh;
	char key[];
};

struct replay {
	bool json, all;
	const char *policy_file;
	struct change *changes; /* owned; in the order in which they were seen */
	uint64_t judged, changed, over;
	uint64_t told_before, told_after;
	struct ln_buf text; /* reused */
	int error;
};

static void add_port(struct ln_buf *b, uint16_t port, uint8_t proto)
{
	ln_buf_addf(b, ":%u/", port);
	ln_describe_proto(b, proto);
}

/* Under which name it was gone for; the address when it has none. */
static void add_flow(struct ln_buf *b, const struct ln_finding *now,
		     const struct ln_log_record *was)
{
	const struct ln_endpoint *remote = now->wire ? now->wire : &now->flow->remote;
	const char *name = now->rule_name ? now->rule_name : was->rule_name;
	char text[LN_ENDPOINT_TEXT_MAX];

	if (now->flow->inbound) {
		ln_buf_addf(b, "inbound to port %u/", now->flow->local.port);
		ln_describe_proto(b, now->flow->proto);
		ln_buf_addf(b, " from %s", ln_addr_format(&remote->addr, text));
		return;
	}
	if (!name && now->n_names > 0)
		name = now->names[0].name;
	if (name) {
		ln_text_escape(b, name, strlen(name));
		add_port(b, remote->port, now->flow->proto);
	} else {
		ln_buf_addf(b, "%s/", ln_endpoint_format(remote, text));
		ln_describe_proto(b, now->flow->proto);
	}
}

static void add_subject(struct ln_buf *b, const struct ln_finding *now,
			const struct ln_log_record *was)
{
	switch (now->kind) {
	case LN_FINDING_FLOW_OPEN:
	case LN_FINDING_WIRE:
		add_flow(b, now, was);
		break;
	case LN_FINDING_DNS_QUERY:
		ln_buf_adds(b, "name ");
		if (now->query && now->query[0] != '\0')
			ln_text_escape(b, now->query, strlen(now->query));
		else
			ln_buf_adds(b, "that cannot be read");
		break;
	case LN_FINDING_CLAIM:
		ln_describe_target(b, now);
		break;
	default:
		ln_buf_addf(b, "%s ", was->title ? was->title : ln_finding_kind_text(now->kind));
		if (now->subject)
			ln_text_escape(b, now->subject, strlen(now->subject));
		break;
	}
	if (now->kind == LN_FINDING_CLAIM && now->claim->has_name) {
		ln_buf_adds(b, ", the bytes say ");
		ln_describe_claim(b, now->claim);
	}
}

static bool is_told(enum ln_verdict verdict, const char *title)
{
	return verdict == LN_VERDICT_UNEXPECTED || title;
}

static char *before_words(const struct ln_log_record *was)
{
	struct ln_buf b = {0};
	char *copy;

	if (was->rule) {
		ln_text_escape(&b, was->rule, strlen(was->rule));
		ln_buf_addf(&b, " (line %u)", was->rule_line);
	} else if (was->reason) {
		ln_text_escape(&b, was->reason, strlen(was->reason));
	}
	copy = strdup(ln_buf_text(&b));
	ln_buf_done(&b);
	return copy;
}

static char *after_words(const struct ln_finding *now)
{
	struct ln_buf b = {0};
	char *copy;

	if (now->rule) {
		ln_text_escape(&b, now->rule->text, strlen(now->rule->text));
		ln_buf_addf(&b, " (line %u)", now->rule->line);
	} else if (now->reason) {
		ln_text_escape(&b, now->reason, strlen(now->reason));
	}
	copy = strdup(ln_buf_text(&b));
	ln_buf_done(&b);
	return copy;
}

static bool is_changed(const struct change *c)
{
	return c->before.verdict != c->after.verdict || c->before.told != c->after.told;
}

/* Of what the bytes of a flow say only what is a violation of its own is worth a row. */
static bool is_row(const struct ln_log_record *was, const struct ln_finding *now)
{
	switch (was->kind) {
	case LN_FINDING_FLOW_OPEN:
	case LN_FINDING_DNS_QUERY:
	case LN_FINDING_WIRE:
		return true;
	case LN_FINDING_CHANNEL:
		return was->verdict != LN_VERDICT_NONE || now->verdict != LN_VERDICT_NONE ||
		       was->title || now->title;
	case LN_FINDING_CLAIM:
		return was->title || now->title;
	default:
		return false;
	}
}

static void free_change(struct change *c)
{
	free(c->subject);
	free(c->before.words);
	free(c->after.words);
	free(c->hint);
	free(c);
}

static struct change *make_change(struct replay *r, const struct ln_log_record *was,
				  const struct ln_finding *now, const char *key, size_t len)
{
	struct change *c = calloc(1, sizeof(*c) + len);

	if (!c)
		return NULL;
	memcpy(c->key, key, len);
	ln_buf_reset(&r->text);
	add_subject(&r->text, now, was);
	c->subject = strdup(ln_buf_text(&r->text));
	c->before =
	    (struct side){was->verdict, is_told(was->verdict, was->title), before_words(was)};
	c->after = (struct side){now->verdict, is_told(now->verdict, now->title), after_words(now)};
	c->hint = now->hint && c->after.told ? strdup(now->hint) : NULL;
	if (c->subject && c->before.words && c->after.words)
		HASH_ADD_KEYPTR(hh, r->changes, c->key, len, c);
	if (!c->hh.tbl) {
		free_change(c);
		return NULL;
	}
	return c;
}

static void on_judged(const struct ln_log_record *was, const struct ln_finding *now, void *user)
{
	bool before = is_told(was->verdict, was->title), after = is_told(now->verdict, now->title);
	struct replay *r = user;
	struct ln_buf key = {0};
	struct change *c;

	if (!is_row(was, now))
		return;
	r->judged++;
	r->told_before += before;
	r->told_after += after;
	r->changed += was->verdict != now->verdict || before != after;
	add_subject(&key, now, was);
	ln_buf_addf(&key, "\n%d %d %d %d %d %u %u", was->kind, was->verdict, before, now->verdict,
		    after, was->rule_line, now->rule ? now->rule->line : 0);
	HASH_FIND(hh, r->changes, ln_buf_text(&key), key.len, c);
	if (!c && HASH_COUNT(r->changes) >= CHANGES_MAX)
		r->over++;
	else if (!c)
		c = make_change(r, was, now, ln_buf_text(&key), key.len);
	if (c)
		c->count++;
	else if (HASH_COUNT(r->changes) < CHANGES_MAX)
		r->error = -ENOMEM;
	ln_buf_done(&key);
}

/* What becomes a violation first, then what is none any more; of these what came most often. */
static int weight(const struct change *c)
{
	if (!is_changed(c))
		return c->after.told ? 3 : 4;
	if (c->before.told == c->after.told)
		return 2;
	return c->after.told ? 0 : 1;
}

static int compare(struct change *a, struct change *b)
{
	if (weight(a) != weight(b))
		return weight(a) - weight(b);
	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return strcmp(a->subject, b->subject);
}

static const char *verdict_words(const struct side *s)
{
	/* A socket that changed hands is an alert also when its destination is expected. */
	if (s->told && s->verdict != LN_VERDICT_UNEXPECTED)
		return "an alert";
	return s->verdict == LN_VERDICT_NONE ? "not judged" : ln_verdict_text(s->verdict);
}

static void print_text(const struct change *c)
{
	if (is_changed(c))
		printf("%s: %s → %s", c->subject, verdict_words(&c->before),
		       verdict_words(&c->after));
	else
		printf("%s: %s as before", c->subject, verdict_words(&c->after));
	printf(", %llu time%s\n", (unsigned long long)c->count, c->count == 1 ? "" : "s");
	if (c->before.words[0] && is_changed(c))
		printf("  before: %s\n", c->before.words);
	if (c->after.words[0])
		printf("  %s %s\n", is_changed(c) ? "after: " : "by:    ", c->after.words);
	if (c->hint) {
		struct ln_buf b = {0};

		ln_text_escape(&b, c->hint, strlen(c->hint));
		printf("  hint:   %s\n", ln_buf_text(&b));
		ln_buf_done(&b);
	}
}

static void add_side(struct ln_buf *b, const struct side *s)
{
	LN_JSON_OPEN(b, "verdict");
	ln_json_text(b, ln_verdict_text(s->verdict));
	LN_JSON_KEY(b, "violation");
	ln_json_bool(b, s->told);
	LN_JSON_KEY(b, "by");
	ln_json_text(b, s->words[0] ? s->words : NULL);
	ln_buf_addc(b, '}');
}

static void print_json(const struct change *c)
{
	struct ln_buf b = {0};

	LN_JSON_OPEN(&b, "destination");
	ln_json_text(&b, c->subject);
	LN_JSON_KEY(&b, "count");
	ln_json_number(&b, c->count);
	LN_JSON_KEY(&b, "changed");
	ln_json_bool(&b, is_changed(c));
	LN_JSON_KEY(&b, "before");
	add_side(&b, &c->before);
	LN_JSON_KEY(&b, "after");
	add_side(&b, &c->after);
	LN_JSON_KEY(&b, "hint");
	ln_json_text(&b, c->hint);
	ln_buf_addc(&b, '}');
	puts(ln_buf_text(&b));
	ln_buf_done(&b);
}

static void print_sums(const struct replay *r)
{
	if (r->json) {
		printf("{\"judged\":%llu,\"changed\":%llu,\"violations_before\":%llu,"
		       "\"violations_after\":%llu,\"not_shown\":%llu}\n",
		       (unsigned long long)r->judged, (unsigned long long)r->changed,
		       (unsigned long long)r->told_before, (unsigned long long)r->told_after,
		       (unsigned long long)r->over);
		return;
	}
	if (r->over > 0)
		printf("%llu more are not shown one by one\n", (unsigned long long)r->over);
	printf("%llu judged anew, %llu otherwise than before; unexpected: %llu before, %llu now\n",
	       (unsigned long long)r->judged, (unsigned long long)r->changed,
	       (unsigned long long)r->told_before, (unsigned long long)r->told_after);
}

static void print_all(struct replay *r)
{
	HASH_SORT(r->changes, compare);
	for (struct change *c = r->changes; c; c = c->hh.next) {
		if (!r->all && !is_changed(c))
			continue;
		if (r->json)
			print_json(c);
		else
			print_text(c);
	}
	print_sums(r);
}

static void release(struct replay *r)
{
	while (r->changes) {
		struct change *c = r->changes;

		HASH_DEL(r->changes, c);
		free_change(c);
	}
	ln_buf_done(&r->text);
}

static int judge(struct replay *r, const struct ln_policy *policy, char **logs, int n)
{
	const struct ln_rejudge how = {.policy = policy, .judged = on_judged, .user = r};
	struct ln_log_sums sums;
	int status = 0;

	for (int i = 0; i < n && status == 0; i++) {
		if (ln_rejudge_file(logs[i], &how, &sums) < 0)
			status = LN_STATUS_USAGE;
	}
	if (status == 0 && r->error < 0) {
		ln_log(LN_LOG_ERROR, "out of memory");
		status = LN_STATUS_USAGE;
	}
	if (status == 0) {
		print_all(r);
		status = r->told_after > 0 ? LN_STATUS_FINDINGS : 0;
	}
	release(r);
	return status;
}

static int run(const struct ln_command *c, int argc, char **argv)
{
	struct replay r = {0};
	struct ln_options o;
	const char *value = NULL;
	int id, status;

	ln_options_init(&o, c, argc, argv);
	while ((id = ln_options_next(&o, &value)) != LN_OPT_END) {
		if (id == LN_OPT_JSON)
			r.json = true;
		else if (id == LN_OPT_ALL)
			r.all = true;
		else if (id == 'p')
			r.policy_file = value;
		else
			return id == LN_OPT_HELP ? 0 : c->usage_status;
	}
	int first = ln_options_rest(&o);
	if (!r.policy_file)
		return ln_options_wrong(c, "no policy is given: linnet replay -p POLICY LOG…");
	if (first == argc)
		return ln_options_wrong(c, "no log is given: linnet replay -p %s LOG…",
					r.policy_file);
	struct ln_policy *policy = ln_load_policy_or_tell(r.policy_file);
	if (!policy)
		return LN_STATUS_USAGE;
	status = judge(&r, policy, argv + first, argc - first);
	ln_policy_free(&policy);
	return status;
}

static const struct ln_option OPTIONS[] = {
    {"policy", 'p', "FILE", "the policy to judge by"},
    {"all", LN_OPT_ALL, NULL, "show also what is judged as before"},
    {"json", LN_OPT_JSON, NULL, "one JSON object a line; the sums are the last one"},
    {"help", 'h', NULL, "this text"},
    {0},
};

const struct ln_command ln_cmd_replay = {
    .name = "replay",
    .summary = "judge recorded logs anew under another policy",
    .usage = "[--all] [--json] -p FILE LOG…",
    .description =
	"Reads connection logs (\"-\": standard input) and tells what another policy\n"
	"would have said: which destinations would be judged otherwise, how often, and\n"
	"by which rule. Nothing is connected to and no name is looked up. Exits with 0\n"
	"when nothing in the logs is unexpected under the policy, with 1 when something\n"
	"is, and with 2 when a file cannot be used.\n",
    .options = OPTIONS,
    .examples = "  linnet replay -p new.yaml run.jsonl\n"
		"  linnet replay -p policy.yaml --all --json run.jsonl | jq .\n",
    .operand = "LOG",
    .usage_status = LN_STATUS_USAGE,
    .permutes = true,
    .run = run,
};
