/* SPDX-License-Identifier: Apache-2.0 */
/* A story: recorded or written events, one JSON object a line, as tests/replay/README.md says.
 * Everything is read and checked at once; the first wrong line is the error. */
#ifndef LINNET_SENSOR_STORY_H
#define LINNET_SENSOR_STORY_H

#include <jansson.h>
#include "base/error.h"
#include "engine/event.h"

#define LN_STORY_EVENTS_MAX 1000000
#define LN_STORY_MONO_NS    (1000 * LN_NS_PER_S)       /* monotonic time of t = 0 */
#define LN_STORY_WALL_NS    (1698330720 * LN_NS_PER_S) /* 2023-10-26T14:32:00Z */

struct ln_story {
	size_t n, cap;
	struct ln_event *events; /* owned; what they point to is in blocks */
	size_t n_blocks, cap_blocks;
	void **blocks; /* owned */
};

/* *ret is zeroed by the caller and needs ln_story_done in any case. */
int ln_story_read(const char *path, struct ln_error *err, struct ln_story *ret);
void ln_story_done(struct ln_story *s);

/* A block of the story's own; NULL without memory. */
void *ln_story_block(struct ln_story *s, size_t size);

/* Parts of a line. Each is 0, or -errno with the error said. */
int ln_story_add(struct ln_story *s, const struct ln_event *ev, struct ln_error *err);
/* *ret, a pointer, gets a copy with a NUL behind it. */
int ln_story_copy(struct ln_story *s, const void *bytes, size_t len, struct ln_error *err,
		  void *ret);
int ln_story_wrong(const json_error_t *wrong, struct ln_error *err);
int ln_story_proto(const char *name, struct ln_error *err, uint8_t *ret);
int ln_story_endpoint(const char *text, struct ln_error *err, struct ln_endpoint *ret);

/* story_beside.c: who did it, and the events that are no flow. */
struct ln_story_by {
	const char *how;
	json_t *listener, *other; /* borrowed */
};
int ln_story_how(const char *text, struct ln_error *err, enum ln_how *ret);   /* NULL: task */
int ln_story_party(json_t *body, struct ln_error *err, struct ln_party *ret); /* NULL: nobody */
int ln_story_wire(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err);
int ln_story_channel(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err);
int ln_story_cgroup(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err);
int ln_story_tamper(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err);

/* story_bytes.c: what a flow carries; and lower-case hexadecimal digits. */
int ln_story_bytes(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err);
int ln_story_hex(const char *hex, struct ln_error *err, uint8_t *buf, size_t size, size_t *ret_len);

/* A DNS message on the wire (RFC 1035, 4.1) from "query" or "answer" of a story line. */
int ln_story_dns_message(const json_t *body, bool answer, struct ln_error *err, uint8_t *buf,
			 size_t size, size_t *ret_len);

#endif
