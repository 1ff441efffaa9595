/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a violation, in words for people: what follows "Action: " in every alert. */
#ifndef LINNET_OUTPUT_ACTION_H
#define LINNET_OUTPUT_ACTION_H

#include "base/buf.h"
#include "engine/finding.h"

void ln_action_add(struct ln_buf *out, const struct ln_finding *f);

#endif
