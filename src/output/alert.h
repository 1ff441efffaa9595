/* SPDX-License-Identifier: Apache-2.0 */
/* A finding as a block of text for people: a headline, six lines that are always the same, lines
 * that say more, and a blank one. Safe on a terminal. */
#ifndef LINNET_OUTPUT_ALERT_H
#define LINNET_OUTPUT_ALERT_H

#include "engine/finding.h"
#include "redact.h"

struct ln_alert {
	struct ln_buf text;
	struct ln_redact redact;
	bool color;
};

void ln_alert_done(struct ln_alert *a);
/* "[!] WORDS", without the end of the line. */
void ln_alert_headline(struct ln_alert *a, const char *words);
/* Nothing for a kind that is never an alert. */
void ln_alert_add(struct ln_alert *a, const struct ln_finding *f);
/* The one line of a finding that is a notice. */
void ln_alert_notice(struct ln_alert *a, const struct ln_finding *f);

#endif
