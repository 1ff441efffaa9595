/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as all that the kernel side tells in one watch, record after record, through the
 * decoder into an engine and out into log and alerts. An input is steps: what it is, a length, and
 * so many bytes. Between records time passes, the policy changes, and linnet's look-ups end. */
#include "engine_checks.h"
#include "sensor/decode.h"

#define RECORD_MAX (8u << 10)
#define STEPS_MAX  512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char other_text[] = "agent_name: fuzz\n"
				 "expected_outbound:\n"
				 "  - {destination: 10.0.0.0/24, port: 443, protocol: any}\n"
				 "resolvers: [10.0.0.53]\n";

enum step { STEP_RECORD, STEP_TIME, STEP_POLICY, STEP_LOOKED, STEP_NAME, STEPS };

struct watch {
	struct ln_policy *policies[2]; /* owned */
	size_t policy;                 /* in force */
	struct ln_engine *engine;
	struct ln_decoder decoder;
	struct shown shown;
	uint64_t now_ns, ticket;
};

static const struct ln_endpoint resolver = {.addr = {.family = 4, .bytes = {10, 0, 0, 53}},
					    .port = 53};

static void on_finding(const struct ln_finding *f, void *user)
{
	require_finding(&((struct watch *)user)->shown, f);
}

static bool ask(uint64_t ticket, const char *const *names, size_t n, void *user)
{
	require(n > 0 && names[0][0] != '\0');
	((struct watch *)user)->ticket = ticket;
	return true;
}

static void begin(struct watch *w)
{
	const struct ln_engine_config config = {
	    .policy = w->policies[0],
	    .agent = 1,
	    .run = "fuzz",
	    .resolvers = &resolver,
	    .n_resolvers = 1,
	    .attached = true,
	    .ask = ask,
	    .on_finding = on_finding,
	    .user = w,
	};

	w->policy = 0;
	w->now_ns = LN_NS_PER_S;
	w->ticket = 0;
	require(ln_engine_new(&config, &w->engine) == 0);
}

/* Records in the ring are aligned to eight bytes, and may end where memory does. */
static void tell_record(struct watch *w, const uint8_t *data, size_t len)
{
	uint8_t *record = aligned_alloc(8, (len + 8) & ~(size_t)7);
	struct ln_event ev;

	require(record != NULL);
	memcpy(record, data, len);
	if (ln_decode(&w->decoder, record, len, &ev) == 0) {
		w->now_ns = LN_MAX(w->now_ns, LN_MIN(ev.time_ns, UINT64_MAX / 4));
		ev.time_ns = w->now_ns;
		ev.wall_ns = w->now_ns;
		ln_engine_feed(w->engine, &ev);
	}
	free(record);
}

static void tell_event(struct watch *w, struct ln_event *ev)
{
	ev->time_ns = w->now_ns;
	ev->wall_ns = w->now_ns;
	ln_engine_feed(w->engine, ev);
}

static void tell_name(struct watch *w, const uint8_t *data, size_t len)
{
	struct ln_event ev = {
	    .kind = LN_EVENT_NAME,
	    .agent = 1,
	    .name.evidence = {.source = LN_NAME_OWN_LOOKUP,
			      .grants = true,
			      .seen_ns = w->now_ns,
			      .expires_ns = w->now_ns + 60 * LN_NS_PER_S},
	};

	if (len <= 4 || !ln_name_canonical((const char *)data + 4, len - 4, ev.name.evidence.name))
		return;
	ev.name.addr = ln_addr_make(4, data);
	tell_event(w, &ev);
}

static void tell(struct watch *w, enum step step, const uint8_t *data, size_t len)
{
	struct ln_event looked = {.kind = LN_EVENT_LOOKED, .looked = {.ticket = w->ticket}};

	switch (step) {
	case STEP_RECORD:
		tell_record(w, data, len);
		break;
	case STEP_TIME:
		w->now_ns += (uint64_t)len * 10 * LN_NS_PER_MS;
		ln_engine_tick(w->engine, w->now_ns, w->now_ns);
		break;
	case STEP_POLICY:
		w->policy = !w->policy;
		require(ln_engine_take_policy(w->engine, w->policies[w->policy], &resolver, 1,
					      w->now_ns, w->now_ns) == 0);
		break;
	case STEP_LOOKED:
		looked.looked.failed = len & 1;
		tell_event(w, &looked);
		break;
	default:
		tell_name(w, data, len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct watch w;

	if (!w.policies[0]) {
		w.policies[0] = make_policy(policy_text, sizeof(policy_text) - 1);
		w.policies[1] = make_policy(other_text, sizeof(other_text) - 1);
	}
	begin(&w);
	for (int n = 0; size >= 3 && n < STEPS_MAX; n++) {
		enum step step = data[0] % STEPS;
		size_t said = (data[1] << 8 | data[2]) % (RECORD_MAX + 1);
		bool has_bytes = step == STEP_RECORD || step == STEP_NAME;
		size_t len = has_bytes ? LN_MIN(said, size - 3) : 0;

		tell(&w, step, data + 3, has_bytes ? len : said);
		data += 3 + len;
		size -= 3 + len;
	}
	ln_engine_finish(w.engine, w.now_ns, w.now_ns);
	require(ln_engine_deadline(w.engine) == UINT64_MAX);
	ln_engine_free(&w.engine);
	return 0;
}
