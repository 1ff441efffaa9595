/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a story that are no flow: wire addresses, channels, cgroups, tampering. */
#include "story.h"

#include <errno.h>
#include <string.h>
#include "engine/words.h"

/* The number of a word in one of the engine's text tables. */
static int read_word(const char *what, const char *word, const char *(*text)(unsigned int),
		     unsigned int count, struct ln_error *err, unsigned int *ret)
{
	for (unsigned int i = 0; i < count; i++) {
		const char *known = text(i);

		if (known && strcmp(known, word) == 0) {
			*ret = i;
			return 0;
		}
	}
	return ln_error_set(err, EINVAL, "unknown %s \"%s\"", what, word);
}

static const char *how_text(unsigned int i)
{
	return ln_how_text((enum ln_how)i);
}

static const char *why_text(unsigned int i)
{
	return ln_wire_why_text((enum ln_wire_why)i);
}

static const char *kind_text(unsigned int i)
{
	return ln_channel_kind_text((enum ln_channel_kind)i);
}

static const char *family_text(unsigned int i)
{
	return ln_family_text((uint8_t)i);
}

static const char *type_text(unsigned int i)
{
	return ln_socktype_text((uint8_t)i);
}

int ln_story_how(const char *text, struct ln_error *err, enum ln_how *ret)
{
	unsigned int how = LN_HOW_TASK;
	int r = text ? read_word("how", text, how_text, LN_HOW_COUNT, err, &how) : 0;

	if (r == 0)
		*ret = (enum ln_how)how;
	return r;
}

int ln_story_party(json_t *body, struct ln_error *err, struct ln_party *ret)
{
	const char *comm = "";
	json_error_t wrong;

	if (!body)
		return 0;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s?i, s?s}", "pid", &ret->pid, "comm",
			   &comm) < 0)
		return ln_story_wrong(&wrong, err);
	snprintf(ret->comm, sizeof(ret->comm), "%s", comm);
	return 0;
}

int ln_story_wire(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	struct ln_flow *flow = &ev->wire.flow;
	const char *proto = "TCP", *named, *to, *why, *how = NULL;
	unsigned int way = 0;
	json_error_t wrong;
	json_int_t id;
	int r;

	ev->kind = LN_EVENT_WIRE;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s:I, s:i, s?s, s:s, s:s, s:s, s?s}", "id",
			   &id, "pid", &ev->pid, "proto", &proto, "named", &named, "to", &to, "why",
			   &why, "how", &how) < 0)
		return ln_story_wrong(&wrong, err);
	flow->id = (uint64_t)id;
	r = ln_story_proto(proto, err, &flow->proto);
	if (r == 0)
		r = ln_story_endpoint(named, err, &flow->remote);
	if (r == 0)
		r = ln_story_endpoint(to, err, &ev->wire.wire);
	if (r == 0)
		r = read_word("why", why, why_text, LN_WIRE_COUNT, err, &way);
	if (r == 0)
		r = ln_story_how(how, err, &flow->how);
	ev->wire.why = (enum ln_wire_why)way;
	return r < 0 ? r : ln_story_add(s, ev, err);
}

/* What a channel line may hold besides numbers. */
struct channel_texts {
	const char *kind, *how, *family, *type, *syscall, *path, *proto, *remote, *local;
	size_t path_len;
	json_t *other; /* borrowed */
};

static int read_channel_flow(struct ln_story *s, const struct channel_texts *t, struct ln_event *ev,
			     struct ln_error *err)
{
	struct ln_flow *flow;
	int r;

	if (!t->remote && !t->local)
		return 0;
	flow = ln_story_block(s, sizeof(*flow));
	if (!flow)
		return ln_error_set(err, ENOMEM, "out of memory");
	ev->channel.flow = flow;
	r = ln_story_proto(t->proto, err, &flow->proto);
	if (r == 0 && t->remote)
		r = ln_story_endpoint(t->remote, err, &flow->remote);
	if (r == 0 && t->local)
		r = ln_story_endpoint(t->local, err, &flow->local);
	return r;
}

static int read_channel_words(const struct channel_texts *t, struct ln_channel *c,
			      struct ln_error *err)
{
	unsigned int kind = 0, family = 0, type = 0;
	int r = read_word("kind", t->kind, kind_text, LN_CHANNEL_COUNT, err, &kind);

	if (r == 0)
		r = ln_story_how(t->how, err, &c->how);
	if (r == 0 && t->family)
		r = read_word("family", t->family, family_text, UINT8_MAX, err, &family);
	if (r == 0 && t->type)
		r = read_word("type", t->type, type_text, UINT8_MAX, err, &type);
	if (r == 0)
		r = ln_story_party(t->other, err, &c->other);
	c->kind = (enum ln_channel_kind)kind;
	c->family = (uint8_t)family;
	c->type = (uint8_t)type;
	return r;
}

static int read_channel_bytes(struct ln_story *s, const struct channel_texts *t,
			      struct ln_channel *c, struct ln_error *err)
{
	int r = 0;

	if (t->syscall)
		r = ln_story_copy(s, t->syscall, strlen(t->syscall), err, &c->syscall);
	if (r == 0 && t->path)
		r = ln_story_copy(s, t->path, t->path_len, err, &c->path);
	c->path_len = t->path ? t->path_len : 0;
	return r;
}

int ln_story_channel(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	struct ln_channel *c = &ev->channel;
	struct channel_texts t = {.proto = "TCP"};
	int own_ns = 0, same_tree = 0, abstract = 0, refused = 0, existing = 0, r;
	int would_refuse = 0;
	json_error_t wrong;

	ev->kind = LN_EVENT_CHANNEL;
	if (json_unpack_ex(
		body, &wrong, JSON_STRICT,
		"{s:i, s:s, s?s, s?s, s?s, s?i, s?s, s?s%, s?o, s?s, s?s, s?s, s?b, s?b, "
		"s?b, s?b, s?b, s?b}",
		"pid", &ev->pid, "kind", &t.kind, "how", &t.how, "family", &t.family, "type",
		&t.type, "number", &c->number, "syscall", &t.syscall, "path", &t.path, &t.path_len,
		"other", &t.other, "proto", &t.proto, "remote", &t.remote, "local", &t.local,
		"own_ns", &own_ns, "same_tree", &same_tree, "abstract", &abstract, "refused",
		&refused, "would_refuse", &would_refuse, "existing", &existing) < 0)
		return ln_story_wrong(&wrong, err);
	c->own_ns = own_ns;
	c->same_tree = same_tree;
	c->abstract = abstract;
	c->refused = refused;
	c->would_refuse = would_refuse;
	c->existing = existing;
	r = read_channel_words(&t, c, err);
	if (r == 0)
		r = read_channel_bytes(s, &t, c, err);
	if (r == 0)
		r = read_channel_flow(s, &t, ev, err);
	return r < 0 ? r : ln_story_add(s, ev, err);
}

int ln_story_cgroup(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	const char *path;
	json_error_t wrong;
	json_int_t id;
	int r;

	ev->kind = LN_EVENT_CGROUP;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s:I, s?i, s:s%}", "id", &id, "pid",
			   &ev->pid, "path", &path, &ev->cgroup.path_len) < 0)
		return ln_story_wrong(&wrong, err);
	ev->cgroup.id = (uint64_t)id;
	r = ln_story_copy(s, path, ev->cgroup.path_len, err, &ev->cgroup.path);
	return r < 0 ? r : ln_story_add(s, ev, err);
}

int ln_story_tamper(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	json_t *by = NULL;
	const char *what;
	json_error_t wrong;
	int r;

	ev->kind = LN_EVENT_TAMPER;
	if (json_unpack_ex(body, &wrong, JSON_STRICT, "{s:s, s?o}", "what", &what, "by", &by) < 0)
		return ln_story_wrong(&wrong, err);
	r = ln_story_copy(s, what, strlen(what), err, &ev->tamper.what);
	if (r == 0)
		r = ln_story_party(by, err, &ev->tamper.by);
	return r < 0 ? r : ln_story_add(s, ev, err);
}
