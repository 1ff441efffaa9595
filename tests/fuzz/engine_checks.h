/* SPDX-License-Identifier: Apache-2.0 */
/* What is promised of all that an engine finds: a record is a line of JSON, an alert can be shown.
 */
#ifndef LINNET_FUZZ_ENGINE_CHECKS_H
#define LINNET_FUZZ_ENGINE_CHECKS_H

#include <jansson.h>
#include "engine/engine.h"
#include "output/alert.h"
#include "output/record.h"
#include "policy/parse.h"
#include "text_checks.h"

struct shown {
	struct ln_record record;
	struct ln_alert alert;
};

static const char policy_text[] =
    "agent_name: fuzz\n"
    "expected_outbound:\n"
    "  - {destination: api.example.com, port: 443, protocol: TCP}\n"
    "  - {destination: '*.example.com', port: 8000-8100, protocol: any}\n"
    "  - {destination: 192.0.2.0/24, port: any, protocol: any, expires: 2023-10-26}\n"
    "allowed_dynamic_resolution: ['*.dyn.example.com']\n"
    "deny: [bad.example.com, 192.0.2.128/25]\n"
    "expected_unix: ['/run/user/*/bus']\n"
    "expected_inbound: [{port: 8080, protocol: TCP}]\n"
    "limits: [{bytes_out: 1kB, period: 60s}]\n";

static inline struct ln_policy *make_policy(const char *text, size_t len)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;

	require(ln_policy_parse("fuzz.yaml", text, len, false, &diags, &policy) == 0);
	ln_diags_done(&diags);
	return policy;
}

static inline void require_finding(struct shown *s, const struct ln_finding *f)
{
	json_t *value;

	ln_buf_reset(&s->record.text);
	ln_record_finding(&s->record, f);
	require(s->record.text.len > 0 && s->record.text.data[s->record.text.len - 1] == '\n');
	require_shown(s->record.text.data, s->record.text.len - 1, false);
	value = json_loadb(s->record.text.data, s->record.text.len,
			   JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	require(json_is_object(value));
	json_decref(value);
	ln_buf_reset(&s->alert.text);
	if (f->alert)
		ln_alert_add(&s->alert, f);
	else if (f->notice)
		ln_alert_notice(&s->alert, f);
	require_shown(ln_buf_text(&s->alert.text), s->alert.text.len, true);
}

static inline void shown_done(struct shown *s)
{
	ln_record_done(&s->record);
	ln_alert_done(&s->alert);
}

#endif
