/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "daemon/target.h"

static int run(const struct ln_command *c, int argc, char **argv)
{
	return ln_run_target(c, argc, argv, LN_TARGET_KILL);
}

static const struct ln_option OPTIONS[] = {
    {"help", 'h', NULL, "this text"},
    {0},
};

const struct ln_command ln_cmd_kill = {
    .name = "kill",
    .summary = "end an agent, frozen or not, with all its processes",
    .usage = "PID",
    .description =
	"Ends an agent at once with all its processes, also one that is frozen. PID is the one\n"
	"in the alert, or any process of the agent; of an agent that was attached to, it has to\n"
	"be linnet itself or a process that is stopped.\n",
    .options = OPTIONS,
    .examples = "  sudo linnet kill 7843\n",
    .operand = "PID",
    .usage_status = LN_STATUS_USAGE,
    .run = run,
};
