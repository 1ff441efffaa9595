/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "dns/config.h"
#include "explain.h"
#include "sensor/lookup.h"

#define KNOWN_MAX 65536
#define NAMES_MAX 1024 /* that are looked up */
#define FILE_MAX  (4u << 20)
#define WAIT_NS   (5 * LN_NS_PER_S)
#define AGENT     1

static void keep(struct ln_known_names *k, const struct ln_addr *addr, const char *name)
{
	if (k->n == k->cap) {
		size_t cap = k->cap ? 2 * k->cap : 64;
		struct ln_known *list = NULL;

		if (cap <= KNOWN_MAX)
			list = reallocarray(k->list, cap, sizeof(*list));
		if (!list) {
			k->over = true;
			return;
		}
		k->list = list;
		k->cap = cap;
	}
	k->list[k->n].addr = *addr;
	snprintf(k->list[k->n++].name, LN_NAME_MAX, "%s", name);
}

void ln_known_done(struct ln_known_names *k)
{
	free(k->list);
	*k = (struct ln_known_names){0};
}

static void read_text(const char *path, struct ln_buf *ret)
{
	LN_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char chunk[16384];
	ssize_t n;

	ret->max = FILE_MAX;
	while (fd >= 0 && !ret->failed && (n = read(fd, chunk, sizeof(chunk))) > 0)
		ln_buf_add(ret, chunk, (size_t)n);
}

static void take_host(const struct ln_addr *addr, const char *name, void *user)
{
	struct ln_known_names *k = user;
	uint64_t now_ns = ln_clock_mono_ns();
	struct ln_event ev = {
	    .kind = LN_EVENT_NAME,
	    .time_ns = now_ns,
	    .wall_ns = ln_clock_wall_ns(),
	    .agent = AGENT,
	    .name.addr = *addr,
	    .name.evidence = {.source = LN_NAME_HOSTS,
			      .grants = true,
			      .seen_ns = now_ns,
			      .expires_ns = UINT64_MAX},
	};

	snprintf(ev.name.evidence.name, sizeof(ev.name.evidence.name), "%s", name);
	ln_engine_feed(k->engine, &ev);
	keep(k, addr, name);
}

void ln_known_hosts(struct ln_known_names *k)
{
	struct ln_buf text = {0};

	read_text("/etc/hosts", &text);
	ln_hosts_parse(text.data ? text.data : "", text.len, take_host, k);
	ln_buf_done(&text);
}

static void on_event(const struct ln_event *ev, void *user)
{
	struct ln_known_names *k = user;
	struct ln_event mine = *ev;

	if (ev->kind != LN_EVENT_NAME)
		return;
	mine.agent = AGENT;
	ln_engine_feed(k->engine, &mine);
	keep(k, &ev->name.addr, ev->name.evidence.name);
}

static int wait_for_all(struct ln_known_names *k, struct ln_lookup *lookup)
{
	uint64_t end_ns = ln_clock_mono_ns() + WAIT_NS;

	while (!ln_lookup_settled(lookup)) {
		struct pollfd p = {.fd = ln_lookup_fd(lookup), .events = POLLIN};
		uint64_t now_ns = ln_clock_mono_ns();

		if (now_ns >= end_ns)
			break;
		if (poll(&p, 1, (int)((end_ns - now_ns) / LN_NS_PER_MS) + 1) < 0 && errno != EINTR)
			return -errno;
		if (p.revents)
			ln_lookup_dispatch(lookup, on_event, k);
	}
	k->unanswered = ln_lookup_unanswered(lookup) > 0;
	return 0;
}

/* The asked one first; it may be listed, too. */
static size_t collect(const struct ln_policy *policy, const char *name, const char **ret)
{
	size_t n = 0;

	if (name[0] != '\0')
		ret[n++] = name;
	for (size_t i = 0; i < ln_policy_rules(policy) && n < NAMES_MAX; i++) {
		const struct ln_rule *rule = ln_policy_rule(policy, i);

		if (rule->dest == LN_DEST_NAME && rule->name && strcmp(rule->name, name) != 0)
			ret[n++] = rule->name;
	}
	return n;
}

int ln_known_resolve(struct ln_known_names *k, const struct ln_policy *policy, const char *name)
{
	const char *names[NAMES_MAX];
	size_t n = collect(policy, name, names), n_servers;
	const struct ln_endpoint *servers;
	struct ln_resolv_conf conf;
	struct ln_lookup *lookup = NULL;
	struct ln_error err = {0};
	struct ln_buf text = {0};
	int r;

	n_servers = ln_policy_resolvers(policy, &servers);
	if (n_servers == 0) {
		read_text("/etc/resolv.conf", &text);
		ln_resolv_conf_parse(text.data ? text.data : "", text.len, &conf);
		ln_buf_done(&text);
		servers = conf.servers;
		n_servers = conf.n_servers;
	}
	if (n == 0)
		return 0;
	r = ln_lookup_new(names, n, servers, n_servers, &err, &lookup);
	if (r == 0)
		r = wait_for_all(k, lookup);
	ln_lookup_free(&lookup);
	if (r < 0)
		ln_log(LN_LOG_ERROR, "names cannot be looked up: %s",
		       err.text[0] ? err.text : strerror(-r));
	return r;
}
