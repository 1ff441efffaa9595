/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include "base/log.h"
#include "commands.h"
#include "daemon/target.h"

int ln_run_target(const struct ln_command *c, int argc, char **argv, enum ln_target_deed deed)
{
	struct ln_options o;
	struct ln_error err = {0};
	const char *value = NULL;
	char what[128], *end;
	int id;

	ln_options_init(&o, c, argc, argv);
	if ((id = ln_options_next(&o, &value)) != LN_OPT_END)
		return id == LN_OPT_HELP ? 0 : c->usage_status;
	int first = ln_options_rest(&o);
	if (argc - first != 1)
		return ln_options_wrong(c, "one process id is needed: linnet %s PID", c->name);
	errno = 0;
	long pid = strtol(argv[first], &end, 10);
	if (argv[first][0] < '1' || argv[first][0] > '9' || *end || errno || pid > INT_MAX)
		return ln_options_wrong(c, "\"%s\" is no process id", argv[first]);
	if (ln_target_do((pid_t)pid, deed, &err, what, sizeof(what)) < 0) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
		return LN_STATUS_FINDINGS;
	}
	printf("%s\n", what);
	return 0;
}

static int run(const struct ln_command *c, int argc, char **argv)
{
	return ln_run_target(c, argc, argv, LN_TARGET_RESUME);
}

static const struct ln_option OPTIONS[] = {
    {"help", 'h', NULL, "this text"},
    {0},
};

const struct ln_command ln_cmd_resume = {
    .name = "resume",
    .summary = "let an agent go on that was frozen",
    .usage = "PID",
    .description =
	"Lets an agent go on that was stopped by --mode=freeze. PID is the one in the alert,\n"
	"or any process of the agent. The watch goes on too: the next violation freezes it\n"
	"again.\n",
    .options = OPTIONS,
    .examples = "  sudo linnet resume 7843\n",
    .operand = "PID",
    .usage_status = LN_STATUS_USAGE,
    .run = run,
};
