/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "commands.h"
#include "daemon/cgroup.h"
#include "daemon/privileges.h"
#include "daemon/selftest.h"
#include "policy/policy.h"
#include "sensor/resolved.h"

/* The table of channels, in 100 columns. */
#define NAME_WIDTH    31
#define SIGHT_WIDTH   20
#define DETAIL_COLUMN (2 + NAME_WIDTH + 1 + SIGHT_WIDTH + 1)
#define DETAIL_WIDTH  (100u - DETAIL_COLUMN)

enum state { STATE_OK, STATE_MISSING, STATE_FAILED };

struct doctor {
	bool json;
	const struct ln_sensor_kind *kind;
	bool failed;
};

/* One line of the report: a section, what was looked at, how it is, and a word on it. */
static void tell(struct doctor *d, const char *section, const char *name, enum state state,
		 const char *note)
{
	static const char *const MARKS[] = {"ok", "--", "FAIL"};
	static const char *const WORDS[] = {"ok", "missing", "fail"};
	struct ln_buf b = {0};

	d->failed = d->failed || state == STATE_FAILED;
	if (d->json) {
		ln_buf_addf(&b, "{\"section\":\"%s\",\"name\":", section);
		ln_text_json(&b, name, strlen(name));
		ln_buf_addf(&b, ",\"state\":\"%s\",\"note\":", WORDS[state]);
		ln_text_json(&b, note, strlen(note));
		ln_buf_addc(&b, '}');
	} else {
		ln_buf_addf(&b, "%-10s [%-4s] ", section, MARKS[state]);
		ln_text_escape(&b, name, strlen(name));
		ln_buf_adds(&b, note[0] ? ": " : "");
		ln_text_escape(&b, note, strlen(note));
	}
	puts(ln_buf_text(&b));
	ln_buf_done(&b);
}

static void tell_place(struct doctor *d)
{
	struct ln_error err = {0};
	LN_AUTO_CLOSE int root = -1;
	struct utsname u;
	char text[256];

	if (uname(&u) == 0) {
		snprintf(text, sizeof(text), "Linux %.100s %.100s", u.release, u.machine);
		tell(d, "system", "kernel", STATE_OK, text);
	}
	tell(d, "system", "user", STATE_OK,
	     geteuid() == 0 ? "root" : "not root: only the poll sensor can be used");
	bool reached = ln_cgroup_root(&err, &root) == 0;
	tell(d, "system", "cgroup v2", reached ? STATE_OK : STATE_MISSING,
	     reached ? "the tree can be reached" : err.text);
}

static void tell_resolved(struct doctor *d)
{
	LN_CLEANUP(ln_resolved_free) struct ln_resolved *r = NULL;
	int error = ln_resolved_new(LN_RESOLVED_PATH, false, &r);
	const char *note = "names that it answers over its UNIX socket or D-Bus are heard";

	if (error == -ENOENT)
		note = "not there";
	else if (error == -EACCES || error == -EPERM)
		note = "needs root";
	else if (error < 0)
		note = strerror(-error);
	tell(d, "system", "systemd-resolved monitor", error < 0 ? STATE_MISSING : STATE_OK, note);
}

/* In a child: what is given up does not come back. Its words come through a pipe. */
static void tell_privileges(struct doctor *d)
{
	int words[2];
	struct ln_error err = {0};
	uid_t uid = 0;
	gid_t gid = 0;
	int status = 0;

	if (geteuid() != 0) {
		tell(d, "privileges", "drop", STATE_OK, "there are none to give up");
		return;
	}
	int r = ln_privileges_choose(0, &err, &uid, &gid);
	if (r == 0 && pipe(words) < 0)
		r = ln_error_set(&err, errno, "no pipe can be made: %s", strerror(errno));
	if (r < 0) {
		tell(d, "privileges", "drop", STATE_FAILED, err.text);
		return;
	}
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		r = ln_privileges_drop(uid, gid, d->kind->proc, &err);
		if (r < 0 && write(words[1], err.text, strlen(err.text)) < 0)
			_exit(2);
		_exit(r < 0);
	}
	close(words[1]);
	ssize_t n = read(words[0], err.text, sizeof(err.text) - 1);
	err.text[n > 0 ? n : 0] = '\0';
	close(words[0]);
	bool dropped = child > 0 && waitpid(child, &status, 0) == child && status == 0;
	if (dropped)
		snprintf(err.text, sizeof(err.text), "the monitor would run as user %u%s",
			 (unsigned)uid,
			 d->kind->proc ? " and keep SYS_PTRACE and DAC_READ_SEARCH to read /proc"
				       : ", without any capability");
	tell(d, "privileges", "drop", dropped ? STATE_OK : STATE_FAILED, err.text);
}

static void tell_facts(struct doctor *d, struct ln_sensor *s)
{
	const struct ln_sensor_fact *facts;
	size_t n = s->ops->facts(s, &facts);

	for (size_t i = 0; i < n; i++)
		tell(d, d->kind->name, facts[i].name,
		     facts[i].works      ? STATE_OK
		     : facts[i].required ? STATE_FAILED
					 : STATE_MISSING,
		     facts[i].note);
}

/* One channel as a record for a program. */
static void print_channel_json(const struct ln_channel_fact *c)
{
	struct ln_buf b = {0};

	ln_buf_adds(&b, "{\"section\":\"channel\",\"name\":");
	ln_text_json(&b, c->name, strlen(c->name));
	ln_buf_addf(&b, ",\"state\":\"%s\",\"sight\":\"%s\",\"refusable\":%s,\"by\":",
		    c->sight == LN_SIGHT_SEEN ? "ok" : "missing", ln_sight_text(c->sight),
		    c->refusable ? "true" : "false");
	ln_text_json(&b, c->by, strlen(c->by));
	ln_buf_adds(&b, ",\"note\":");
	ln_text_json(&b, c->note, strlen(c->note));
	ln_buf_addc(&b, '}');
	puts(ln_buf_text(&b));
	ln_buf_done(&b);
}

/* The words of `text` in lines of DETAIL_WIDTH, the first one where the cursor is. */
static void print_detail(const char *text)
{
	size_t used = 0;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (used > 0 && used + 1 + n > DETAIL_WIDTH) {
			printf("\n%*s", DETAIL_COLUMN, "");
			used = 0;
		}
		printf("%s%.*s", used > 0 ? " " : "", (int)n, text);
		used += n + (used > 0);
		text += n + strspn(text + n, " ");
	}
	putchar('\n');
}

static void print_channel(const struct ln_channel_fact *c)
{
	bool seen = c->sight == LN_SIGHT_SEEN;
	char detail[512];

	snprintf(detail, sizeof(detail), "%s%s%s%s", c->by, c->by[0] && c->note[0] ? "; " : "",
		 c->note, !seen && c->refusable ? "; refusable" : "");
	printf("  %-*s %-*s ", NAME_WIDTH, c->name, SIGHT_WIDTH,
	       seen && c->refusable ? "seen, refusable" : ln_sight_text(c->sight));
	print_detail(detail);
}

/* What the self-test showed. */
struct tested {
	struct ln_selftest seen;
	struct ln_selftest refused; /* empty: nothing here can refuse */
};

static bool is_missed(const struct ln_selftest *test, size_t i, const struct ln_channel_fact *c)
{
	return test->results[i].end == LN_PROBE_MISSED &&
	       !strcmp(test->results[i].channel, c->name);
}

/* A hook that is attached and did not fire sees nothing, and one that lets pass refuses nothing. */
static void correct(struct ln_channel_fact *c, const struct tested *t)
{
	c->refusable = c->refusable && t->refused.n > 0;
	for (size_t i = 0; i < t->refused.n; i++)
		c->refusable = c->refusable && !is_missed(&t->refused, i, c);
	for (size_t i = 0; i < t->seen.n; i++) {
		if (!is_missed(&t->seen, i, c))
			continue;
		c->sight = LN_SIGHT_BLIND;
		c->refusable = false;
		c->by = "";
		snprintf(c->note, sizeof(c->note),
			 "attached, but the self-test (%s) was not caught",
			 t->seen.results[i].name);
	}
}

static void tell_channels(struct doctor *d, struct ln_sensor *s, const struct tested *t)
{
	const struct ln_channel_fact *rows;
	size_t n = s->ops->channels(s, &rows);

	if (!d->json && n > 0)
		puts("channels   each way out and what sees it here; block mode could refuse the "
		     "refusable ones");
	for (size_t i = 0; i < n; i++) {
		struct ln_channel_fact c = rows[i];

		correct(&c, t);
		if (d->json)
			print_channel_json(&c);
		else
			print_channel(&c);
	}
}

static void tell_probe(struct doctor *d, const struct tested *t, size_t i)
{
	const struct ln_probe_result *r = &t->seen.results[i];
	enum ln_probe_end refusal = i < t->refused.n ? t->refused.results[i].end : LN_PROBE_BLIND;
	enum state state = STATE_MISSING;
	char text[128] = "not tried: BLIND here";

	if (r->end == LN_PROBE_CAUGHT) {
		state = refusal == LN_PROBE_MISSED ? STATE_FAILED : STATE_OK;
		snprintf(text, sizeof(text), "caught after %.2f ms%s",
			 (double)r->latency_ns / LN_NS_PER_MS,
			 refusal == LN_PROBE_CAUGHT   ? ", refused in block mode"
			 : refusal == LN_PROBE_MISSED ? ", but NOT refused in block mode"
						      : "");
	} else if (r->end == LN_PROBE_MISSED) {
		state = STATE_FAILED;
		snprintf(text, sizeof(text), "not caught within %d ms: linnet is blind here",
			 LN_SELFTEST_TIMEOUT_MS);
	} else if (r->end == LN_PROBE_UNTRIED) {
		snprintf(text, sizeof(text), "cannot be tried here: %s", strerror(r->error));
	}
	tell(d, "self-test", r->name, state, text);
}

static void tell_selftest(struct doctor *d, const struct tested *t)
{
	for (size_t i = 0; i < t->seen.n; i++)
		tell_probe(d, t, i);
	tell(d, "self-test", d->failed ? "FAIL" : "PASS", d->failed ? STATE_FAILED : STATE_OK, "");
}

static bool can_refuse(struct ln_sensor *s)
{
	const struct ln_channel_fact *rows;
	size_t n = s->ops->channels(s, &rows);

	for (size_t i = 0; i < n; i++)
		if (rows[i].refusable)
			return true;
	return false;
}

/* The same once more in block mode, by a sensor of its own under a policy that permits nothing. */
static void test_refusals(struct doctor *d, struct tested *t)
{
	LN_CLEANUP(ln_policy_free) struct ln_policy *policy = ln_policy_new_empty("self-test");
	struct ln_sensor *s = NULL;
	const struct ln_sensor_config config = {.blocks = true, .policy = policy};
	struct ln_error err = {0};
	int r = policy ? d->kind->make(&config, &err, &s) : ln_error_set(&err, ENOMEM, "no memory");

	if (r == 0)
		r = ln_selftest_run(s, d->kind, true, &err, &t->refused);
	tell(d, d->kind->name, "block mode", r == 0 ? STATE_OK : STATE_MISSING,
	     r == 0 ? "" : err.text);
	ln_sensor_free(&s);
}

static void tell_sensor(struct doctor *d)
{
	struct ln_sensor *s = NULL;
	const struct ln_sensor_config config = {.adopts = true};
	struct tested t = {0};
	struct ln_error err = {0};
	int r = ln_sensor_kind_check(d->kind, &err);

	if (r == 0)
		r = d->kind->make(&config, &err, &s);
	if (r < 0) {
		tell(d, d->kind->name, "sensor", STATE_FAILED, err.text);
		return;
	}
	tell_facts(d, s);
	fflush(stdout);
	r = ln_selftest_run(s, d->kind, false, &err, &t.seen);
	if (r == 0 && can_refuse(s))
		test_refusals(d, &t);
	tell_channels(d, s, &t);
	if (r < 0)
		tell(d, "self-test", "FAIL", STATE_FAILED, err.text);
	else
		tell_selftest(d, &t);
	ln_sensor_free(&s);
}

static int run(const struct ln_command *c, int argc, char **argv)
{
	struct ln_options o;
	const char *value = NULL;
	struct doctor d = {.kind = ln_sensor_kind_find("bpf")};
	int id;

	ln_options_init(&o, c, argc, argv);
	while ((id = ln_options_next(&o, &value)) != LN_OPT_END) {
		if (id == LN_OPT_JSON)
			d.json = true;
		else if (id == LN_OPT_SENSOR)
			d.kind = ln_sensor_kind_find(value);
		else
			return id == LN_OPT_HELP ? 0 : c->usage_status;
		if (!d.kind)
			return ln_options_wrong(c, "there is no sensor \"%s\"; take bpf or poll",
						value);
	}
	if (ln_options_rest(&o) != argc)
		return ln_options_wrong(c, "doctor takes no arguments");
	tell_place(&d);
	tell_resolved(&d);
	tell_privileges(&d);
	tell_sensor(&d);
	return d.failed ? LN_STATUS_FINDINGS : 0;
}

static const struct ln_option OPTIONS[] = {
    {"sensor", LN_OPT_SENSOR, "bpf|poll", "where to look from; bpf is the default"},
    {"json", LN_OPT_JSON, NULL, "one JSON object a line"},
    {"help", 'h', NULL, "this text"},
    {0},
};

const struct ln_command ln_cmd_doctor = {
    .name = "doctor",
    .summary = "tell what linnet can see here, and prove that it does",
    .usage = "[--sensor=bpf|poll] [--json]",
    .description =
	"Tells which hooks this kernel offers and, for each way out, whether it is seen,\n"
	"raises an alert on preparation only, or is BLIND here. Then it tests itself:\n"
	"processes of its own, in a private network namespace, use what is not BLIND and\n"
	"must be caught; what block mode refuses must then fail. Exits with 0 when it was\n"
	"so, else with 1.\n",
    .options = OPTIONS,
    .examples = "  sudo linnet doctor\n"
		"  sudo linnet doctor --json | jq 'select(.state != \"ok\")'\n"
		"  linnet doctor --sensor=poll\n",
    .usage_status = LN_STATUS_USAGE,
    .run = run,
};
