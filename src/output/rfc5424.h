/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One syslog message at a time: begin, some parameters of structured data, end. At most
 * LN_RFC5424_MAX bytes: a parameter that is too long is cut, and then the text is. What is given
 * has no control characters and is UTF-8 (ln_text_escape).
 */
#ifndef LINNET_OUTPUT_RFC5424_H
#define LINNET_OUTPUT_RFC5424_H

#include "base/buf.h"
#include "brief.h"

#define LN_RFC5424_MAX       8192
#define LN_RFC5424_PARAM_MAX 1024 /* before it is escaped */

struct ln_rfc5424 {
	struct ln_buf text;
	char host[256]; /* of this machine; "-" unknown */
	pid_t pid;
};

void ln_rfc5424_init(struct ln_rfc5424 *m);
void ln_rfc5424_begin(struct ln_rfc5424 *m, enum ln_severity severity, uint64_t wall_ns,
		      const char *msgid);
void ln_rfc5424_param(struct ln_rfc5424 *m, const char *name, const char *value, size_t len);
void ln_rfc5424_end(struct ln_rfc5424 *m, const char *text, size_t len);

#endif
