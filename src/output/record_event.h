/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a record that its kind brings; record.c writes what all have in common. */
#ifndef LINNET_OUTPUT_RECORD_EVENT_H
#define LINNET_OUTPUT_RECORD_EVENT_H

#include "base/buf.h"
#include "engine/finding.h"

/* In record.c: null, or an object; `name`: what matched, NULL none. */
void ln_record_rule(struct ln_buf *b, const struct ln_rule *rule, const char *name);

void ln_record_event(struct ln_buf *b, const struct ln_finding *f);

#endif
