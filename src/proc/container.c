/* SPDX-License-Identifier: Apache-2.0 */
#include "container.h"

#include <stdint.h>
#include <string.h>
#include "base/macros.h"

#define HEX_LEN   64
#define BUILD_LEN 25 /* of an id of buildkit */

struct part {
	const char *at;
	size_t len;
};

/* Component names of which the rest, up to ".scope", is the id. */
static const struct {
	const char *prefix, *runtime;
} scopes[] = {
    {"docker-", "docker"},   {"libpod-", "podman"},
    {"crio-", "cri-o"},      {"cri-containerd-", "containerd"},
    {"nerdctl-", "nerdctl"},
};

/* Components below which an id stands alone. */
static const struct {
	const char *name, *runtime;
} parents[] = {
    {"docker", "docker"},       {"buildkit", "buildkit"}, {"ecs", "ecs"},
    {"kubepods", "kubernetes"}, {"crio", "cri-o"},        {"libpod_parent", "podman"},
};

static bool next_part(const char **at, const char *end, struct part *ret)
{
	const char *slash;

	while (*at < end && **at == '/')
		(*at)++;
	if (*at == end)
		return false;
	slash = memchr(*at, '/', (size_t)(end - *at));
	*ret = (struct part){*at, (size_t)((slash ? slash : end) - *at)};
	*at += ret->len;
	return true;
}

static bool begins(struct part p, const char *text)
{
	size_t len = strlen(text);

	return p.len >= len && memcmp(p.at, text, len) == 0;
}

static bool ends(struct part p, const char *text)
{
	size_t len = strlen(text);

	return p.len > len && memcmp(p.at + p.len - len, text, len) == 0;
}

static bool is(struct part p, const char *text)
{
	return p.len == strlen(text) && begins(p, text);
}

static bool is_hex_id(struct part p)
{
	for (size_t i = 0; i < p.len; i++) {
		if (!memchr("0123456789abcdef", p.at[i], 16))
			return false;
	}
	return p.len == HEX_LEN;
}

static bool is_build_id(struct part p)
{
	for (size_t i = 0; i < p.len; i++) {
		if (!memchr("0123456789abcdefghijklmnopqrstuvwxyz", p.at[i], 36))
			return false;
	}
	return p.len == BUILD_LEN;
}

/* "docker-ID.scope" */
static bool read_scope(struct part p, struct ln_container *ret)
{
	if (ends(p, ".scope"))
		p.len -= strlen(".scope");
	for (size_t i = 0; i < LN_ARRAY_SIZE(scopes); i++) {
		size_t skip = strlen(scopes[i].prefix);
		struct part id = {p.at + skip, p.len - skip};

		if (!begins(p, scopes[i].prefix) || !is_hex_id(id))
			continue;
		ret->runtime = scopes[i].runtime;
		ret->id = id.at;
		ret->id_len = id.len;
		return true;
	}
	return false;
}

/* "kubepods-pod1.slice:cri-containerd:ID", as runc names it when systemd is not asked. */
static bool read_triple(struct part p, struct ln_container *ret)
{
	const char *colon = memrchr(p.at, ':', p.len);
	struct part id, head;

	if (!colon)
		return false;
	id = (struct part){colon + 1, (size_t)(p.at + p.len - colon - 1)};
	head = (struct part){p.at, (size_t)(colon - p.at)};
	if (!is_hex_id(id))
		return false;
	ret->runtime = NULL;
	if (ends(head, ":cri-containerd"))
		ret->runtime = "containerd";
	else if (ends(head, ":docker"))
		ret->runtime = "docker";
	else if (ends(head, ":nerdctl"))
		ret->runtime = "nerdctl";
	ret->id = id.at;
	ret->id_len = id.len;
	return true;
}

/* An id alone: whose it is, the components above it say. */
static bool read_bare(struct part p, const char *above, struct ln_container *ret)
{
	bool build = above && strcmp(above, "buildkit") == 0 && is_build_id(p);

	if (!build && !is_hex_id(p))
		return false;
	ret->runtime = above;
	ret->id = p.at;
	ret->id_len = p.len;
	return true;
}

static bool read_id(struct part p, const char *above, struct ln_container *ret)
{
	return read_scope(p, ret) || read_triple(p, ret) || read_bare(p, above, ret);
}

static const char *parent_runtime(struct part p)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(parents); i++) {
		if (is(p, parents[i].name))
			return parents[i].runtime;
	}
	return NULL;
}

static bool is_unit(struct part p)
{
	return ends(p, ".service") || ends(p, ".scope") || ends(p, ".slice");
}

void ln_container_parse(const char *path, size_t len, struct ln_container *ret)
{
	const char *at = path, *end = path + len, *above = NULL;
	struct part p;

	*ret = (struct ln_container){0};
	while (next_part(&at, end, &p)) {
		const char *runtime = parent_runtime(p);

		if (read_id(p, above, ret)) {
			above = NULL;
			continue;
		}
		if (runtime)
			above = runtime;
		if (is_unit(p)) {
			ret->unit = p.at;
			ret->unit_len = p.len;
		}
	}
}
