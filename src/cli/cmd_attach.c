/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "base/log.h"
#include "commands.h"

static bool parse_pid(const char *text, pid_t *ret)
{
	char *end;

	errno = 0;
	long v = strtol(text, &end, 10);
	if (text[0] < '1' || text[0] > '9' || *end || errno || v > INT_MAX)
		return false;
	*ret = (pid_t)v;
	return true;
}

/* 0, or an exit status. */
static int parse_pids(const struct ln_command *c, char **words, pid_t *pids, size_t *ret_n)
{
	size_t n = 0;

	for (; words[n]; n++) {
		if (n == LN_WATCH_PIDS_MAX)
			return ln_options_wrong(c, "at most %d processes can be given",
						LN_WATCH_PIDS_MAX);
		if (!parse_pid(words[n], &pids[n]))
			return ln_options_wrong(c, "\"%s\" is no process id", words[n]);
		if (pids[n] == getpid())
			return ln_options_wrong(c, "linnet does not watch itself");
		for (size_t i = 0; i < n; i++)
			if (pids[i] == pids[n])
				return ln_options_wrong(c, "process %s is given twice", words[n]);
	}
	*ret_n = n;
	return n ? 0 : ln_options_wrong(c, "no process id is given: linnet attach -p FILE PID…");
}

static int run(const struct ln_command *c, int argc, char **argv)
{
	struct ln_options o;
	struct ln_watch_args args;
	struct ln_watch_config config;
	struct ln_watch_report report = {0};
	struct ln_policy *policy = NULL;
	pid_t pids[LN_WATCH_PIDS_MAX];
	struct ln_identity agent;
	struct ln_error err = {0};
	char name[32];
	size_t n = 0;
	int status = 0;

	ln_options_init(&o, c, argc, argv);
	if (!ln_watch_args_parse(&o, &args, &status))
		return status;
	status = parse_pids(c, argv + ln_options_rest(&o), pids, &n);
	if (status)
		return status;
	snprintf(name, sizeof(name), "pid-%d", (int)pids[0]);
	if (!ln_watch_args_apply(&args, name, &config, &policy))
		return LN_EXIT_FAILED;
	status = LN_EXIT_FAILED;
	if (ln_identity_of(pids[0], &err, &agent) < 0) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
	} else if (ln_watch_report_begin(&args, &report, &config)) {
		config.agent_uid = agent.uid;
		config.agent = &agent;
		config.attach = true;
		config.pids = pids;
		config.n_pids = n;
		status = ln_launch_attach(&config, args.alert_code);
		ln_watch_report_end(&report);
	}
	ln_policy_free(&policy);
	return status;
}

static const struct ln_option OPTIONS[] = {
    LN_WATCH_OPTIONS,
    {0},
};

const struct ln_command ln_cmd_attach = {
    .name = "attach",
    .summary = "watch processes that run already",
    .usage = "[OPTION]… PID…",
    .description =
	"Watches the processes with all their children, those to come and those that are\n"
	"there. Connections that are open already are judged and reported as existing. It\n"
	"ends when the last process ends, or on Ctrl-C, which leaves the processes alone.\n",
    .options = OPTIONS,
    .examples = "  sudo linnet attach -p policy.yaml 7843\n"
		"  sudo linnet attach -p policy.yaml $(pgrep -f agent.py)\n"
		"  linnet attach --sensor=poll -p policy.yaml 7843\n",
    .operand = "PID",
    .usage_status = LN_EXIT_FAILED,
    .run = run,
};
