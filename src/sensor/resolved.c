/* SPDX-License-Identifier: Apache-2.0 */
#include "resolved.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/clock.h"
#include "base/macros.h"
#include "dns/resolved_result.h"

#define TEXT_MAX  (256 << 10) /* more than an answer of the largest size needs */
#define READS_MAX 16          /* in one dispatch */
#define TTL_MIN_S 5u
#define TTL_MAX_S 3600u

struct ln_resolved {
	int fd; /* owned */
	bool grants;
	uint64_t now_ns;
	ln_event_fn fn; /* of the dispatch under way */
	void *user;
	size_t len;
	char text[TEXT_MAX]; /* read, and not yet a whole message */
};

/* A socket that takes and keeps what is sent: it is small, and is the first thing on it. */
static int subscribe(int fd)
{
	static const char call[] = "{\"method\":\"io.systemd.Resolve.Monitor."
				   "SubscribeQueryResults\",\"parameters\":{},\"more\":true}";
	ssize_t n = send(fd, call, sizeof(call), MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return n == sizeof(call) ? 0 : -EIO;
}

int ln_resolved_new(const char *path, bool grants, struct ln_resolved **ret)
{
	LN_CLEANUP(ln_resolved_free) struct ln_resolved *r = calloc(1, sizeof(*r));
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int error;

	if (!r)
		return -ENOMEM;
	if (strlen(path) >= sizeof(sa.sun_path)) {
		r->fd = -1;
		return -ENAMETOOLONG;
	}
	memcpy(sa.sun_path, path, strlen(path));
	r->grants = grants;
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->fd < 0)
		return -errno;
	if (connect(r->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return errno == ECONNREFUSED ? -ENOENT : -errno;
	error = subscribe(r->fd);
	if (error < 0)
		return error;
	*ret = LN_TAKE_PTR(r);
	return 0;
}

void ln_resolved_free(struct ln_resolved **resolved)
{
	struct ln_resolved *r = *resolved;

	if (!r)
		return;
	ln_closep(&r->fd);
	free(r);
	*resolved = NULL;
}

int ln_resolved_fd(const struct ln_resolved *r)
{
	return r->fd;
}

static void tell(const struct ln_dns_message *msg, void *user)
{
	struct ln_resolved *r = user;

	for (size_t i = 0; i < msg->n_addrs; i++) {
		const struct ln_dns_addr *found = &msg->addrs[i];
		uint32_t life_s = LN_MIN(LN_MAX(found->ttl_s, TTL_MIN_S), TTL_MAX_S);
		struct ln_chain chain;
		struct ln_event ev = {
		    .kind = LN_EVENT_NAME,
		    .time_ns = r->now_ns,
		    .wall_ns = ln_clock_wall_ns(),
		    .name.addr = found->addr,
		    .name.evidence = {.source = LN_NAME_RESOLVED,
				      .grants = r->grants && ln_resolved_result_trusted(msg->qname),
				      .ttl_s = found->ttl_s,
				      .seen_ns = r->now_ns,
				      .expires_ns = r->now_ns + life_s * LN_NS_PER_S},
		};

		if (!ln_names_grantable(&found->addr))
			continue;
		memcpy(ev.name.evidence.name, msg->qname, LN_NAME_MAX);
		ln_chain_start(&chain);
		ln_dns_chain_to(msg, found, &chain);
		ev.name.evidence.chain = chain.text;
		r->fn(&ev, r->user);
	}
}

/* Each message ends with a NUL. */
static int read_messages(struct ln_resolved *r)
{
	const char *at = r->text, *end = r->text + r->len, *nul;
	int error = 0;

	while (error == 0 && (nul = memchr(at, '\0', (size_t)(end - at))) != NULL) {
		error = ln_resolved_result_read(at, (size_t)(nul - at), tell, r);
		at = nul + 1;
	}
	r->len = (size_t)(end - at);
	memmove(r->text, at, r->len);
	/* It would never end. */
	return error < 0 || r->len == sizeof(r->text) ? -EPIPE : 0;
}

int ln_resolved_dispatch(struct ln_resolved *r, ln_event_fn fn, void *user)
{
	r->fn = fn;
	r->user = user;
	r->now_ns = ln_clock_mono_ns();
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = recv(r->fd, r->text + r->len, sizeof(r->text) - r->len, 0);
		int error;

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0)
			return -EPIPE;
		r->len += (size_t)n;
		error = read_messages(r);
		if (error < 0)
			return error;
	}
	return 0;
}
