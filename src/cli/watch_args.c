/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "base/log.h"
#include "commands.h"
#include "output/propose.h"

static bool parse_code(const char *text, int *ret)
{
	char *end;
	long v = text ? strtol(text, &end, 10) : LN_ALERT_CODE;

	if (text && (text[0] < '0' || text[0] > '9' || *end))
		return false;
	*ret = (int)v;
	return v >= 1 && v <= 255;
}

static bool parse_fold(const char *text, size_t *ret)
{
	char *end;
	long v = text ? strtol(text, &end, 10) : LN_FOLD_DEFAULT;

	if (text && (text[0] < '0' || text[0] > '9' || *end))
		return false;
	*ret = (size_t)v;
	return v >= 2 && v <= 1000;
}

/* What `learn` has beside the options of all watches. */
static bool take_for_learn(struct ln_options *o, struct ln_watch_args *a, int id, const char *value,
			   int *ret_status)
{
	switch (id) {
	case 'o':
		a->output = value;
		break;
	case LN_OPT_NAME:
		a->name = value;
		break;
	case LN_OPT_PID:
		a->pid = value;
		break;
	case LN_OPT_FROM_LOG:
		a->from_log = true;
		break;
	case LN_OPT_FORCE:
		a->force = true;
		break;
	case LN_OPT_FOLD:
		if (parse_fold(value, &a->fold))
			break;
		*ret_status = ln_options_wrong(
		    o->command, "--fold takes a number of names from 2 to 1000, not \"%s\"", value);
		return false;
	default:
		*ret_status = id == LN_OPT_HELP ? 0 : o->command->usage_status;
		return false;
	}
	return true;
}

static bool take(struct ln_options *o, struct ln_watch_args *a, int id, const char *value,
		 int *ret_status)
{
	switch (id) {
	case 'p':
		if (a->policy_file) {
			*ret_status = ln_options_wrong(o->command, "--policy is given twice");
			return false;
		}
		a->policy_file = value;
		break;
	case LN_OPT_SENSOR:
		a->sensor = value;
		break;
	case LN_OPT_LOG:
		a->log = value;
		break;
	case LN_OPT_USER:
		a->user = value;
		break;
	case LN_OPT_DEEP:
		a->deep = true;
		break;
	case LN_OPT_SHOW_ARGS:
		a->show_args = true;
		break;
	case LN_OPT_MODE:
		a->mode = value;
		break;
	case LN_OPT_DRY_RUN:
		a->dry_run = true;
		break;
	case LN_OPT_GUARD:
		a->guard = true;
		break;
	case LN_OPT_FAIL_ON_ALERT:
		if (parse_code(value, &a->alert_code))
			break;
		*ret_status = ln_options_wrong(
		    o->command, "--fail-on-alert takes an exit status from 1 to 255, not \"%s\"",
		    value);
		return false;
	case LN_OPT_SUMMARY:
		a->summary = value;
		break;
	case 'q':
		a->quiet = true;
		break;
	case 'v':
		a->verbose = true;
		break;
	default:
		return take_for_learn(o, a, id, value, ret_status);
	}
	return true;
}

static enum ln_mode parse_mode(const char *text)
{
	for (int m = 0; m < LN_MODE_COUNT; m++)
		if (strcmp(text, ln_mode_text((enum ln_mode)m)) == 0)
			return (enum ln_mode)m;
	return LN_MODE_COUNT;
}

/* The option wins over the policy. Block comes before anything has happened, kill and freeze after,
 * monitor not at all. */
static bool choose_mode(const struct ln_watch_args *a, const struct ln_policy *p,
			struct ln_watch_config *ret)
{
	static const int strictness[] = {
	    [LN_MODE_MONITOR] = 0, [LN_MODE_FREEZE] = 1, [LN_MODE_KILL] = 2, [LN_MODE_BLOCK] = 3};
	enum ln_mode listed = ln_policy_mode(p);

	_Static_assert(LN_ARRAY_SIZE(strictness) == LN_MODE_COUNT, "a rank for each mode");
	ret->mode = a->mode ? parse_mode(a->mode) : listed;
	ret->dry_run = a->dry_run;
	if (a->dry_run && ret->mode == LN_MODE_MONITOR)
		ret->mode = LN_MODE_BLOCK;
	if (strictness[ret->mode] < strictness[listed])
		ln_log(LN_LOG_WARNING, "--mode=%s is looser than the policy's mode, %s", a->mode,
		       ln_mode_text(listed));
	else if (a->dry_run && listed != LN_MODE_MONITOR)
		ln_log(LN_LOG_WARNING, "--dry-run: the policy's mode, %s, does nothing",
		       ln_mode_text(listed));
	if (ret->mode != LN_MODE_BLOCK || ret->kind->cgroup)
		return true;
	ln_log(LN_LOG_ERROR,
	       "the %s sensor sees a connection when it is there, and cannot refuse it: mode "
	       "block needs --sensor=bpf; --mode=kill and --mode=freeze work with %s, afterwards",
	       ret->kind->name, ret->kind->name);
	return false;
}

bool ln_watch_args_parse(struct ln_options *o, struct ln_watch_args *ret, int *ret_status)
{
	struct ln_watch_args a = {.sensor = "bpf"};
	const char *value = NULL;
	int id;

	while ((id = ln_options_next(o, &value)) != LN_OPT_END)
		if (!take(o, &a, id, value, ret_status))
			return false;
	if (!ln_sensor_kind_find(a.sensor)) {
		*ret_status = ln_options_wrong(
		    o->command, "there is no sensor \"%s\"; take bpf or poll", a.sensor);
		return false;
	}
	if (a.guard && strcmp(a.sensor, "bpf") != 0) {
		*ret_status = ln_options_wrong(o->command, "--guard needs the bpf sensor");
		return false;
	}
	if (a.deep && strcmp(a.sensor, "bpf") != 0) {
		*ret_status = ln_options_wrong(o->command, "--deep needs the bpf sensor");
		return false;
	}
	if (a.mode && parse_mode(a.mode) == LN_MODE_COUNT) {
		*ret_status = ln_options_wrong(
		    o->command, "there is no mode \"%s\"; take monitor, block, kill or freeze",
		    a.mode);
		return false;
	}
	if (a.quiet && a.verbose) {
		*ret_status =
		    ln_options_wrong(o->command, "--quiet and --verbose exclude each other");
		return false;
	}
	*ret = a;
	return true;
}

/* https://no-color.org and its counterpart CLICOLOR_FORCE. */
static bool want_color(void)
{
	const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE");
	const char *term = getenv("TERM");

	if (no && no[0])
		return false;
	if (force && force[0] && strcmp(force, "0") != 0)
		return true;
	return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

/* A policy that anybody may write is no policy. A group may be the user's own: worth a word. */
static bool is_protected(const char *file, mode_t mode)
{
	if (mode & S_IWOTH) {
		ln_log(LN_LOG_ERROR,
		       "the policy %s can be written by everybody, so by the agent too; run chmod "
		       "go-w on it",
		       file);
		return false;
	}
	if (mode & S_IWGRP)
		ln_log(LN_LOG_WARNING,
		       "the policy %s can be written by its group, so the agent may be able to "
		       "change it; run chmod g-w on it",
		       file);
	return true;
}

static bool load(const char *file, struct ln_buf *ret_text, struct ln_policy **ret)
{
	struct ln_diags diags = {0};
	struct ln_error err = {0};
	struct stat st = {0};
	int r = ln_load_policy_text(file, false, &diags, &st, &err, ret_text, ret);

	for (size_t i = 0; r == -EINVAL && i < diags.n; i++)
		ln_print_diag(stderr, file, &diags.list[i]);
	if (r < 0 && r != -EINVAL)
		ln_log(LN_LOG_ERROR, "%s", err.text);
	else if (r < 0)
		ln_log(LN_LOG_ERROR, "the policy %s has %zu error%s; nothing was started", file,
		       diags.n_errors, diags.n_errors == 1 ? "" : "s");
	for (size_t i = 0; r == 0 && i < diags.n; i++)
		ln_log(LN_LOG_INFO, "%s:%u:%u: %s", file, diags.list[i].line, diags.list[i].column,
		       diags.list[i].text);
	ln_diags_done(&diags);
	if (r == 0 && !is_protected(file, st.st_mode))
		ln_policy_free(ret);
	return r == 0 && *ret;
}

bool ln_watch_args_apply(const struct ln_watch_args *a, const char *fallback_name,
			 struct ln_watch_config *ret, struct ln_policy **ret_policy)
{
	struct ln_error err = {0};
	struct ln_policy *policy = NULL;

	ln_log_set_level(a->quiet ? LN_LOG_WARNING : a->verbose ? LN_LOG_INFO : LN_LOG_NOTICE);
	const struct ln_sensor_kind *kind = ln_sensor_kind_find(a->sensor);
	if (ln_sensor_kind_check(kind, &err) < 0) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
		return false;
	}
	if (!a->policy_file) {
		policy = ln_policy_new_empty(fallback_name);
		if (!policy)
			ln_log(LN_LOG_ERROR, "out of memory");
	} else if (!load(a->policy_file, a->text, &policy)) {
		policy = NULL;
	}
	if (!policy)
		return false;
	*ret = (struct ln_watch_config){
	    .policy = policy,
	    .no_policy = !a->policy_file,
	    .kind = kind,
	    .log_path = a->log,
	    .quiet = a->quiet,
	    .color = want_color(),
	    .show_args = a->show_args,
	    .guard = a->guard,
	    .deep = a->deep,
	    .cgroup_fd = -1,
	    .ctl_fd = -1,
	};
	if (!choose_mode(a, policy, ret)) {
		ln_policy_free(&policy);
		return false;
	}
	*ret_policy = policy;
	return true;
}
