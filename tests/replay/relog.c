/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a story to the engine, writes the log of it, reads that back and tells it to another engine
 * under the same policy: each record must get the verdict and the rule that it has. Exit status 0
 * when it is so, 1 when not, 2 for what cannot be read. With a third argument the log goes there.
 */
#include "output/record.h"
#include "sensor/log.h"
#include "sensor/sensor.h"
#include "setting.h"

#define RUN "k7f2" /* what the ids of alerts begin with */

struct relog {
	struct ln_engine_config config;
	struct ln_policy *policy;
	struct ln_engine *engine, *again;
	struct ln_record record;
	FILE *log;
	/* Of the record that is told again. */
	enum ln_finding_kind wanted;
	bool found;
	enum ln_verdict verdict;
	uint32_t rule_line; /* 0: none */
	unsigned int judged, wrong;
};

static void on_finding(const struct ln_finding *f, void *user)
{
	struct relog *r = user;

	ln_buf_reset(&r->record.text);
	ln_record_finding(&r->record, f);
	fwrite(r->record.text.data, 1, r->record.text.len, r->log);
}

static void on_event(const struct ln_event *ev, void *user)
{
	struct relog *r = user;

	ln_engine_feed(r->engine, ev);
}

static void on_again(const struct ln_finding *f, void *user)
{
	struct relog *r = user;

	if (f->kind != r->wanted)
		return;
	r->found = true;
	r->verdict = f->verdict;
	r->rule_line = f->rule ? f->rule->line : 0;
}

static void on_record(const struct ln_log_record *rec, void *user)
{
	struct relog *r = user;

	r->wanted = rec->kind;
	r->found = false;
}

static bool is_judged(const struct ln_log_record *rec)
{
	return rec->kind == LN_FINDING_FLOW_OPEN || rec->kind == LN_FINDING_FLOW_CLOSE ||
	       rec->kind == LN_FINDING_DNS_QUERY || rec->kind == LN_FINDING_WIRE ||
	       rec->kind == LN_FINDING_CHANNEL || rec->kind == LN_FINDING_CLAIM;
}

static void on_done(const struct ln_log_record *rec, void *user)
{
	struct relog *r = user;

	if (!is_judged(rec))
		return;
	r->judged++;
	if (r->found && r->verdict == rec->verdict && r->rule_line == rec->rule_line)
		return;
	r->wrong++;
	printf("record %llu, %s: %s by line %u; told again: %s by line %u\n",
	       (unsigned long long)rec->line, rec->type, ln_verdict_text(rec->verdict),
	       rec->rule_line, r->found ? ln_verdict_text(r->verdict) : "nothing", r->rule_line);
}

static void on_event_again(const struct ln_event *ev, void *user)
{
	struct relog *r = user;

	ln_engine_feed(r->again, ev);
}

static void on_header(const struct ln_log_header *h, void *user)
{
	struct relog *r = user;

	r->config.resolvers = h->resolvers;
	r->config.n_resolvers = h->n_resolvers;
	r->config.search = h->search;
	r->config.n_search = h->n_search;
	r->config.on_finding = on_again;
	if (ln_engine_new(&r->config, &r->again) < 0)
		abort();
}

static void on_bad(uint64_t line, const char *what, void *user)
{
	struct relog *r = user;

	r->wrong++;
	printf("record %llu: %s\n", (unsigned long long)line, what);
}

static bool write_log(struct relog *r, const char *story, const char *policy)
{
	struct ln_sink_header header = {.version = "0", .sensor = "replay", .agent_name = "story"};
	struct ln_sensor *sensor = NULL;
	struct ln_error err = {0};
	struct setting setting;
	bool ok;

	r->policy = read_policy(policy);
	if (!r->policy)
		return false;
	r->config = (struct ln_engine_config){
	    .policy = r->policy, .run = RUN, .agent = 1, .on_finding = on_finding, .user = r};
	if (!read_setting(story, &setting, &r->config) || ln_engine_new(&r->config, &r->engine) < 0)
		return false;
	header.policy_file = policy;
	header.run = RUN;
	header.wall_ns = LN_STORY_WALL_NS;
	header.resolvers = r->config.resolvers;
	header.n_resolvers = r->config.n_resolvers;
	header.search = r->config.search;
	header.n_search = r->config.n_search;
	ln_record_header(&r->record, &header);
	fwrite(r->record.text.data, 1, r->record.text.len, r->log);
	ok = ln_sensor_replay_new(story, &err, &sensor) == 0 &&
	     sensor->ops->drain(sensor, on_event, r) == 0;
	if (!ok)
		fprintf(stderr, "relog: %s\n", err.text);
	ln_sensor_free(&sensor);
	return ok;
}

static int compare(struct relog *r)
{
	static const struct ln_log_handlers handlers = {
	    .header = on_header,
	    .record = on_record,
	    .event = on_event_again,
	    .done = on_done,
	    .bad = on_bad,
	};
	struct ln_log_sums sums;
	struct ln_error err = {0};

	rewind(r->log);
	if (ln_log_read(r->log, "log", &handlers, r, &err, &sums) < 0) {
		printf("%s\n", err.text);
		return 1;
	}
	return r->wrong == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct relog r = {0};
	int status = 2;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: relog STORY.jsonl POLICY.yaml [LOG]\n");
		return 2;
	}
	r.log = argc == 4 ? fopen(argv[3], "w+e") : tmpfile();
	if (r.log && write_log(&r, argv[1], argv[2]))
		status = compare(&r);
	if (r.log)
		fclose(r.log);
	ln_engine_free(&r.engine);
	ln_engine_free(&r.again);
	ln_policy_free(&r.policy);
	ln_record_done(&r.record);
	return status;
}
