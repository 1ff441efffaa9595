/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a connection log: what is read of it must be fit for an engine. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "dns/chain.h"
#include "sensor/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
	if (!promise)
		abort();
}

static void require_readable(const void *bytes, size_t len)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += ((const uint8_t *)bytes)[i];
	require(sum < UINT32_MAX);
}

static void require_canonical(const char *name)
{
	char again[LN_NAME_MAX];

	require(ln_name_canonical(name, strlen(name), again) && strcmp(name, again) == 0);
}

static void require_addr(const struct ln_addr *addr)
{
	require(addr->family == 0 || addr->family == 4 || addr->family == 6);
}

static void on_header(const struct ln_log_header *h, void *user)
{
	require(h->n_resolvers <= LN_LOG_RESOLVERS_MAX && h->n_search <= LN_LOG_SEARCH_MAX);
	for (size_t i = 0; i < h->n_resolvers; i++)
		require_addr(&h->resolvers[i].addr);
	for (size_t i = 0; i < h->n_search; i++)
		require_canonical(h->search[i]);
}

static void on_record(const struct ln_log_record *r, void *user)
{
	require(r->line > 0 && r->type && (unsigned int)r->verdict < LN_VERDICT_COUNT &&
		(unsigned int)r->kind <= LN_FINDING_COUNT);
}

static void check_name(const struct ln_name_evidence *e, uint64_t time_ns)
{
	require_canonical(e->name);
	require((unsigned int)e->source < LN_NAME_SOURCE_COUNT);
	require(e->seen_ns > 0 && e->seen_ns <= time_ns && e->expires_ns > 0);
	require(!e->chain || strlen(e->chain) < LN_CHAIN_TEXT_MAX);
}

static void on_event(const struct ln_event *ev, void *user)
{
	require((unsigned int)ev->kind < LN_EVENT_COUNT && ev->time_ns > 0);
	switch (ev->kind) {
	case LN_EVENT_NAME:
		require(ev->name.addr.family != 0);
		check_name(&ev->name.evidence, ev->time_ns);
		break;
	case LN_EVENT_EXEC:
	case LN_EVENT_ADOPT:
		require_readable(ev->exec.exe, ev->exec.exe_len);
		require_readable(ev->exec.args, ev->exec.args_len);
		break;
	case LN_EVENT_FLOW_OPEN:
	case LN_EVENT_FLOW_CLOSE:
		require_addr(&ev->flow.flow.remote.addr);
		require((unsigned int)ev->flow.flow.how < LN_HOW_COUNT);
		break;
	case LN_EVENT_DNS:
		require_readable(ev->dns.bytes, ev->dns.len);
		break;
	case LN_EVENT_CHANNEL:
		require((unsigned int)ev->channel.kind < LN_CHANNEL_COUNT);
		require_readable(ev->channel.path, ev->channel.path_len);
		break;
	case LN_EVENT_CLAIM:
		require((unsigned int)ev->claim.claim->layer < LN_LAYER_COUNT);
		require(ev->claim.claim->depth <= LN_SNIFF_DEPTH);
		if (ev->claim.claim->name[0] != '\0')
			require_canonical(ev->claim.claim->name);
		break;
	default:
		break;
	}
}

static void on_bad(uint64_t line, const char *what, void *user)
{
	require(line > 0 && what[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ln_log_handlers handlers = {
	    .header = on_header, .record = on_record, .event = on_event, .bad = on_bad};
	FILE *in = size > 0 ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
	struct ln_error err = {0};
	struct ln_log_sums sums;

	if (in && ln_log_read(in, "log", &handlers, NULL, &err, &sums) < 0)
		require(err.text[0] != '\0');
	if (in)
		fclose(in);
	return 0;
}
