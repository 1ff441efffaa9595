/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "base/table.h"
#include "poll_flows.h"
#include "poll_sockets.h"

/* getaddrinfo connects a UDP socket to each answer for some microseconds and sends nothing
 * (RFC 6724 sorting): only one that stays is a flow. Half a tick, so that the next scan tells. */
#define UDP_SETTLE_NS (50 * LN_NS_PER_MS)
#define ENTRIES_MAX   (2 * LN_POLL_SOCKETS_MAX)

struct key {
	uint64_t inode;
	struct ln_endpoint local, remote;
	uint8_t proto;
	uint8_t pad[3];
};
_Static_assert(sizeof(struct key) == 56, "compared as bytes");

struct entry {
	struct key key;
	struct ln_poll_socket *row; /* borrowed from the last dump; NULL: not in it */
	uint64_t netns, id, first_ns;
	uint32_t agent, pid; /* 0: of nobody we watch */
	uint8_t missed;      /* dumps in a row without it */
	bool judged, passive, existing, same_tree, established, told;
	bool counted;
	uint64_t tx_bytes, rx_bytes, tx_packets, rx_packets;
	UT_hash_handle hh;
};

struct netns {
	uint64_t inode;
	uint32_t pid; /* of a process in it */
	bool read;
};

struct ln_poll_flows {
	struct ln_poll_tree *tree;          /* borrowed */
	struct ln_poll_diag *diag;          /* owned; NULL: this kernel has none */
	struct ln_poll_sockets now, before; /* the last two dumps */
	struct entry *entries;              /* owned */
	struct netns namespaces[LN_POLL_NETNS_MAX];
	size_t n_namespaces;
	uint64_t own_netns, own_cookie;
	uint64_t last_id;
	unsigned int scan_no;
	const struct ln_poll_proc *lister; /* whose descriptors are being read */
	uint64_t lost[LN_POLL_LOST_COUNT];
};

int ln_poll_flows_new(struct ln_poll_tree *tree, struct ln_error *err, struct ln_poll_flows **ret)
{
	struct ln_poll_flows *f = calloc(1, sizeof(*f));
	LN_AUTO_CLOSE int probe = -1;
	socklen_t len = sizeof(f->own_cookie);
	struct stat st;
	int r;

	if (!f)
		return ln_error_set(err, ENOMEM, "out of memory");
	f->tree = tree;
	if (stat("/proc/self/ns/net", &st) == 0)
		f->own_netns = st.st_ino;
	probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (probe < 0 || getsockopt(probe, SOL_SOCKET, SO_NETNS_COOKIE, &f->own_cookie, &len) < 0)
		f->own_cookie = 0;
	r = ln_poll_diag_new(&f->diag);
	if (r == 0)
		r = ln_poll_diag_dump(f->diag, f->own_netns, &f->now);
	if (r < 0)
		ln_poll_diag_free(&f->diag);
	ln_poll_sockets_reset(&f->now);
	*ret = f;
	return 0;
}

static void drop(struct ln_poll_flows *f, struct entry *e)
{
	HASH_DELETE(hh, f->entries, e);
	free(e);
}

void ln_poll_flows_free(struct ln_poll_flows **flows)
{
	struct ln_poll_flows *f = LN_TAKE_PTR(*flows);
	struct entry *e, *next;

	if (!f)
		return;
	HASH_ITER (hh, f->entries, e, next)
		drop(f, e);
	ln_poll_diag_free(&f->diag);
	ln_poll_sockets_done(&f->now);
	ln_poll_sockets_done(&f->before);
	free(f);
}

static void find_namespaces(struct ln_poll_flows *f)
{
	f->n_namespaces = 0;
	for (struct ln_poll_proc *p = NULL; (p = ln_poll_tree_next(f->tree, p));) {
		uint64_t inode = p->netns ? p->netns : f->own_netns;
		size_t i = 0;

		if (p->gone)
			continue;
		while (i < f->n_namespaces && f->namespaces[i].inode != inode)
			i++;
		if (i < f->n_namespaces)
			continue;
		if (i == LN_POLL_NETNS_MAX) {
			f->lost[LN_POLL_LOST_NAMESPACES]++;
			return;
		}
		f->namespaces[f->n_namespaces++] = (struct netns){.inode = inode, .pid = p->pid};
	}
}

static void dump(struct ln_poll_flows *f)
{
	struct ln_poll_sockets swap = f->before;
	uint64_t refused;

	f->before = f->now;
	f->now = swap;
	ln_poll_sockets_reset(&f->now);
	refused = f->now.refused;
	find_namespaces(f);
	for (size_t i = 0; i < f->n_namespaces; i++) {
		struct netns *ns = &f->namespaces[i];
		int r;

		if (f->diag && ns->inode == f->own_netns)
			r = ln_poll_diag_dump(f->diag, ns->inode, &f->now);
		else
			r = ln_poll_procnet_read(ln_poll_tree_reader(f->tree)->proc_fd, ns->pid,
						 ns->inode, &f->now);
		ns->read = r == 0;
		/* A process that ended under our eyes is no loss. */
		if (r < 0 && r != -ENOENT && r != -ESRCH && r != -EINVAL)
			f->lost[LN_POLL_LOST_DUMPS]++;
	}
	f->lost[LN_POLL_LOST_SOCKETS] += f->now.refused - refused;
	ln_poll_sockets_sort(&f->now);
}

static struct entry *add_entry(struct ln_poll_flows *f, const struct key *key, uint64_t now_ns)
{
	struct entry *e = NULL;

	if (HASH_COUNT(f->entries) < ENTRIES_MAX)
		e = calloc(1, sizeof(*e));
	if (e) {
		e->key = *key;
		e->first_ns = now_ns;
		HASH_ADD(hh, f->entries, key, sizeof(e->key), e);
		if (e->hh.tbl)
			return e;
		free(e);
	}
	f->lost[LN_POLL_LOST_SOCKETS]++;
	return NULL;
}

/* Joins the dump to what is known; true when there is a socket that was not. */
static bool join(struct ln_poll_flows *f, uint64_t now_ns)
{
	bool unknown = false;
	struct entry *e, *next;

	HASH_ITER (hh, f->entries, e, next)
		e->row = NULL;
	for (size_t i = 0; i < f->now.n; i++) {
		struct ln_poll_socket *row = &f->now.rows[i];
		struct key key = {.inode = row->inode,
				  .local = row->local,
				  .remote = row->remote,
				  .proto = row->proto};

		HASH_FIND(hh, f->entries, &key, sizeof(key), e);
		if (!e) {
			unknown = true;
			e = add_entry(f, &key, now_ns);
			if (!e)
				continue;
		}
		row->mark = e;
		e->row = row;
		e->netns = row->netns;
		e->missed = 0;
		e->established |= row->proto == IPPROTO_TCP && row->state != TCP_SYN_SENT;
		e->counted = row->counted;
		if (row->counted) {
			e->tx_bytes = row->tx_bytes;
			e->rx_bytes = row->rx_bytes;
			e->tx_packets = row->tx_packets;
			e->rx_packets = row->rx_packets;
		}
	}
	return unknown;
}

/* The first holder in the tree's order, parents first, is the owner. */
static void on_inode(uint64_t inode, void *user)
{
	struct ln_poll_flows *f = user;
	struct ln_poll_socket *row = ln_poll_sockets_find(&f->now, inode);

	for (; row && row < f->now.rows + f->now.n && row->inode == inode; row++) {
		struct entry *e = row->mark;

		if (!e || e->agent)
			continue;
		e->agent = f->lister->agent;
		e->pid = f->lister->pid;
		e->existing = f->lister->adopted && !f->lister->told;
	}
}

static bool any_untold(struct ln_poll_flows *f)
{
	for (struct ln_poll_proc *p = NULL; (p = ln_poll_tree_next(f->tree, p));)
		if (!p->told || p->execed)
			return true;
	return false;
}

static void list_descriptors(struct ln_poll_flows *f)
{
	size_t budget = LN_POLL_FDS_MAX;

	for (struct ln_poll_proc *p = NULL; (p = ln_poll_tree_next(f->tree, p));) {
		int r;

		if (p->gone)
			continue;
		f->lister = p;
		r = ln_poll_proc_sockets(ln_poll_tree_reader(f->tree), p, &budget, on_inode, f);
		if (r == -E2BIG)
			f->lost[LN_POLL_LOST_DESCRIPTORS]++;
		if (r == -EACCES && !p->unreadable)
			f->lost[LN_POLL_LOST_UNREADABLE]++;
		p->unreadable = r == -EACCES;
	}
}

static bool covers(const struct ln_poll_socket *listener, const struct ln_addr *addr)
{
	static const uint8_t any[16];
	const struct ln_addr *bound = &listener->local.addr;

	if (ln_addr_equal(bound, addr))
		return true;
	return !memcmp(bound->bytes, any, sizeof(any)) &&
	       (bound->family == addr->family || (bound->family == 6 && !listener->v6only));
}

/* Whether the socket waits for a peer at this address: a TCP listener, or a UDP socket that is
 * not connected. */
static bool waits_at(const struct ln_poll_socket *s, uint64_t netns, uint8_t proto,
		     const struct ln_endpoint *ep)
{
	uint8_t state = proto == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE;

	return s->proto == proto && s->state == state && s->netns == netns &&
	       s->local.port == ep->port && covers(s, &ep->addr);
}

static bool is_accepted(const struct ln_poll_sockets *dump, const struct ln_poll_socket *row)
{
	for (size_t i = 0; i < dump->n; i++)
		if (waits_at(&dump->rows[i], row->netns, IPPROTO_TCP, &row->local))
			return true;
	return false;
}

static bool same_endpoint(const struct ln_endpoint *a, const struct ln_endpoint *b)
{
	return a->port == b->port && ln_addr_equal(&a->addr, &b->addr);
}

/* Loopback, and the other end is ours. The socket at the other end decides; before it is accepted
 * the listener does: one bound to the very address takes it from one bound to any. When several
 * could take it, all of them must be ours. */
static bool is_same_tree(const struct ln_poll_flows *f, const struct entry *e)
{
	const struct ln_poll_socket *row = e->row;
	bool exact_ours = false, exact_other = false, any_ours = false, any_other = false;

	if (!ln_addr_is_loopback(&row->remote.addr))
		return false;
	for (size_t i = 0; i < f->now.n; i++) {
		const struct ln_poll_socket *s = &f->now.rows[i];
		const struct entry *other = s->mark;
		bool ours = other && other->agent == e->agent;
		bool exact = ln_addr_equal(&s->local.addr, &row->remote.addr);

		if (s->netns == row->netns && s->proto == row->proto &&
		    same_endpoint(&s->local, &row->remote) &&
		    same_endpoint(&s->remote, &row->local))
			return ours;
		if (!waits_at(s, row->netns, row->proto, &row->remote))
			continue;
		exact_ours |= exact && ours;
		exact_other |= exact && !ours;
		any_ours |= !exact && ours;
		any_other |= !exact && !ours;
	}
	return exact_ours || exact_other ? !exact_other : any_ours && !any_other;
}

/* Outbound or not, once, when the owner is known. */
static void judge(struct ln_poll_flows *f, struct entry *e)
{
	const struct ln_poll_socket *row = e->row;

	e->judged = true;
	if (row->proto == IPPROTO_UDP)
		e->passive = row->state != TCP_ESTABLISHED;
	else if (row->state == TCP_LISTEN)
		e->passive = true;
	else if (row->state != TCP_SYN_SENT)
		e->passive = is_accepted(&f->now, row) || is_accepted(&f->before, row);
	/* Port 0 is how resolvers ask the kernel for a route. */
	if (row->remote.port == 0)
		e->passive = true;
	if (!e->passive)
		e->same_tree = is_same_tree(f, e);
}

void ln_poll_flows_scan(struct ln_poll_flows *f, uint64_t now_ns)
{
	bool unknown;

	dump(f);
	unknown = join(f, now_ns);
	if (unknown || any_untold(f) || f->scan_no % LN_POLL_RELIST == 0)
		list_descriptors(f);
	f->scan_no++;
	for (size_t i = 0; i < f->now.n; i++) {
		struct entry *e = f->now.rows[i].mark;

		if (e && e->agent && !e->judged)
			judge(f, e);
	}
}

static void fill(const struct ln_poll_flows *f, const struct entry *e, struct ln_event *ev)
{
	struct ln_flow *flow = &ev->flow.flow;

	ev->agent = e->agent;
	ev->pid = e->pid;
	ev->tid = e->pid;
	flow->id = e->id;
	flow->proto = e->key.proto;
	flow->existing = e->existing;
	flow->same_tree = e->same_tree;
	flow->uncounted = !e->counted;
	flow->remote = e->key.remote;
	flow->local = e->key.local;
	flow->netns = e->netns == f->own_netns ? f->own_cookie : 0;
}

static void tell_open(struct ln_poll_flows *f, struct entry *e, struct ln_event ev, ln_event_fn fn,
		      void *user)
{
	ev.kind = LN_EVENT_FLOW_OPEN;
	e->id = ++f->last_id;
	e->told = true;
	fill(f, e, &ev);
	fn(&ev, user);
}

static void tell_close(struct ln_poll_flows *f, struct entry *e, struct ln_event ev, ln_event_fn fn,
		       void *user)
{
	struct ln_flow_end *end = &ev.flow.end;

	ev.kind = LN_EVENT_FLOW_CLOSE;
	fill(f, e, &ev);
	end->open_ns = e->first_ns;
	end->tx_bytes = e->tx_bytes;
	end->rx_bytes = e->rx_bytes;
	end->tx_packets = e->tx_packets;
	end->rx_packets = e->rx_packets;
	if (e->key.proto == IPPROTO_TCP)
		end->outcome = e->established ? LN_OUTCOME_CONNECTED : LN_OUTCOME_ABORTED;
	fn(&ev, user);
}

static bool was_read(const struct ln_poll_flows *f, uint64_t netns)
{
	for (size_t i = 0; i < f->n_namespaces; i++)
		if (f->namespaces[i].inode == netns)
			return f->namespaces[i].read;
	return true; /* nobody of ours is left in it */
}

/* A dump is no snapshot: a socket may be skipped when the table changes under it. So one that was
 * told must be missing twice, unless its owner is gone. */
static bool is_over(struct ln_poll_flows *f, struct entry *e)
{
	if (e->row)
		return e->told && !ln_poll_tree_living(f->tree, e->agent);
	if (was_read(f, e->netns) && e->missed < UINT8_MAX)
		e->missed++;
	if (!e->told)
		return e->missed > 0;
	return e->missed > 1 || !ln_poll_tree_lives(f->tree, e->pid);
}

void ln_poll_flows_tell(struct ln_poll_flows *f, const struct ln_event *stamp, ln_event_fn fn,
			void *user)
{
	struct entry *e, *next;

	HASH_ITER (hh, f->entries, e, next) {
		if (!e->row || !e->agent || e->passive || e->told)
			continue;
		if (e->key.proto == IPPROTO_TCP || stamp->time_ns - e->first_ns >= UDP_SETTLE_NS)
			tell_open(f, e, *stamp, fn, user);
	}
	HASH_ITER (hh, f->entries, e, next) {
		if (!is_over(f, e))
			continue;
		if (e->told)
			tell_close(f, e, *stamp, fn, user);
		drop(f, e);
	}
}

bool ln_poll_flows_has_diag(const struct ln_poll_flows *f)
{
	return f->diag != NULL;
}

uint64_t ln_poll_flows_lost(const struct ln_poll_flows *f, enum ln_poll_loss which)
{
	return f->lost[which];
}
