/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the log reader call of each other. */
#ifndef LINNET_SENSOR_LOG_IMPL_H
#define LINNET_SENSOR_LOG_IMPL_H

#include "base/buf.h"
#include "log.h"

#define LN_LOG_MONO_NS   (1000000 * LN_NS_PER_S) /* monotonic time of the first record */
#define LN_LOG_WORDS_MAX 32

struct ln_log_reader {
	const struct ln_log_handlers *h;
	void *user;
	uint64_t line;
	uint64_t first_wall_ns; /* of this run */
	/* What is wrong with this line; only the first thing is kept. */
	bool wrong;
	char what[256];
	/* Texts that an engine keeps a pointer to: few, and the same ones again and again. */
	size_t n_words;
	char *words[LN_LOG_WORDS_MAX]; /* owned */
	struct ln_buf args, chain;     /* reused */
};

/* log_fields.c: a field that is missing or null gives the default (NULL, 0, false); one of a wrong
 * type or out of range makes the line wrong. */
void ln_log_wrong(struct ln_log_reader *r, const char *format, ...) LN_FORMAT(2, 3);
const char *ln_log_text(struct ln_log_reader *r, const json_t *o, const char *key);
bool ln_log_bool(struct ln_log_reader *r, const json_t *o, const char *key);
uint64_t ln_log_number(struct ln_log_reader *r, const json_t *o, const char *key, uint64_t max);
uint64_t ln_log_hex(struct ln_log_reader *r, const json_t *o, const char *key);
uint64_t ln_log_time(struct ln_log_reader *r, const json_t *o); /* its "time" */
struct ln_addr ln_log_addr(struct ln_log_reader *r, const json_t *o, const char *key);
struct ln_endpoint ln_log_endpoint(struct ln_log_reader *r, const json_t *o, const char *key);
struct ln_party ln_log_party(struct ln_log_reader *r, const json_t *o, const char *key);
uint8_t ln_log_proto(struct ln_log_reader *r, const json_t *o);
const json_t *ln_log_list(struct ln_log_reader *r, const json_t *o, const char *key);
/* The place of a field's text in one of the engine's tables; `none` when there is no field. */
unsigned int ln_log_word(struct ln_log_reader *r, const json_t *o, const char *key,
			 const char *(*text)(unsigned int), unsigned int count, unsigned int none);
/* A copy that lives as long as the reader; NULL when there are too many. */
const char *ln_log_keep(struct ln_log_reader *r, const char *text);

/* log_event.c: hands out the events of a record. */
void ln_log_events(struct ln_log_reader *r, const struct ln_log_record *rec);
struct ln_event ln_log_event(struct ln_log_reader *r, const struct ln_log_record *rec,
			     enum ln_event_kind kind);
void ln_log_give(struct ln_log_reader *r, const struct ln_event *ev);
struct ln_flow ln_log_flow(struct ln_log_reader *r, const json_t *o);
/* The names of a list as evidence for this address. */
void ln_log_give_names(struct ln_log_reader *r, const struct ln_log_record *rec, const char *key,
		       const struct ln_addr *addr);

/* log_beside.c: what is no plain flow. */
void ln_log_give_dns(struct ln_log_reader *r, const struct ln_log_record *rec, bool answer);
void ln_log_give_wire(struct ln_log_reader *r, const struct ln_log_record *rec);
void ln_log_give_channel(struct ln_log_reader *r, const struct ln_log_record *rec);
void ln_log_give_claim(struct ln_log_reader *r, const struct ln_log_record *rec);

#endif
