/* SPDX-License-Identifier: Apache-2.0 */
#include "resolved_result.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <jansson.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include "base/macros.h"

#define NAMES_MAX   16
#define RECORDS_MAX 256

struct key {
	char name[LN_NAME_MAX]; /* canonical */
	uint16_t type;
};

struct result {
	struct key questions[NAMES_MAX], earlier[NAMES_MAX];
	size_t n_questions, n_earlier;
	char searched[LN_NAME_MAX]; /* a single label under a search domain; "" none */
	uint16_t n_records;
	size_t len;
	uint8_t records[NS_MAXMSG];
	uint8_t message[NS_MAXMSG];
	struct ln_dns_message msg;
};

/* {"class": 1, "type": 28, "name": "www.example.com"}; false: nothing that linnet reads. */
static bool read_key(const json_t *key, struct key *ret)
{
	const json_t *name = json_object_get(key, "name");
	json_int_t type = json_integer_value(json_object_get(key, "type"));

	if (json_integer_value(json_object_get(key, "class")) != ns_c_in ||
	    (type != LN_DNS_A && type != LN_DNS_AAAA) || !json_is_string(name))
		return false;
	ret->type = (uint16_t)type;
	return ln_name_canonical(json_string_value(name), json_string_length(name), ret->name);
}

static size_t read_keys(const json_t *list, struct key ret[NAMES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list) && n < NAMES_MAX; i++)
		n += read_key(json_array_get(list, i), &ret[n]);
	return n;
}

/* Search domains go behind a name of one label. */
static void note_searched(struct result *r, const struct key *owner)
{
	for (size_t i = 0; i < r->n_questions; i++) {
		const char *label = r->questions[i].name;
		size_t len = strlen(label);

		if (!strchr(label, '.') && strncmp(owner->name, label, len) == 0 &&
		    owner->name[len] == '.')
			memcpy(r->searched, owner->name, sizeof(r->searched));
	}
}

/* False: not a record as resolved sends it. */
static bool add_record(struct result *r, const json_t *item)
{
	const json_t *raw = json_object_get(item, "raw");
	struct key owner;
	int n;

	if (!json_is_string(raw))
		return false;
	n = b64_pton(json_string_value(raw), r->records + r->len, sizeof(r->records) - r->len);
	if (n < 0)
		return false;
	if (read_key(json_object_get(json_object_get(item, "rr"), "key"), &owner))
		note_searched(r, &owner);
	r->len += (size_t)n;
	r->n_records++;
	return true;
}

static uint8_t *put16(uint8_t *at, uint16_t n)
{
	*at++ = (uint8_t)(n >> 8);
	*at++ = (uint8_t)n;
	return at;
}

static uint8_t *put_name(uint8_t *at, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");

		*at++ = (uint8_t)len;
		memcpy(at, name, len);
		at += len;
		name += len + (name[len] == '.');
	}
	*at++ = 0;
	return at;
}

/* Whether the records answer this question. */
static bool answers(struct result *r, const char *name, uint16_t type)
{
	uint8_t *at = r->message;

	if (NS_HFIXEDSZ + LN_NAME_MAX + 2 + 4 + r->len > sizeof(r->message))
		return false;
	at = put16(at, 0);
	at = put16(at, 0x8180); /* an answer without error */
	at = put16(at, 1);
	at = put16(at, r->n_records);
	at = put16(put16(at, 0), 0);
	at = put16(put16(put_name(at, name), type), ns_c_in);
	memcpy(at, r->records, r->len);
	at += r->len;
	return ln_dns_parse(r->message, (size_t)(at - r->message), &r->msg) == 0 &&
	       r->msg.n_addrs > 0;
}

static void tell(struct result *r, const struct key *question, ln_resolved_fn fn, void *user)
{
	if (answers(r, question->name, question->type)) {
		fn(&r->msg, user);
		for (size_t i = 0; i < r->n_earlier; i++) {
			if (r->earlier[i].type != question->type ||
			    strcmp(r->earlier[i].name, question->name) == 0)
				continue;
			memcpy(r->msg.qname, r->earlier[i].name, sizeof(r->msg.qname));
			fn(&r->msg, user);
		}
	}
	if (r->searched[0] != '\0' && !strchr(question->name, '.') &&
	    answers(r, r->searched, question->type))
		fn(&r->msg, user);
}

static int read_parameters(const json_t *p, struct result *r, ln_resolved_fn fn, void *user)
{
	const char *state = json_string_value(json_object_get(p, "state"));
	const json_t *answer = json_object_get(p, "answer");

	/* The first one only says that it is ready. */
	if (!state)
		return json_is_true(json_object_get(p, "ready")) ? 0 : -EBADMSG;
	if (strcmp(state, "success") != 0)
		return 0;
	r->n_questions = read_keys(json_object_get(p, "question"), r->questions);
	r->n_earlier = read_keys(json_object_get(p, "collectedQuestions"), r->earlier);
	for (size_t i = 0; i < json_array_size(answer) && i < RECORDS_MAX; i++) {
		if (!add_record(r, json_array_get(answer, i)))
			return -EBADMSG;
	}
	for (size_t i = 0; i < r->n_questions; i++)
		tell(r, &r->questions[i], fn, user);
	return 0;
}

int ln_resolved_result_read(const char *text, size_t len, ln_resolved_fn fn, void *user)
{
	LN_AUTO_FREE struct result *r = calloc(1, sizeof(*r));
	json_error_t error;
	json_t *root;
	int ret;

	if (!r)
		return -ENOMEM;
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return -EBADMSG;
	ret = json_is_object(json_object_get(root, "parameters"))
		  ? read_parameters(json_object_get(root, "parameters"), r, fn, user)
		  : -EBADMSG;
	json_decref(root);
	return ret;
}

bool ln_resolved_result_trusted(const char *name)
{
	return strchr(name, '.') && !ln_name_under(name, "local");
}
