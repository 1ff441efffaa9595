/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that a sink could not hand over yet, in their order, within a bound in number and bytes.
 * When it is full the new one is refused: what came first explains the rest, and the log has all.
 * How many were refused is told by a message of its own (ln_outbox_owed), once half of the room is
 * free again: before that a flood would fill it with such words alone.
 */
#ifndef LINNET_OUTPUT_OUTBOX_H
#define LINNET_OUTPUT_OUTBOX_H

#include "record.h"
#include "sink.h"

struct ln_message {
	char *data; /* owned */
	size_t len;
};

struct ln_outbox {
	struct ln_message *ring; /* owned */
	size_t max, max_bytes;
	size_t first, n, bytes;
	uint64_t refused; /* since it was last told */
};

int ln_outbox_init(struct ln_outbox *o, size_t max, size_t max_bytes);
void ln_outbox_done(struct ln_outbox *o);
/* A copy. False: it was refused, and is counted here and in *s. */
bool ln_outbox_put(struct ln_outbox *o, struct ln_sink *s, const void *bytes, size_t len);
const struct ln_message *ln_outbox_first(const struct ln_outbox *o); /* NULL: empty */
struct ln_message ln_outbox_take(struct ln_outbox *o); /* not when empty; the caller frees data */
void ln_outbox_drop(struct ln_outbox *o);              /* the first one */
/* How many refusals are to be told now; 0 none. They count as told. */
uint64_t ln_outbox_owed(struct ln_outbox *o);

/* The record of an alert, or of what is owed, through `r`. */
void ln_outbox_put_record(struct ln_outbox *o, struct ln_sink *s, struct ln_record *r,
			  const struct ln_finding *f);
void ln_outbox_put_owed(struct ln_outbox *o, struct ln_sink *s, struct ln_record *r);

#endif
