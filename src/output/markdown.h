/* SPDX-License-Identifier: Apache-2.0 */
/* A run for people who read Markdown (CI systems). Whatever the agent or the network said stands
 * in code spans, without any byte that could end one, a table cell or a line, or begin HTML. */
#ifndef LINNET_OUTPUT_MARKDOWN_H
#define LINNET_OUTPUT_MARKDOWN_H

#include "base/buf.h"
#include "propose.h"
#include "sink.h"

#define LN_MARKDOWN_ROWS  500
#define LN_MARKDOWN_BYTES (960u << 10) /* a CI system takes 1 MiB of all steps */

/* A code span. */
void ln_markdown_code(struct ln_buf *out, const char *text);

void ln_markdown_summary(struct ln_buf *out, const char *agent_name,
			 const struct ln_sink_summary *all, const struct ln_observed **seen,
			 size_t n, const struct ln_proposals *proposals);

#endif
