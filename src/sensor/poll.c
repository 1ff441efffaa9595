/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simple mode: what lsof and ss would show, looked at again and again. Needs no root for
 * processes of one's own: linnet must keep the agent's user id (or CAP_SYS_PTRACE with
 * CAP_DAC_READ_SEARCH), else the descriptors cannot be read, and that is told as a loss.
 * One scan gives, in this order: ends of processes whose PID was reused, ADOPT and FORK (parents
 * first), EXEC, FLOW_OPEN, FLOW_CLOSE, EXIT, LOST. The status of an EXIT is known for children of
 * linnet (the tracked root, orphans) and 0 for any other.
 */
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include "base/clock.h"
#include "poll_flows.h"
#include "poll_tree.h"
#include "sensor.h"

/* A tenth of a second: a person still takes the alert for immediate, and a tree of ten processes
 * costs about one percent of a core (half of it the kernel's walk over its TCP table). Half the
 * tick would double that and still miss nearly every connection of 20 ms. */
#define TICK_NS       (100 * LN_NS_PER_MS)
#define LOST_EVERY_NS (10 * LN_NS_PER_S) /* a lasting shortage is no flood of events */
#define PROCESSES_MAX 65536
#define LOSSES        (LN_POLL_LOST_COUNT + 1)
#define FACTS_MAX     16

static const char *const loss_texts[] = {
    [LN_POLL_LOST_SOCKETS] = "too many sockets: some were not looked at",
    [LN_POLL_LOST_DESCRIPTORS] = "too many descriptors: some were not looked at",
    [LN_POLL_LOST_UNREADABLE] = "descriptors of a process may not be read",
    [LN_POLL_LOST_NAMESPACES] = "too many network namespaces: some were not looked at",
    [LN_POLL_LOST_DUMPS] = "sockets of a network namespace could not be read",
    [LN_POLL_LOST_COUNT] = "too many processes: some are not watched",
};
_Static_assert(LN_ARRAY_SIZE(loss_texts) == LOSSES, "a text for each loss");

struct loss {
	uint64_t told;
	uint64_t told_ns;
};

struct poll {
	struct ln_sensor base; /* first */
	struct ln_poll_tree *tree;
	struct ln_poll_flows *flows;
	int timer;
	uint32_t agent; /* the first one: losses are told under it */
	struct loss losses[LOSSES];
	struct ln_sensor_fact facts[FACTS_MAX];
	size_t n_facts;
};

struct teller {
	struct ln_event stamp;
	ln_event_fn fn;
	void *user;
};

/* First look at once, then at each tick; or none while nobody is watched. */
static int set_timer(struct poll *s, bool on)
{
	struct itimerspec when = {0};

	if (on) {
		when.it_value.tv_nsec = 1;
		when.it_interval.tv_nsec = TICK_NS;
	}
	return timerfd_settime(s->timer, 0, &when, NULL) < 0 ? -errno : 0;
}

static struct ln_event event_of(const struct teller *t, enum ln_event_kind kind,
				const struct ln_poll_proc *p)
{
	struct ln_event ev = t->stamp;

	ev.kind = kind;
	ev.agent = p->agent;
	ev.pid = p->pid;
	ev.tid = p->pid;
	return ev;
}

static void tell_image(const struct teller *t, enum ln_event_kind kind,
		       const struct ln_poll_proc *p)
{
	struct ln_event ev = event_of(t, kind, p);

	if (p->exe_len) {
		ev.exec.exe = p->image;
		ev.exec.exe_len = p->exe_len;
	}
	if (p->args_len) {
		ev.exec.args = p->image + p->exe_len;
		ev.exec.args_len = p->args_len;
	}
	ev.exec.cut = p->args_cut;
	if (kind == LN_EVENT_ADOPT)
		ev.exec.ppid = p->parent;
	t->fn(&ev, t->user);
}

static void tell_start(const struct teller *t, const struct ln_poll_proc *p)
{
	struct ln_event ev;

	if (p->adopted) {
		tell_image(t, LN_EVENT_ADOPT, p);
		return;
	}
	ev = event_of(t, LN_EVENT_FORK, p);
	ev.pid = p->parent;
	ev.tid = p->parent;
	ev.fork.child = p->pid;
	t->fn(&ev, t->user);
}

static void tell_exit(const struct teller *t, const struct ln_poll_proc *p)
{
	struct ln_event ev = event_of(t, LN_EVENT_EXIT, p);

	ev.exit.status = p->status;
	t->fn(&ev, t->user);
}

static uint64_t lost_so_far(const struct poll *s, size_t which)
{
	return which < LN_POLL_LOST_COUNT ? ln_poll_flows_lost(s->flows, which)
					  : ln_poll_tree_refused(s->tree);
}

static void tell_losses(struct poll *s, const struct teller *t, bool all)
{
	for (size_t i = 0; i < LOSSES; i++) {
		struct loss *loss = &s->losses[i];
		struct ln_event ev = t->stamp;
		uint64_t now = lost_so_far(s, i);

		if (now == loss->told)
			continue;
		if (!all && loss->told && ev.time_ns - loss->told_ns < LOST_EVERY_NS)
			continue;
		ev.kind = LN_EVENT_LOST;
		ev.agent = s->agent;
		ev.lost.reason = loss_texts[i];
		ev.lost.count = now - loss->told;
		loss->told = now;
		loss->told_ns = ev.time_ns;
		t->fn(&ev, t->user);
	}
}

static int look(struct poll *s, ln_event_fn fn, void *user, bool last)
{
	struct teller t = {.fn = fn, .user = user};
	struct ln_poll_proc *p;
	int r;

	if (!ln_poll_tree_size(s->tree))
		return 0;
	r = ln_poll_tree_scan(s->tree);
	if (r < 0)
		return r;
	t.stamp.time_ns = ln_clock_mono_ns();
	t.stamp.wall_ns = ln_clock_wall_ns();
	ln_poll_flows_scan(s->flows, t.stamp.time_ns);

	for (p = NULL; (p = ln_poll_tree_next_reused(s->tree, p));)
		tell_exit(&t, p);
	for (p = NULL; (p = ln_poll_tree_next(s->tree, p));)
		if (!p->told)
			tell_start(&t, p);
	for (p = NULL; (p = ln_poll_tree_next(s->tree, p));)
		if (p->execed)
			tell_image(&t, LN_EVENT_EXEC, p);
	ln_poll_flows_tell(s->flows, &t.stamp, fn, user);
	for (p = NULL; (p = ln_poll_tree_next(s->tree, p));)
		if (p->gone)
			tell_exit(&t, p);
	ln_poll_tree_settle(s->tree);
	last |= !ln_poll_tree_size(s->tree);
	tell_losses(s, &t, last);
	return ln_poll_tree_size(s->tree) ? 0 : set_timer(s, false);
}

/* There is somebody to look at. */
static int begin(struct poll *s, uint32_t agent, struct ln_error *err)
{
	int r;

	if (!s->agent)
		s->agent = agent;
	r = set_timer(s, true);
	return r < 0 ? ln_error_set(err, -r, "cannot start a timer: %s", strerror(-r)) : 0;
}

static int poll_track(struct ln_sensor *base, uint32_t agent, uint32_t pid, int cgroup_fd,
		      struct ln_error *err)
{
	struct poll *s = (struct poll *)base;
	int r = ln_poll_tree_track(s->tree, agent, pid, err);

	return r < 0 ? r : begin(s, agent, err);
}

static int poll_adopt(struct ln_sensor *base, uint32_t agent, uint32_t pid, struct ln_error *err)
{
	struct poll *s = (struct poll *)base;
	int r = ln_poll_tree_adopt(s->tree, agent, pid, err);

	return r < 0 ? r : begin(s, agent, err);
}

static int poll_fd(struct ln_sensor *base)
{
	return ((struct poll *)base)->timer;
}

static int poll_dispatch(struct ln_sensor *base, ln_event_fn fn, void *user)
{
	struct poll *s = (struct poll *)base;
	uint64_t ticks;

	if (read(s->timer, &ticks, sizeof(ticks)) < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return look(s, fn, user, false);
}

static int poll_drain(struct ln_sensor *base, ln_event_fn fn, void *user)
{
	return look((struct poll *)base, fn, user, true);
}

static size_t poll_facts(struct ln_sensor *base, const struct ln_sensor_fact **ret)
{
	struct poll *s = (struct poll *)base;

	*ret = s->facts;
	return s->n_facts;
}

#define LOOKS "socket lists, each 100 ms"

/* What nothing looks at is BLIND, and what is looked at is so when it does not last. */
static size_t poll_channels(struct ln_sensor *base, const struct ln_channel_fact **ret)
{
	static const struct ln_channel_fact rows[] = {
	    {"TCP connections that last", LN_SIGHT_SEEN, false, LOOKS, ""},
	    {"short TCP connections", LN_SIGHT_BLIND, false, "",
	     "of those that last 20 ms 4 to 15 % are seen, of 500 ms about 75 %"},
	    {"connected UDP that lasts", LN_SIGHT_SEEN, false, LOOKS, "open for two looks"},
	    {"UDP sendto, sendmsg", LN_SIGHT_BLIND, false, "",
	     "without connect there is nothing to look at"},
	    {"UDP-Lite, SCTP, DCCP, ping", LN_SIGHT_BLIND, false, "", "not looked at"},
	    {"raw IP sockets", LN_SIGHT_BLIND, false, "", "not looked at"},
	    {"source routes, NAT, rewriting", LN_SIGHT_BLIND, false, "",
	     "the address of the socket is judged, not the one on the wire"},
	    {"packet sockets, AF_XDP", LN_SIGHT_BLIND, false, "", "not looked at"},
	    {"tunnel devices (TUN, TAP)", LN_SIGHT_BLIND, false, "", "not looked at"},
	    {"AF_VSOCK and other families", LN_SIGHT_BLIND, false, "", "not looked at"},
	    {"UNIX sockets to outside", LN_SIGHT_BLIND, false, "",
	     "a daemon (docker, systemd, D-Bus) can send for the agent"},
	    {"sockets received from outside", LN_SIGHT_BLIND, false, "",
	     "judged like the agent's own when they last"},
	    {"sockets passed to outside", LN_SIGHT_BLIND, false, "",
	     "what others send on a socket of the agent is not seen"},
	    {"io_uring taken from outside", LN_SIGHT_BLIND, false, "", "not looked at"},
	    {"ptrace, writing foreign memory", LN_SIGHT_BLIND, false, "",
	     "another process can be made to send for the agent"},
	    {"inbound connections, answered", LN_SIGHT_BLIND, false, "",
	     "data that leaves as an answer to a peer is not seen"},
	    {"privileges (NAT, BPF, modules)", LN_SIGHT_BLIND, false, "",
	     "their use leaves nothing to look at"},
	    {"release_agent, usermode helpers", LN_SIGHT_BLIND, false, "",
	     "the kernel starts them, outside the tree"},
	    {"files, pipes, shared memory", LN_SIGHT_BLIND, false, "",
	     "data left for a process outside the tree"},
	    {"inside expected connections", LN_SIGHT_BLIND, false, "",
	     "contents are not looked into"},
	    {"names that the agent asks for", LN_SIGHT_BLIND, false, "",
	     "no DNS is read: only own look-ups and /etc/hosts name an address"},
	};

	*ret = rows;
	return LN_ARRAY_SIZE(rows);
}

static void poll_free(struct ln_sensor *base)
{
	struct poll *s = (struct poll *)base;

	ln_poll_flows_free(&s->flows);
	ln_poll_tree_free(&s->tree);
	ln_closep(&s->timer);
	free(s);
}

static const struct ln_sensor_ops ops = {
    .name = "poll",
    .track = poll_track,
    .adopt = poll_adopt,
    .fd = poll_fd,
    .dispatch = poll_dispatch,
    .drain = poll_drain,
    .facts = poll_facts,
    .channels = poll_channels,
    .free = poll_free,
};

static void add_fact(struct poll *s, const char *name, bool works, const char *note)
{
	struct ln_sensor_fact *fact = &s->facts[s->n_facts++];

	fact->name = name;
	fact->works = works;
	snprintf(fact->note, sizeof(fact->note), "%s", note);
}

static void add_facts(struct poll *s)
{
	bool diag = ln_poll_flows_has_diag(s->flows);

	add_fact(s, "process tree", true,
		 "read each 100 ms: a process that lives shorter may be missed, and whose parent "
		 "it was; arguments are as they stand when seen");
	add_fact(s, "processes of other users", geteuid() == 0,
		 geteuid() == 0 ? "" : "only your own processes can be watched without root");
	add_fact(s, "TCP byte counts", diag,
		 diag ? "as last seen; unknown in another network namespace"
		      : "no socket diagnosis in this kernel: /proc/net is read instead");
	add_fact(s, "TCP outcome", false, "refused, timed out and given up look the same: aborted");
	add_fact(s, "reuse of a listening port", false,
		 "a connection made from a port that also listens is taken for an accepted one");
	add_fact(s, "UDP byte counts", false, "the kernel keeps none");
	add_fact(s, "threads on their own", false,
		 "a thread with its own descriptors or network namespace is not looked at");
}

int ln_sensor_poll_new(struct ln_error *err, struct ln_sensor **ret)
{
	struct poll *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return ln_error_set(err, ENOMEM, "out of memory");
	s->base.ops = &ops;
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	r = s->timer < 0 ? ln_error_set(err, errno, "cannot make a timer: %s", strerror(errno)) : 0;
	if (r == 0)
		r = ln_poll_tree_new(PROCESSES_MAX, err, &s->tree);
	if (r == 0)
		r = ln_poll_flows_new(s->tree, err, &s->flows);
	if (r < 0) {
		poll_free(&s->base);
		return r;
	}
	add_facts(s);
	*ret = &s->base;
	return 0;
}
