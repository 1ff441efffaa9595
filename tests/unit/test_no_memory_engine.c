/* SPDX-License-Identifier: Apache-2.0 */
/* An engine, its log, its alerts and what is observed, while memory runs out: see test_no_memory.c.
 */
#include "no_memory_fixture.h"

#include <sys/stat.h>
#include "engine/engine.h"
#include "output/observed.h"
#include "output/sink.h"
#include "sensor/story.h"

#define SECRET "hunter22hunter22"
#define RUN    "k7f2"

static const char *const stories[][2] = {
    {STORIES "bans.yaml", STORIES "bans.jsonl"},
    {STORIES "beside.yaml", STORIES "channels.jsonl"},
    {STORIES "beside.yaml", STORIES "socket_hands.jsonl"},
    {STORIES "beside.yaml", STORIES "unix_sockets.jsonl"},
    {STORIES "beside.yaml", STORIES "wire.jsonl"},
    {POLICIES "seed.yaml", STORIES "block.jsonl"},
    {POLICIES "seed.yaml", STORIES "dynamic.jsonl"},
    {STORIES "wide.yaml", STORIES "alias_answers.jsonl"},
    {STORIES "wide.yaml", STORIES "child_connects.jsonl"},
    {STORIES "wide.yaml", STORIES "claims.jsonl"},
    {STORIES "wide.yaml", STORIES "containers.jsonl"},
    {STORIES "wide.yaml", STORIES "dns_tcp.jsonl"},
    {STORIES "wide.yaml", STORIES "dns_ways.jsonl"},
    {STORIES "wide.yaml", STORIES "near_miss.jsonl"},
    {STORIES "wide.yaml", STORIES "query_flood.jsonl"},
    {STORIES "wide.yaml", STORIES "relays.jsonl"},
    {STORIES "wide.yaml", STORIES "repeats.jsonl"},
    {STORIES "wide.yaml", STORIES "reverse_names.jsonl"},
    {STORIES "wide.yaml", STORIES "service_hints.jsonl"},
    {STORIES "wide.yaml", STORIES "unasked_answer.jsonl"},
};

/* Behind any of these policies. */
#define LIMITS "limits: [{bytes_out: 1B, period: 60s}, {new_destinations: 1, period: 60s}]\n"

static char path[] = "/tmp/linnet-test-no-memory-XXXXXX";

static int make_file(void **state)
{
	LN_AUTO_CLOSE int fd = mkstemp(path);

	return fd < 0;
}

static int remove_file(void **state)
{
	return unlink(path);
}

/* One play: an engine, its log and its alerts. */
struct play {
	struct ln_engine *engine;
	struct ln_sink *log, *console;
	struct ln_observations *seen;
	size_t findings, alerts, losses;
	bool failed; /* an allocation did */
	int log_fd, console_fd;
	const struct ln_policy *policy, *next; /* borrowed; NULL: it stays */
	bool refused;                          /* `next` */
};

static void on_finding(const struct ln_finding *f, void *user)
{
	struct play *p = user;

	p->findings++;
	p->alerts += f->alert || f->notice;
	p->losses += f->kind == LN_FINDING_LOST;
	p->log->ops->finding(p->log, f);
	p->console->ops->finding(p->console, f);
	(void)ln_observe(p->seen, f);
}

/* Linnet's own look-ups, which never answer: holds end by their time. */
static bool ask(uint64_t ticket, const char *const *names, size_t n, void *user)
{
	return n > 0;
}

static int begin(struct play *p)
{
	struct ln_endpoint resolver;
	struct ln_engine_config config = {
	    .policy = p->policy,
	    .run = RUN,
	    .agent = 1,
	    .resolvers = &resolver,
	    .n_resolvers = 1,
	    .dns_unseen = true,
	    .ask = ask,
	    .on_finding = on_finding,
	    .user = p,
	};
	const struct ln_sink_header header = {
	    .version = "1",
	    .sensor = "bpf",
	    .agent_name = "tester",
	    .root_pid = 99,
	    .wall_ns = LN_STORY_WALL_NS,
	};
	int r;

	ln_endpoint_parse("10.0.0.53:53", 53, &resolver);
	r = ln_sink_jsonl_new(&(struct ln_jsonl_config){.fd = p->log_fd}, &p->log);
	if (r == 0)
		p->log_fd = -1; /* owned by the sink */
	if (r == 0)
		r = ln_sink_console_new(&(struct ln_console_config){.fd = p->console_fd},
					&p->console);
	if (r == 0)
		r = ln_observations_new(&p->seen);
	if (r == 0)
		r = ln_engine_new(&config, &p->engine);
	if (r == 0)
		p->log->ops->header(p->log, &header);
	return r;
}

/* Whose arguments are not for the log. */
static void exec_with_a_secret(struct play *p)
{
	static const char exe[] = "/usr/bin/curl", args[] = "curl\0--password\0" SECRET;
	const struct ln_event ev = {
	    .kind = LN_EVENT_EXEC,
	    .time_ns = LN_STORY_MONO_NS,
	    .wall_ns = LN_STORY_WALL_NS,
	    .agent = 1,
	    .pid = 99,
	    .exec = {.exe = exe,
		     .exe_len = sizeof(exe) - 1,
		     .args = args,
		     .args_len = sizeof(args)},
	};

	ln_engine_feed(p->engine, &ev);
}

static void take_next(struct play *p, const struct ln_event *ev)
{
	struct ln_endpoint resolver;
	int r;

	ln_endpoint_parse("10.0.0.53:53", 53, &resolver);
	r = ln_engine_take_policy(p->engine, p->next, &resolver, 1, ev->time_ns, ev->wall_ns);
	assert_true(r == 0 || r == -ENOMEM);
	p->refused = r < 0;
}

/* The n-th allocation fails; with `next` only those that the change of the policy makes count. */
static void play(struct play *p, const struct ln_story *s, size_t n, bool ever_after)
{
	int r;

	p->log_fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND);
	p->console_fd = open_file("/dev/null", O_WRONLY);
	scarce_begin(p->next ? 0 : n, ever_after);
	r = begin(p);
	assert_true(r == 0 || r == -ENOMEM);
	if (r == 0) {
		exec_with_a_secret(p);
		for (size_t i = 0; i < s->n; i++) {
			if (p->next && i == s->n / 2) {
				scarce_begin(n, ever_after);
				take_next(p, &s->events[i]);
				p->failed = scarce_end();
			}
			ln_engine_feed(p->engine, &s->events[i]);
		}
		ln_engine_finish(p->engine, s->events[s->n - 1].time_ns + LN_NS_PER_S,
				 s->events[s->n - 1].wall_ns + LN_NS_PER_S);
		p->log->ops->flush(p->log);
	}
	p->failed |= scarce_end();
	assert_true(r == 0 || p->failed);
}

static void end(struct play *p)
{
	ln_engine_free(&p->engine);
	ln_sink_free(&p->log);
	ln_sink_free(&p->console);
	ln_observations_free(&p->seen);
	ln_closep(&p->log_fd);
	ln_closep(&p->console_fd);
}

/* What `learn` and a summary go by. */
struct sums {
	size_t n;
	uint64_t count, bytes, over;
};

static struct sums sums_of(const struct play *p)
{
	struct sums s = {0};
	LN_AUTO_FREE const struct ln_observed **list = ln_observations_sorted(p->seen, &s.n);

	assert_non_null(list);
	for (size_t i = 0; i < s.n; i++) {
		s.count += list[i]->count;
		s.bytes += list[i]->tx_bytes + list[i]->rx_bytes;
	}
	for (int kind = 0; kind < LN_OBSERVED_KINDS; kind++)
		s.over += ln_observations_over(p->seen, (enum ln_observed_kind)kind);
	return s;
}

static void fail_at_difference(const char *story, size_t n, const char *log, const char *enough)
{
	size_t at = 0;

	for (size_t i = 0; log[i] && log[i] == enough[i]; i++)
		at = log[i] == '\n' ? i + 1 : at;
	fail_msg("%s, allocation %zu: something else, and not a word:\n%.*s\nwould be\n%.*s", story,
		 n, (int)strcspn(log + at, "\n"), log + at, (int)strcspn(enough + at, "\n"),
		 enough + at);
}

/* What came of the play that had enough. */
struct enough {
	char *log; /* owned */
	struct sums sums;
};

static void check(const struct play *p, const struct enough *enough, const char *story, size_t n)
{
	struct sums sums;
	const char *log = read_text(path, NULL);
	bool same = strcmp(log, enough->log) == 0;

	if (strstr(log, SECRET))
		fail_msg("%s, allocation %zu: a secret is in the log", story, n);
	if (!p->engine)
		return;
	assert_int_equal(p->log->written + p->log->dropped, p->findings + 1);
	assert_int_equal(p->console->written + p->console->dropped, p->alerts);
	if (!same && p->losses == 0 && p->log->dropped == 0)
		fail_at_difference(story, n, log, enough->log);
	sums = sums_of(p);
	if (p->losses == 0 && sums.over == 0 && memcmp(&sums, &enough->sums, sizeof(sums)) != 0)
		fail_msg("%s, allocation %zu: something else was observed", story, n);
}

static void play_until_it_passes(const struct ln_policy *policy, const char *name,
				 const struct enough *enough, bool ever_after)
{
	struct ln_story story = {0};
	struct ln_error err = {0};
	bool failed = true;

	if (ln_story_read(name, &err, &story) < 0)
		fail_msg("%s: %s", name, err.text);
	for (size_t n = 1; failed; n++) {
		struct play p = {.policy = policy};

		play(&p, &story, n, ever_after);
		check(&p, enough, name, n);
		failed = p.failed;
		end(&p);
	}
	ln_story_done(&story);
}

static struct enough play_once(const struct ln_policy *policy, const struct ln_policy *next,
			       const char *name)
{
	struct play p = {.policy = policy, .next = next};
	struct ln_story story = {0};
	struct ln_error err = {0};
	struct enough enough;

	assert_int_equal(ln_story_read(name, &err, &story), 0);
	play(&p, &story, 0, false);
	assert_true(!p.failed && p.log->dropped == 0 && p.console->dropped == 0);
	enough.sums = sums_of(&p);
	assert_int_equal(enough.sums.over, 0);
	end(&p);
	ln_story_done(&story);
	enough.log = strdup(read_text(path, NULL));
	assert_non_null(enough.log);
	return enough;
}

static void test_what_the_engine_cannot_keep_is_told(void **state)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(stories); i++) {
		struct ln_policy *policy = make_policy(stories[i][0], LIMITS);
		struct enough enough = play_once(policy, NULL, stories[i][1]);

		play_until_it_passes(policy, stories[i][1], &enough, false);
		play_until_it_passes(policy, stories[i][1], &enough, true);
		free(enough.log);
		ln_policy_free(&policy);
	}
}

/* The new one has fewer limits and other names than the old one. */
static void test_a_policy_that_cannot_be_taken_leaves_the_old_one_whole(void **state)
{
	static const char story_name[] = STORIES "claims.jsonl";
	struct ln_policy *old = make_policy(STORIES "wide.yaml", LIMITS);
	struct ln_policy *next = make_policy(POLICIES "seed.yaml", "");
	struct enough stayed = play_once(old, NULL, story_name);
	struct enough changed = play_once(old, next, story_name);
	struct ln_story story = {0};
	struct ln_error err = {0};
	size_t refused = 0;
	bool failed = true;

	assert_int_equal(ln_story_read(story_name, &err, &story), 0);
	assert_string_not_equal(stayed.log, changed.log);
	for (size_t n = 1; failed; n++) {
		struct play p = {.policy = old, .next = next};

		play(&p, &story, n, false);
		failed = p.failed;
		refused += p.refused;
		if (p.refused)
			assert_string_equal(read_text(path, NULL), stayed.log);
		else
			check(&p, &changed, story_name, n);
		end(&p);
	}
	assert_true(refused > 0);
	ln_story_done(&story);
	free(stayed.log);
	free(changed.log);
	ln_policy_free(&next);
	ln_policy_free(&old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_the_engine_cannot_keep_is_told),
	    cmocka_unit_test(test_a_policy_that_cannot_be_taken_leaves_the_old_one_whole),
	};

	return cmocka_run_group_tests_name("no_memory_engine", tests, make_file, remove_file);
}
