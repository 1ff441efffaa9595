/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "base/log.h"
#include "commands.h"

static bool start(struct ln_watch_report *r, struct ln_error *err)
{
	return ln_scribe_start(&r->files, err, &r->scribe) == 0;
}

bool ln_watch_report_begin(const struct ln_watch_args *a, struct ln_watch_report *report,
			   struct ln_watch_config *config)
{
	const char *step = a->summary ? NULL : getenv("GITHUB_STEP_SUMMARY");
	struct ln_error err = {0};

	report->scribe.fd = -1;
	report->files.summaries[0] = a->summary ? a->summary : step && step[0] ? step : NULL;
	if (!report->files.learn && !report->files.summaries[0])
		return true;
	if (ln_identity_find(NULL, &err, &report->as) < 0) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
		return false;
	}
	report->files.as = &report->as;
	bool started = start(report, &err);
	/* Nobody asked for that one on the command line. */
	if (!started && step && step[0] && !report->files.learn) {
		ln_log(LN_LOG_WARNING, "there will be no summary: %s", err.text);
		ln_identity_done(&report->as);
		return true;
	}
	if (!started) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
		ln_identity_done(&report->as);
		return false;
	}
	report->plan.learn = report->files.learn;
	report->plan.summary = report->files.summaries[0];
	report->plan.existing = a->policy_file;
	report->plan.fold = a->fold;
	report->plan.fd = report->scribe.fd;
	report->plan.progress_fd = report->files.learn && !a->quiet ? STDERR_FILENO : -1;
	config->report = &report->plan;
	return true;
}

enum ln_scribe_end ln_watch_report_end(struct ln_watch_report *report)
{
	enum ln_scribe_end end = ln_scribe_end(&report->scribe);

	ln_identity_done(&report->as);
	return end;
}
