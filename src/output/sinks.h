/* SPDX-License-Identifier: Apache-2.0 */
/* The sinks that get alerts only, each a file of its own. They are made after root is gone; what
 * they must not wait for they keep in an outbox (outbox.h), and do in dispatch. */
#ifndef LINNET_OUTPUT_SINKS_H
#define LINNET_OUTPUT_SINKS_H

#include "sink.h"

struct ln_program_config {
	char *const *argv; /* borrowed for the call; an absolute path first, NULL last */
	bool show_args;
};
int ln_sink_program_new(const struct ln_program_config *c, struct ln_error *err,
			struct ln_sink **ret);

struct ln_journal_config {
	const char *path; /* NULL: where the journal listens */
	bool show_args;
};
int ln_sink_journal_new(const struct ln_journal_config *c, struct ln_error *err,
			struct ln_sink **ret);

struct ln_syslog_config {
	const char *address; /* "udp://host:port", "unix:/path"; NULL: /dev/log */
	bool show_args;
};
/* A host name is looked up here, which may take seconds. */
int ln_sink_syslog_new(const struct ln_syslog_config *c, struct ln_error *err,
		       struct ln_sink **ret);

struct ln_webhook_config {
	const char *url;
	const char *token; /* NULL: none; copied */
	bool show_args;
};
int ln_sink_webhook_new(const struct ln_webhook_config *c, struct ln_error *err,
			struct ln_sink **ret);

#endif
