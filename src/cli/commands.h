/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands, one file each, and what they share. */
#ifndef LINNET_CLI_COMMANDS_H
#define LINNET_CLI_COMMANDS_H

#include <sys/stat.h>
#include "base/buf.h"
#include "base/error.h"
#include "daemon/launch.h"
#include "daemon/scribe.h"
#include "daemon/target.h"
#include "options.h"
#include "policy/parse.h"

extern const struct ln_command ln_cmd_run, ln_cmd_attach, ln_cmd_check, ln_cmd_doctor,
    ln_cmd_explain, ln_cmd_replay, ln_cmd_learn, ln_cmd_resume, ln_cmd_kill, ln_cmd_completion;
/* All of them, up to a NULL. */
extern const struct ln_command *const LN_COMMANDS[];

#define LN_STATUS_FINDINGS 1
#define LN_STATUS_USAGE    2
#define LN_ALERT_CODE      86 /* --fail-on-alert without a number */

/* Reads and parses a policy file. -EINVAL: *diags (zeroed by the caller) says why; other errors are
 * in *err. *ret_st is filled as soon as the file is open. */
int ln_load_policy(const char *file, bool strict, struct ln_diags *diags, struct stat *ret_st,
		   struct ln_error *err, struct ln_policy **ret);
/* The same, and the text that was read. */
int ln_load_policy_text(const char *file, bool strict, struct ln_diags *diags, struct stat *ret_st,
			struct ln_error *err, struct ln_buf *ret_text, struct ln_policy **ret);
/* The same for who needs no more than the policy; NULL: it has told why. */
struct ln_policy *ln_load_policy_or_tell(const char *file);
/* "file:line:column: what; what to do" */
void ln_print_diag(FILE *to, const char *file, const struct ln_diag *d);

/* `resume` and `kill`: the whole command. */
int ln_run_target(const struct ln_command *c, int argc, char **argv, enum ln_target_deed deed);

/* What `run` and `attach` have in common. */
enum {
	LN_OPT_SENSOR = 256,
	LN_OPT_LOG,
	LN_OPT_USER,
	LN_OPT_SHOW_ARGS,
	LN_OPT_DEEP,
	LN_OPT_FAIL_ON_ALERT,
	LN_OPT_GUARD,
	LN_OPT_SUMMARY,
	LN_OPT_MODE,
	LN_OPT_FROM_LOG,
	LN_OPT_DRY_RUN,
	LN_OPT_STRICT,
	LN_OPT_JSON,
	LN_OPT_ALL,
	LN_OPT_RESOLVE,
	LN_OPT_FOLD, /* of `learn` alone, from here on */
	LN_OPT_NAME,
	LN_OPT_PID,
	LN_OPT_FORCE,
};
#define LN_WATCH_OPTIONS                                                                           \
	{"policy", 'p', "FILE", "the policy: what the agent may reach (linnet.yaml(5))"},          \
	    {"sensor", LN_OPT_SENSOR, "bpf|poll",                                                  \
	     "bpf (default; needs root), or poll (socket lists and /proc;\n"                       \
	     "no root for your own processes, but it sees less)"},                                 \
	    {"log", LN_OPT_LOG, "FILE",                                                            \
	     "append the connection log to FILE instead of a new file in\n"                        \
	     "/var/log/linnet (root) or $XDG_STATE_HOME/linnet"},                                  \
	    {"mode", LN_OPT_MODE, "monitor|block|kill|freeze",                                     \
	     "what becomes of a violation; wins over the policy's"},                               \
	    {"dry-run", LN_OPT_DRY_RUN, NULL,                                                      \
	     "only tell what the mode would do (block, unless one is asked for)"},                 \
	    {"guard", LN_OPT_GUARD, NULL,                                                          \
	     "refuse the agent what would harm linnet itself (needs BPF LSM)"},                    \
	    {"deep", LN_OPT_DEEP, NULL,                                                            \
	     "look at every send on the host too: sockets that the agent was given\n"              \
	     "are seen at once; costs each send about 5 %"},                                       \
	    {"show-args", LN_OPT_SHOW_ARGS, NULL,                                                  \
	     "do not redact arguments that look like secrets"},                                    \
	    {"fail-on-alert", LN_OPT_FAIL_ON_ALERT, "[CODE]",                                      \
	     "exit with CODE (86) when something unexpected was seen"},                            \
	    {"summary", LN_OPT_SUMMARY, "FILE",                                                    \
	     "append a summary in Markdown to FILE; without it to the file that\n"                 \
	     "$GITHUB_STEP_SUMMARY names"},                                                        \
	    {"quiet", 'q', NULL, "alerts only: no notices, no summary"},                           \
	    {"verbose", 'v', NULL, "say more about what linnet does"},                             \
	{                                                                                          \
		"help", 'h', NULL, "this text"                                                     \
	}

struct ln_watch_args {
	const char *policy_file, *sensor, *log, *user;
	const char *mode; /* NULL: the policy's */
	bool dry_run;
	bool deep, guard, show_args, quiet, verbose;
	const char *summary;
	int alert_code;
	/* Of `learn`. */
	const char *output, *name, *pid;
	bool from_log;
	size_t fold; /* 0: not */
	bool force;
	struct ln_buf *text; /* NULL, or where the policy's text is to be kept */
};
/* Takes the command line up to its first argument. False: *ret_status is the exit status. */
bool ln_watch_args_parse(struct ln_options *o, struct ln_watch_args *ret, int *ret_status);
/* Sensor, policy (owned by the caller) and output settings. `fallback_name` names the agent when no
 * policy does. False: it has told why. */
bool ln_watch_args_apply(const struct ln_watch_args *a, const char *fallback_name,
			 struct ln_watch_config *ret, struct ln_policy **ret_policy);

/* What is written at the end of a watch. `report` is zeroed, but for what `learn` has put into it.
 */
struct ln_watch_report {
	struct ln_report_plan plan;
	struct ln_scribe_config files;
	struct ln_identity as;
	struct ln_scribe scribe;
};
/* Sets `report` of the configuration when something is to be written. False: it has told why. */
bool ln_watch_report_begin(const struct ln_watch_args *a, struct ln_watch_report *report,
			   struct ln_watch_config *config);
enum ln_scribe_end ln_watch_report_end(struct ln_watch_report *report);

#endif
