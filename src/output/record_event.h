/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a record that its kind brings; record.c writes what all have in common. */
#ifndef LINNET_OUTPUT_RECORD_EVENT_H
#define LINNET_OUTPUT_RECORD_EVENT_H

#include "base/buf.h"
#include "engine/finding.h"

void ln_record_event(struct ln_buf *b, const struct ln_finding *f);

#endif
