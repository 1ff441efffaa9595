/* SPDX-License-Identifier: Apache-2.0 */
/* What a story is told under: its policy, and its "config" line. */
#ifndef LINNET_TESTS_SETTING_H
#define LINNET_TESTS_SETTING_H

#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "dns/config.h"
#include "engine/engine.h"
#include "policy/parse.h"
#include "sensor/story.h"

#define OUTPUT_MAX (8u << 20)

static inline bool read_file(const char *path, struct ln_buf *ret)
{
	LN_CLEANUP(ln_fclosep) FILE *file = fopen(path, "re");
	char chunk[4096];
	size_t n;

	if (!file) {
		fprintf(stderr, "replay: %s: %m\n", path);
		return false;
	}
	ret->max = OUTPUT_MAX;
	while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
		ln_buf_add(ret, chunk, n);
	return !ferror(file) && !ret->failed;
}

static inline struct ln_policy *read_policy(const char *path)
{
	struct ln_buf text = {0};
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;

	if (read_file(path, &text) &&
	    ln_policy_parse(path, ln_buf_text(&text), text.len, false, &diags, &policy) < 0) {
		for (size_t i = 0; i < diags.n; i++)
			fprintf(stderr, "%s:%u:%u: %s\n", path, diags.list[i].line,
				diags.list[i].column, diags.list[i].text);
	}
	ln_diags_done(&diags);
	ln_buf_done(&text);
	return policy;
}

/* The "config" object of the story's first line that is no comment, or NULL. */
static inline json_t *read_config(const char *path)
{
	LN_CLEANUP(ln_fclosep) FILE *file = fopen(path, "re");
	LN_AUTO_FREE char *text = NULL;
	size_t size = 0;
	json_t *line, *config;

	do {
		if (!file || getline(&text, &size, file) < 0)
			return NULL;
	} while (text[0] == '#');
	line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	config = json_incref(json_object_get(line, "config"));
	json_decref(line);
	return config;
}

static inline bool add_resolvers(json_t *list, struct ln_engine_config *config,
				 struct ln_endpoint resolvers[LN_RESOLV_SERVERS_MAX])
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (i == LN_RESOLV_SERVERS_MAX || !json_is_string(item) ||
		    !ln_endpoint_parse(json_string_value(item), 53, &resolvers[i]))
			return false;
		config->n_resolvers = i + 1;
	}
	return true;
}

static inline bool add_search(json_t *list, struct ln_engine_config *config,
			      char search[LN_RESOLV_SEARCH_MAX][LN_NAME_MAX])
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (i == LN_RESOLV_SEARCH_MAX || !json_is_string(item) ||
		    !ln_name_canonical(json_string_value(item), json_string_length(item),
				       search[i]))
			return false;
		config->n_search = i + 1;
	}
	return true;
}

struct setting {
	struct ln_endpoint resolvers[LN_RESOLV_SERVERS_MAX];
	char search[LN_RESOLV_SEARCH_MAX][LN_NAME_MAX];
};

/* *config borrows from *ret. */
static inline bool read_setting(const char *story, struct setting *ret,
				struct ln_engine_config *config)
{
	json_t *settings = read_config(story);
	json_t *resolver_list = NULL, *search_list = NULL;
	bool ok;

	config->resolvers = ret->resolvers;
	config->search = ret->search;
	ok = !settings || json_unpack_ex(settings, NULL, JSON_STRICT, "{s?o, s?o}", "resolvers",
					 &resolver_list, "search", &search_list) == 0;
	if (!resolver_list) {
		ln_endpoint_parse("10.0.0.53:53", 53, &ret->resolvers[0]);
		config->n_resolvers = 1;
	}
	ok = ok && add_resolvers(resolver_list, config, ret->resolvers) &&
	     add_search(search_list, config, ret->search);
	json_decref(settings);
	if (!ok)
		fprintf(stderr, "replay: %s: the config line is wrong\n", story);
	return ok;
}

#endif
