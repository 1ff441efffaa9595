/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "base/log.h"
#include "commands.h"
#include "output/report.h"
#include "rejudge.h"

struct learning {
	struct ln_watch_args args;
	char **command; /* ends with NULL; borrowed */
	pid_t pid;      /* 0: a command is started */
	char name[160]; /* of the agent, when nothing else names it */
	char source[300];
};

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int wrong(const struct ln_command *c, const struct learning *l)
{
	const struct ln_watch_args *a = &l->args;

	if (a->alert_code)
		return ln_options_wrong(c, "--fail-on-alert means nothing here: nothing is an "
					   "alert while linnet learns");
	if (a->from_log && (a->pid || a->user))
		return ln_options_wrong(c, "--from-log takes logs, and no process");
	if (a->from_log && !l->command[0])
		return ln_options_wrong(
		    c, "no log is given: linnet learn -o policy.yaml --from-log LOG…");
	if (a->pid && l->command[0])
		return ln_options_wrong(c, "a command and --pid exclude each other");
	if (a->pid && a->user)
		return ln_options_wrong(c, "--user is for a command that is started");
	if (!a->pid && !l->command[0])
		return ln_options_wrong(
		    c, "no command is given: linnet learn -o policy.yaml -- COMMAND");
	if (!a->output && !a->policy_file)
		return ln_options_wrong(c, "-o says where the policy is to be written");
	if (a->name && a->policy_file)
		return ln_options_wrong(c, "the policy of -p has a name already");
	return 0;
}

static int parse_pid(const struct ln_command *c, struct learning *l)
{
	const char *text = l->args.pid;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	long v = strtol(text, &end, 10);
	if (text[0] < '1' || text[0] > '9' || *end || errno || v > INT_MAX)
		return ln_options_wrong(c, "\"%s\" is no process id", text);
	if (v == getpid())
		return ln_options_wrong(c, "linnet does not watch itself");
	l->pid = (pid_t)v;
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static void set_words(struct learning *l)
{
	if (l->args.from_log) {
		snprintf(l->source, sizeof(l->source), "the log %.200s%s", base_name(l->command[0]),
			 l->command[1] ? " and others" : "");
		return;
	}
	if (l->pid) {
		snprintf(l->name, sizeof(l->name), "pid-%d", (int)l->pid);
		snprintf(l->source, sizeof(l->source), "watching process %d", (int)l->pid);
		return;
	}
	snprintf(l->source, sizeof(l->source), "one run of %.200s", base_name(l->command[0]));
}

/* With a policy the outcome is a diff of it; the file itself is left alone. */
static void plan_files(const struct learning *l, const struct ln_buf *text,
		       struct ln_watch_report *report)
{
	const struct ln_watch_args *a = &l->args;

	report->files.learn = true;
	report->files.force = a->force;
	if (!a->policy_file)
		report->files.policy = a->output;
	else if (a->output && !is_same_file(a->output, a->policy_file))
		report->files.diff = a->output;
	if (a->policy_file) {
		report->plan.text = text->len ? text->data : "";
		report->plan.text_len = text->len;
	}
	report->plan.source = l->source;
}

static int watch(const struct learning *l, struct ln_watch_config *config)
{
	struct ln_launch_config launch = {.argv = l->command};
	struct ln_identity agent = {0};
	struct ln_error err = {0};
	int r = l->pid ? ln_identity_of(l->pid, &err, &agent)
		       : ln_identity_find(l->args.user, &err, &agent);

	if (r < 0) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
		return LN_EXIT_FAILED;
	}
	config->agent_uid = agent.uid;
	config->agent = &agent;
	if (l->pid) {
		config->attach = true;
		config->pids = &l->pid;
		config->n_pids = 1;
		r = ln_launch_attach(config, 0);
	} else {
		launch.identity = &agent;
		launch.watch = *config;
		r = ln_launch_run(&launch);
	}
	ln_identity_done(&agent);
	return r;
}

/* The agent of the first log. */
static void note_name(const struct ln_log_header *h, void *user)
{
	struct learning *l = user;

	if (!l->name[0] && h->agent_name)
		snprintf(l->name, sizeof(l->name), "%s", h->agent_name);
}

static bool name_by_log(struct learning *l)
{
	const struct ln_rejudge how = {.header = note_name, .user = l};
	struct ln_log_sums sums;

	/* No process is watched, so nothing of that is needed. */
	l->args.sensor = "poll";
	l->args.mode = "monitor";
	if (l->args.name || l->args.policy_file || strcmp(l->command[0], "-") == 0)
		return true;
	return ln_rejudge_file(l->command[0], &how, &sums) == 0;
}

static void give(const struct ln_log_record *was, const struct ln_finding *now, void *user)
{
	struct ln_sink *sink = user;

	sink->ops->finding(sink, now);
}

/* What logs say, by the same judge and into the same report as a watch. */
static int read_logs(const struct learning *l, const struct ln_report_plan *plan,
		     const struct ln_policy *policy)
{
	const struct ln_engine_summary none = {0};
	const struct ln_sink_summary summary = {.sum = &none};
	struct ln_sink *sink = NULL;
	struct ln_log_sums sums;
	int r = ln_sink_report_new(plan, policy, &sink);

	if (r < 0) {
		ln_log(LN_LOG_ERROR, "out of memory");
		return LN_EXIT_FAILED;
	}
	const struct ln_rejudge how = {.policy = policy, .judged = give, .user = sink};
	for (size_t i = 0; r == 0 && l->command[i]; i++)
		r = ln_rejudge_file(l->command[i], &how, &sums);
	if (r == 0)
		sink->ops->summary(sink, &summary);
	ln_sink_free(&sink);
	return r < 0 ? LN_STATUS_USAGE : 0;
}

/* With a policy: whether it would have to change. Else the agent's own status. */
static int exit_status(const struct learning *l, enum ln_scribe_end end, int status)
{
	if (end == LN_SCRIBE_FAILED)
		return status >= LN_EXIT_FAILED && status <= LN_EXIT_NOT_FOUND ? status
									       : LN_EXIT_FAILED;
	if (!l->args.policy_file)
		return status;
	if (status)
		ln_log(LN_LOG_NOTICE, "the agent's exit status was %d", status);
	ln_log(LN_LOG_NOTICE, end == LN_SCRIBE_SAME ? "the policy fits: nothing would change"
						    : "the policy would have to change");
	return end == LN_SCRIBE_SAME ? 0 : LN_STATUS_FINDINGS;
}

static int learn(struct learning *l)
{
	struct ln_watch_report report = {0};
	struct ln_policy *policy = NULL;
	struct ln_watch_config config;
	struct ln_buf text = {0};
	int status = LN_EXIT_FAILED;

	set_words(l);
	l->args.text = &text;
	if (l->args.from_log && !name_by_log(l))
		return LN_STATUS_USAGE;
	if (!ln_watch_args_apply(&l->args,
				 l->args.name ? l->args.name
				 : l->name[0] ? l->name
					      : base_name(l->command[0]),
				 &config, &policy))
		return LN_EXIT_FAILED;
	/* What is learned must be what the agent does when it is left alone. */
	config.mode = LN_MODE_MONITOR;
	plan_files(l, &text, &report);
	if (ln_watch_report_begin(&l->args, &report, &config)) {
		status = l->args.from_log ? read_logs(l, &report.plan, policy) : watch(l, &config);
		enum ln_scribe_end end = ln_watch_report_end(&report);
		if (end == LN_SCRIBE_WRITTEN && report.files.policy)
			ln_log(LN_LOG_NOTICE, "%s: read it before you use it", report.files.policy);
		status = exit_status(l, end, status);
	}
	ln_policy_free(&policy);
	ln_buf_done(&text);
	return status;
}

static int run(const struct ln_command *c, int argc, char **argv)
{
	struct ln_options o;
	struct learning l = {0};
	int status = 0;

	ln_options_init(&o, c, argc, argv);
	if (!ln_watch_args_parse(&o, &l.args, &status))
		return status;
	l.command = argv + ln_options_rest(&o);
	status = wrong(c, &l);
	if (status == 0)
		status = parse_pid(c, &l);
	return status ? status : learn(&l);
}

static const struct ln_option OPTIONS[] = {
    {"output", 'o', "FILE",
     "write the policy to FILE, which must not be there yet; with -p\n"
     "the diff (without: to standard output)"},
    {"force", LN_OPT_FORCE, NULL, "replace FILE when it is there"},
    {"fold", LN_OPT_FOLD, "[N]",
     "write one wildcard for N (3) or more names of one registered domain"},
    {"name", LN_OPT_NAME, "NAME", "agent_name of the policy; else that of the command"},
    {"from-log", LN_OPT_FROM_LOG, NULL,
     "read what agents did from connection logs, given in the place of COMMAND"},
    {"pid", LN_OPT_PID, "PID", "watch a process that runs already"},
    {"user", LN_OPT_USER, "USER", "run the agent as USER, as in `linnet run`"},
    LN_WATCH_OPTIONS,
    {0},
};

const struct ln_command ln_cmd_learn = {
    .name = "learn",
    .summary = "write a policy from what an agent does",
    .usage = "-o FILE [OPTION]… [--] COMMAND [ARGUMENT]…",
    .description =
	"Watches COMMAND as `linnet run` does, tells each new destination in a line instead\n"
	"of an alert, and writes a policy that would have permitted it, for you to read and\n"
	"to correct. With -p an existing policy is left alone, and what would have to change\n"
	"comes as a diff for patch(1): exit status 1, or 0 when nothing would change.\n",
    .options = OPTIONS,
    .examples = "  sudo linnet learn -o policy.yaml -- python3 agent.py\n"
		"  sudo linnet learn -p policy.yaml -o policy.patch -- python3 agent.py\n"
		"  sudo linnet learn -o policy.yaml --fold --pid 7843\n"
		"  linnet learn -o policy.yaml --from-log monday.jsonl tuesday.jsonl\n",
    .operand = "COMMAND",
    .usage_status = LN_STATUS_USAGE,
    .run = run,
};
