/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a finding in words for people, safe on a terminal: command line, destination, chain of
 * parents. Each function appends to a buffer.
 */
#ifndef LINNET_OUTPUT_DESCRIBE_H
#define LINNET_OUTPUT_DESCRIBE_H

#include "engine/finding.h"
#include "redact.h"

#define LN_DESCRIBE_DEPTH 8 /* processes of a chain that are told */

/* Steps through arguments with a NUL after each (the last one may lack it). */
struct ln_args {
	const char *at, *end;
};
struct ln_args ln_args_of(const struct ln_proc *p); /* none for NULL */
bool ln_args_next(struct ln_args *a, const char **ret_arg, size_t *ret_len);

/* The executable's real path, then the arguments after argv[0]. */
void ln_describe_command(struct ln_buf *out, const struct ln_proc *p, struct ln_redact *r);
/* "1234 bash > 1240 python3 main.py": parents first, the process itself last, shortened. */
void ln_describe_tree(struct ln_buf *out, const struct ln_proc *p, struct ln_redact *r);
/* "104.28.14.6:443 (resolved: a.example.com, b.example.com (claimed))" */
void ln_describe_endpoint(struct ln_buf *out, const struct ln_endpoint *remote,
			  const struct ln_name_evidence *names, size_t n_names);
/* "api.example.com: answer of a trusted resolver, asked by PID 812, TTL 60 s, 3 s ago, by
 * edge.example.net > n7.example.net; trusted" */
void ln_describe_evidence(struct ln_buf *out, const struct ln_name_evidence *e, uint64_t now_ns);
/* "example.com AAAA" */
void ln_describe_question(struct ln_buf *out, const struct ln_finding *f);
/* Of a CLAIM: "api.example.com:443 (resolved: by the relay)", or as an endpoint. */
void ln_describe_target(struct ln_buf *out, const struct ln_finding *f);
/* "www.example.net (TLS SNI)" */
void ln_describe_claim(struct ln_buf *out, const struct ln_claim *c);
/* "37 names under evil.example, 2143 bytes of labels (A, TXT), 512 bytes of answers" */
void ln_describe_group(struct ln_buf *out, const struct ln_name_group *g);
/* "api.example.com A = 198.51.100.1, …" */
void ln_describe_answer(struct ln_buf *out, const struct ln_finding *f);
void ln_describe_proto(struct ln_buf *out, uint8_t proto); /* "TCP"; a number without a name */

#endif
