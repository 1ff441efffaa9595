/* SPDX-License-Identifier: Apache-2.0 */
#include "story.h"

#include <errno.h>
#include <string.h>
#include "base/buf.h"
#include "base/macros.h"

#define DNS_BYTES_MAX 4096
#define TIME_MAX_S    1e6

void *ln_story_block(struct ln_story *s, size_t size)
{
	void *block;

	if (s->n_blocks == s->cap_blocks) {
		size_t cap = s->cap_blocks ? 2 * s->cap_blocks : 64;
		void **blocks = reallocarray(s->blocks, cap, sizeof(*blocks));

		if (!blocks)
			return NULL;
		s->blocks = blocks;
		s->cap_blocks = cap;
	}
	block = calloc(1, size ? size : 1);
	if (block)
		s->blocks[s->n_blocks++] = block;
	return block;
}

void ln_story_done(struct ln_story *s)
{
	for (size_t i = 0; i < s->n_blocks; i++)
		free(s->blocks[i]);
	free(s->blocks);
	free(s->events);
	*s = (struct ln_story){0};
}

int ln_story_add(struct ln_story *s, const struct ln_event *ev, struct ln_error *err)
{
	if (s->n == LN_STORY_EVENTS_MAX)
		return ln_error_set(err, EFBIG, "more than %d events", LN_STORY_EVENTS_MAX);
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct ln_event *events = reallocarray(s->events, cap, sizeof(*events));

		if (!events)
			return ln_error_set(err, ENOMEM, "out of memory");
		s->events = events;
		s->cap = cap;
	}
	s->events[s->n++] = *ev;
	return 0;
}

int ln_story_copy(struct ln_story *s, const void *bytes, size_t len, struct ln_error *err,
		  void *ret)
{
	void *block = ln_story_block(s, len + 1);

	if (!block)
		return ln_error_set(err, ENOMEM, "out of memory");
	memcpy(block, bytes, len);
	*(void **)ret = block;
	return 0;
}

int ln_story_proto(const char *name, struct ln_error *err, uint8_t *ret)
{
	for (int proto = 0; proto < 256; proto++) {
		const char *known = ln_proto_name((uint8_t)proto);

		if (known && strcmp(known, name) == 0) {
			*ret = (uint8_t)proto;
			return 0;
		}
	}
	return ln_error_set(err, EINVAL, "unknown protocol \"%s\"; write one like TCP", name);
}

int ln_story_endpoint(const char *text, struct ln_error *err, struct ln_endpoint *ret)
{
	if (!ln_endpoint_parse(text, 0, ret))
		return ln_error_set(err, EINVAL,
				    "\"%s\" is no address and port; write one like 192.0.2.1:443",
				    text);
	return 0;
}

/* Arguments become one block with a NUL after each, as the kernel keeps them. */
static int read_args(struct ln_story *s, json_t *args, struct ln_event *ev, struct ln_error *err)
{
	struct ln_buf joined = {0};
	json_t *arg;
	size_t i;
	int r;

	json_array_foreach(args, i, arg)
	{
		if (!json_is_string(arg)) {
			ln_buf_done(&joined);
			return ln_error_set(err, EINVAL, "an argument is not a string");
		}
		ln_buf_add(&joined, json_string_value(arg), json_string_length(arg) + 1);
	}
	ev->exec.args_len = joined.len;
	r = ln_story_copy(s, ln_buf_text(&joined), joined.len, err, &ev->exec.args);
	ln_buf_done(&joined);
	return r;
}

static int read_image(struct ln_story *s, const char *exe, json_t *args, struct ln_event *ev,
		      struct ln_error *err)
{
	int r = 0;

	if (exe) {
		ev->exec.exe_len = strlen(exe);
		r = ln_story_copy(s, exe, ev->exec.exe_len, err, &ev->exec.exe);
	}
	if (r == 0 && args)
		r = read_args(s, args, ev, err);
	return r < 0 ? r : ln_story_add(s, ev, err);
}

int ln_story_wrong(const json_error_t *wrong, struct ln_error *err)
{
	return ln_error_set(err, EINVAL, "%s", wrong->text);
}

static int read_fork(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	json_error_t wrong;

	ev->kind = LN_EVENT_FORK;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s:i, s:i, s?i}", "pid", &ev->pid, "child",
			   &ev->fork.child, "ns_pid", &ev->fork.child_ns_pid) < 0)
		return ln_story_wrong(&wrong, err);
	return ln_story_add(s, ev, err);
}

static int read_exec(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	const char *exe = NULL;
	json_t *args = NULL;
	json_int_t cgroup = 0;
	json_error_t wrong;

	ev->kind = LN_EVENT_EXEC;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s:i, s?s, s?o, s?i, s?I}", "pid", &ev->pid,
			   "exe", &exe, "args", &args, "ns_pid", &ev->exec.ns_pid, "cgroup",
			   &cgroup) < 0)
		return ln_story_wrong(&wrong, err);
	ev->exec.cgroup_id = (uint64_t)cgroup;
	return read_image(s, exe, args, ev, err);
}

static int read_adopt(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	const char *exe = NULL, *why = NULL;
	json_t *args = NULL;
	json_int_t cgroup = 0;
	json_error_t wrong;
	int r = 0;

	ev->kind = LN_EVENT_ADOPT;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s:i, s?i, s?s, s?o, s?i, s?I, s?s}", "pid",
			   &ev->pid, "ppid", &ev->exec.ppid, "exe", &exe, "args", &args, "ns_pid",
			   &ev->exec.ns_pid, "cgroup", &cgroup, "why", &why) < 0)
		return ln_story_wrong(&wrong, err);
	ev->exec.cgroup_id = (uint64_t)cgroup;
	if (why)
		r = ln_story_copy(s, why, strlen(why), err, &ev->exec.why);
	return r < 0 ? r : read_image(s, exe, args, ev, err);
}

static int read_exit(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	json_error_t wrong;

	ev->kind = LN_EVENT_EXIT;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s:i, s?i}", "pid", &ev->pid, "status",
			   &ev->exit.status) < 0)
		return ln_story_wrong(&wrong, err);
	return ln_story_add(s, ev, err);
}

/* A flow that is told `times` times: each `every` seconds later, with the next id, and to the next
 * port when `next` says "port". */
static int add_flows(struct ln_story *s, struct ln_event *ev, int times, double every,
		     const char *next, struct ln_error *err)
{
	int r = 0;

	if (times < 1 || every < 0 || every > TIME_MAX_S)
		return ln_error_set(err, EINVAL, "times or every is out of range");
	if (next && strcmp(next, "port") != 0)
		return ln_error_set(err, EINVAL, "next can only be \"port\"");
	for (int i = 0; i < times && r == 0; i++) {
		r = ln_story_add(s, ev, err);
		ev->time_ns += (uint64_t)(every * 1e9);
		ev->wall_ns += (uint64_t)(every * 1e9);
		ev->flow.flow.id++;
		ev->flow.flow.remote.port += next ? 1 : 0;
	}
	return r;
}

/* The addresses, and by whom it is. */
static int read_flow_ends(const char *proto, const char *remote, const char *local,
			  const struct ln_story_by *by, struct ln_flow *flow, struct ln_error *err)
{
	int r = ln_story_proto(proto, err, &flow->proto);

	if (r == 0)
		r = ln_story_endpoint(remote, err, &flow->remote);
	if (r == 0 && local)
		r = ln_story_endpoint(local, err, &flow->local);
	if (r == 0)
		r = ln_story_how(by->how, err, &flow->how);
	if (r == 0)
		r = ln_story_party(by->listener, err, &flow->listener);
	if (r == 0)
		r = ln_story_party(by->other, err, &flow->other);
	return r;
}

static int read_flow(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	struct ln_flow *flow = &ev->flow.flow;
	struct ln_story_by by = {0};
	const char *proto = "TCP", *remote, *local = NULL, *next = NULL;
	int existing = 0, same_tree = 0, mptcp = 0, received = 0, passed = 0, inbound = 0;
	int refused = 0, would_refuse = 0, times = 1, r;
	json_int_t id;
	double every = 0;
	json_error_t wrong;

	ev->kind = LN_EVENT_FLOW_OPEN;
	if (json_unpack_ex(body, &wrong, JSON_STRICT,
			   "{s:I, s:i, s?s, s:s, s?s, s?b, s?b, s?b, s?b, s?b, s?b, s?b, s?b, s?s, "
			   "s?o, s?o, s?i, s?F, s?s}",
			   "id", &id, "pid", &ev->pid, "proto", &proto, "remote", &remote, "local",
			   &local, "existing", &existing, "same_tree", &same_tree, "mptcp", &mptcp,
			   "received", &received, "passed", &passed, "inbound", &inbound, "refused",
			   &refused, "would_refuse", &would_refuse, "how", &by.how, "listener",
			   &by.listener, "other", &by.other, "times", &times, "every", &every,
			   "next", &next) < 0)
		return ln_story_wrong(&wrong, err);
	flow->id = (uint64_t)id;
	flow->existing = existing;
	flow->same_tree = same_tree;
	flow->mptcp = mptcp;
	flow->received = received;
	flow->passed = passed;
	flow->inbound = inbound;
	flow->refused = refused;
	flow->would_refuse = would_refuse;
	r = read_flow_ends(proto, remote, local, &by, flow, err);
	return r < 0 ? r : add_flows(s, ev, times, every, next, err);
}

static const struct ln_event *find_open(const struct ln_story *s, uint64_t id)
{
	for (size_t i = s->n; i-- > 0;) {
		const struct ln_event *ev = &s->events[i];

		if (ev->kind == LN_EVENT_FLOW_OPEN && ev->flow.flow.id == id)
			return ev;
	}
	return NULL;
}

static int read_outcome(const char *text, struct ln_error *err, enum ln_outcome *ret)
{
	for (unsigned int o = 0; o < LN_OUTCOME_COUNT; o++) {
		if (strcmp(ln_outcome_text(o), text) == 0) {
			*ret = o;
			return 0;
		}
	}
	return ln_error_set(err, EINVAL, "unknown outcome \"%s\"", text);
}

/* With a remote of its own a close may come without its open. */
static int read_close_flow(struct ln_story *s, const char *proto, const char *remote,
			   struct ln_event *ev, struct ln_error *err)
{
	struct ln_flow *flow = &ev->flow.flow;
	const struct ln_event *open = find_open(s, flow->id);
	int r;

	if (!remote && !open)
		return ln_error_set(err, EINVAL, "no flow with this id; give its remote");
	if (!remote) {
		*flow = open->flow.flow;
		ev->flow.end.open_ns = open->time_ns;
		ev->pid = ev->pid ? ev->pid : open->pid;
		return 0;
	}
	ev->flow.end.open_ns = ev->time_ns;
	r = ln_story_proto(proto, err, &flow->proto);
	return r < 0 ? r : ln_story_endpoint(remote, err, &flow->remote);
}

static int read_close(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	struct ln_flow_end *end = &ev->flow.end;
	const char *proto = "TCP", *remote = NULL, *outcome = "none";
	json_int_t id, tx = 0, rx = 0, tx_packets = 0, rx_packets = 0;
	json_error_t wrong;
	int r;

	ev->kind = LN_EVENT_FLOW_CLOSE;
	if (json_unpack_ex(
		body, &wrong, JSON_STRICT, "{s:I, s?i, s?s, s?s, s?I, s?I, s?I, s?I, s?s}", "id",
		&id, "pid", &ev->pid, "proto", &proto, "remote", &remote, "tx", &tx, "rx", &rx,
		"tx_packets", &tx_packets, "rx_packets", &rx_packets, "outcome", &outcome) < 0)
		return ln_story_wrong(&wrong, err);
	ev->flow.flow.id = (uint64_t)id;
	end->tx_bytes = (uint64_t)tx;
	end->rx_bytes = (uint64_t)rx;
	end->tx_packets = (uint64_t)tx_packets;
	end->rx_packets = (uint64_t)rx_packets;
	r = read_outcome(outcome, err, &end->outcome);
	if (r == 0)
		r = read_close_flow(s, proto, remote, ev, err);
	return r < 0 ? r : ln_story_add(s, ev, err);
}

static int read_message(struct ln_story *s, json_t *message, struct ln_event *ev,
			struct ln_error *err)
{
	uint8_t bytes[DNS_BYTES_MAX];
	int r;

	if (json_is_string(message))
		r = ln_story_hex(json_string_value(message), err, bytes, sizeof(bytes),
				 &ev->dns.len);
	else
		r = ln_story_dns_message(message, ev->dns.answer, err, bytes, sizeof(bytes),
					 &ev->dns.len);
	if (r == 0)
		r = ln_story_copy(s, bytes, ev->dns.len, err, &ev->dns.bytes);
	return r < 0 ? r : ln_story_add(s, ev, err);
}

static int read_dns(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	const char *resolver, *proto = "UDP";
	json_t *query = NULL, *answer = NULL;
	int stranger = 0, r;
	json_error_t wrong;
	json_int_t id;

	ev->kind = LN_EVENT_DNS;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s:I, s:i, s:s, s?s, s?o, s?o, s?b}", "id",
			   &id, "pid", &ev->pid, "resolver", &resolver, "proto", &proto, "query",
			   &query, "answer", &answer, "stranger", &stranger) < 0)
		return ln_story_wrong(&wrong, err);
	if (!query == !answer)
		return ln_error_set(err, EINVAL, "give a query or an answer");
	ev->dns.flow.id = (uint64_t)id;
	ev->dns.answer = answer;
	ev->dns.stranger = stranger;
	r = ln_story_proto(proto, err, &ev->dns.flow.proto);
	if (r == 0)
		r = ln_story_endpoint(resolver, err, &ev->dns.flow.remote);
	return r < 0 ? r : read_message(s, query ? query : answer, ev, err);
}

static int read_name(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	struct ln_name_evidence *evidence = &ev->name.evidence;
	const char *addr, *name, *source = "own-lookup", *chain = "";
	json_error_t wrong;
	int r;

	ev->kind = LN_EVENT_NAME;
	evidence->ttl_s = 60;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s:s, s:s, s?s, s?s, s?i}", "addr", &addr,
			   "name", &name, "source", &source, "chain", &chain, "ttl",
			   &evidence->ttl_s) < 0)
		return ln_story_wrong(&wrong, err);
	if (!ln_addr_parse(addr, &ev->name.addr) ||
	    !ln_name_canonical(name, strlen(name), evidence->name))
		return ln_error_set(err, EINVAL, "no address or no name");
	r = ln_story_copy(s, chain, strlen(chain), err, &evidence->chain);
	if (r < 0)
		return r;
	evidence->grants = true;
	evidence->seen_ns = ev->time_ns;
	evidence->expires_ns = ev->time_ns + evidence->ttl_s * LN_NS_PER_S;
	if (strcmp(source, "hosts") == 0) {
		evidence->source = LN_NAME_HOSTS;
		evidence->expires_ns = UINT64_MAX;
	} else if (strcmp(source, "own-lookup") == 0) {
		evidence->source = LN_NAME_OWN_LOOKUP;
	} else {
		return ln_error_set(err, EINVAL, "source can be hosts or own-lookup");
	}
	return ln_story_add(s, ev, err);
}

static int read_lost(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	const char *reason = "ring buffer full";
	json_error_t wrong;
	json_int_t count;
	int r;

	ev->kind = LN_EVENT_LOST;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s?s, s:I}", "reason", &reason, "count",
			   &count) < 0)
		return ln_story_wrong(&wrong, err);
	ev->lost.count = (uint64_t)count;
	r = ln_story_copy(s, reason, strlen(reason), err, &ev->lost.reason);
	return r < 0 ? r : ln_story_add(s, ev, err);
}

static int read_tick(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	ev->kind = LN_EVENT_TICK;
	return ln_story_add(s, ev, err);
}

static int read_line(struct ln_story *s, json_t *line, struct ln_error *err)
{
	static const struct {
		const char *key;
		int (*read)(struct ln_story *, json_t *, struct ln_event *, struct ln_error *);
	} kinds[] = {
	    {"fork", read_fork},         {"exec", read_exec},         {"adopt", read_adopt},
	    {"exit", read_exit},         {"flow", read_flow},         {"close", read_close},
	    {"dns", read_dns},           {"name", read_name},         {"lost", read_lost},
	    {"tick", read_tick},         {"wire", ln_story_wire},     {"channel", ln_story_channel},
	    {"cgroup", ln_story_cgroup}, {"tamper", ln_story_tamper}, {"bytes", ln_story_bytes},
	};
	struct ln_event ev = {.agent = 1};
	json_t *agent = json_object_get(line, "agent");
	json_t *t = json_object_get(line, "t");
	size_t n_keys = agent ? 3 : 2;

	if (!json_is_number(t) || json_number_value(t) < 0 || json_number_value(t) > TIME_MAX_S)
		return ln_error_set(err, EINVAL, "\"t\" must be seconds from 0 to 1000000");
	if (agent && !json_is_integer(agent))
		return ln_error_set(err, EINVAL, "\"agent\" must be a number");
	if (agent)
		ev.agent = (uint32_t)json_integer_value(agent);
	ev.time_ns = LN_STORY_MONO_NS + (uint64_t)(json_number_value(t) * 1e9 + 0.5);
	ev.wall_ns = LN_STORY_WALL_NS + (ev.time_ns - LN_STORY_MONO_NS);
	for (size_t i = 0; i < LN_ARRAY_SIZE(kinds); i++) {
		json_t *body = json_object_get(line, kinds[i].key);

		if (!body || json_object_size(line) != n_keys)
			continue;
		return kinds[i].read(s, body, &ev, err);
	}
	return ln_error_set(err, EINVAL, "a line is \"t\", perhaps \"agent\", and one event");
}

static int read_text(struct ln_story *s, const char *text, struct ln_error *err)
{
	json_error_t wrong;
	json_t *line = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);
	int r = 0;

	if (!line)
		return ln_error_set(err, EINVAL, "%s", wrong.text);
	/* What the engine is to be set up with is for whoever does that. */
	if (!json_object_get(line, "config"))
		r = read_line(s, line, err);
	json_decref(line);
	return r;
}

int ln_story_read(const char *path, struct ln_error *err, struct ln_story *ret)
{
	LN_CLEANUP(ln_fclosep) FILE *file = fopen(path, "re");
	LN_AUTO_FREE char *text = NULL;
	unsigned int number = 0;
	size_t size = 0;
	int r = 0;

	if (!file)
		return ln_error_set(err, errno, "%s: %m", path);
	while (r == 0 && getline(&text, &size, file) >= 0) {
		number++;
		if (text[0] == '#' || text[strspn(text, " \t\r\n")] == '\0')
			continue;
		r = read_text(ret, text, err);
	}
	if (r < 0) {
		ln_error_prefix(err, "%s:%u", path, number);
		return r;
	}
	if (ferror(file))
		return ln_error_set(err, EIO, "%s: cannot be read", path);
	return 0;
}
