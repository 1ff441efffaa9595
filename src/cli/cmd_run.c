/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "base/log.h"
#include "commands.h"

static int run(const struct ln_command *c, int argc, char **argv)
{
	struct ln_options o;
	struct ln_watch_args args;
	struct ln_launch_config config = {0};
	struct ln_identity identity = {0};
	struct ln_watch_report report = {0};
	struct ln_policy *policy = NULL;
	struct ln_error err = {0};
	int status = LN_EXIT_FAILED;

	ln_options_init(&o, c, argc, argv);
	if (!ln_watch_args_parse(&o, &args, &status))
		return status;
	config.argv = argv + ln_options_rest(&o);
	if (!config.argv[0])
		return ln_options_wrong(c, "no command is given: linnet run -p FILE -- COMMAND");
	const char *slash = strrchr(config.argv[0], '/');
	if (!ln_watch_args_apply(&args, slash && slash[1] ? slash + 1 : config.argv[0],
				 &config.watch, &policy))
		return LN_EXIT_FAILED;
	if (ln_identity_find(args.user, &err, &identity) < 0) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
	} else if (ln_watch_report_begin(&args, &report, &config.watch)) {
		config.identity = &identity;
		config.watch.agent_uid = identity.uid;
		config.watch.agent = &identity;
		config.alert_code = args.alert_code;
		status = ln_launch_run(&config);
		ln_watch_report_end(&report);
	}
	ln_identity_done(&identity);
	ln_policy_free(&policy);
	return status;
}

static const struct ln_option OPTIONS[] = {
    {"user", LN_OPT_USER, "USER",
     "run the agent as USER; under sudo it is the user who called it\nunless this says "
     "otherwise"},
    LN_WATCH_OPTIONS,
    {0},
};

const struct ln_command ln_cmd_run = {
    .name = "run",
    .summary = "start a command under watch",
    .usage = "[OPTION]… [--] COMMAND [ARGUMENT]…",
    .description =
	"Starts COMMAND, the agent, and watches it with all its children: every connection\n"
	"that the policy does not list raises an alert at once. The agent keeps its terminal,\n"
	"signals and working directory, and linnet exits with its status.\n",
    .options = OPTIONS,
    .examples = "  sudo linnet run -p policy.yaml -- python3 agent.py\n"
		"  sudo linnet run -p policy.yaml --fail-on-alert -- ./agent --task 7\n"
		"  linnet run --sensor=poll -p policy.yaml -- ./agent\n",
    .operand = "COMMAND",
    .usage_status = LN_EXIT_FAILED,
    .run = run,
};
