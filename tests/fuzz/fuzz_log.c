/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a connection log: what is read of it must be fit for an engine. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "policy/policy.h"
#include "sensor/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ln_engine *engine;

static void require(bool promise)
{
	if (!promise)
		abort();
}

static void on_finding(const struct ln_finding *f, void *user)
{
	require((unsigned int)f->verdict < LN_VERDICT_COUNT);
}

static void on_header(const struct ln_log_header *h, void *user)
{
	struct ln_engine_config config = {.policy = user, .on_finding = on_finding};

	config.resolvers = h->resolvers;
	config.n_resolvers = h->n_resolvers;
	config.search = h->search;
	config.n_search = h->n_search;
	config.netns = h->netns;
	ln_engine_free(&engine);
	require(ln_engine_new(&config, &engine) == 0);
}

static void on_event(const struct ln_event *ev, void *user)
{
	require((unsigned int)ev->kind < LN_EVENT_COUNT && ev->time_ns > 0);
	ln_engine_feed(engine, ev);
}

static void on_bad(uint64_t line, const char *what, void *user)
{
	require(line > 0 && what[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ln_log_handlers handlers = {
	    .header = on_header, .event = on_event, .bad = on_bad};
	struct ln_policy *policy = ln_policy_new_empty("fuzz");
	struct ln_error err = {0};
	struct ln_log_sums sums;
	FILE *in = size > 0 ? fmemopen((void *)data, size, "r") : NULL;

	if (in && policy && ln_log_read(in, "log", &handlers, policy, &err, &sums) < 0)
		require(err.text[0] != '\0');
	if (in)
		fclose(in);
	ln_engine_free(&engine);
	ln_policy_free(&policy);
	return 0;
}
