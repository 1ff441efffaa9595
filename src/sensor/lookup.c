/* SPDX-License-Identifier: Apache-2.0 */
#include "lookup.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include "base/clock.h"
#include "base/heap.h"
#include "base/macros.h"
#include "dns/message.h"

#define IN_FLIGHT_MAX 64
#define TTL_MIN_S     5
#define TTL_MAX_S     3600
#define TRIES         3
#define TIMEOUT_MS    2000 /* of the first try; c-ares doubles it */
#define UDP_SIZE      1232 /* fits any path without fragments (RFC 9715) */
#define BACKOFF_SHIFT 16
#define TICKETS_MAX   256
#define TICKET_NAMES  32
#define ASKS_PER_S    512
#define ASK_EVERY_NS  (20 * LN_NS_PER_MS)

/* When to ask, as keys of the heap: long past, and no 0, which would stop a timer. */
#define DUE_FIRST 1 /* somebody waits for it */
#define DUE_NOW   2

struct question {
	struct ln_heap_node due; /* key: when to ask, monotonic; in the heap unless under way */
	struct asked_name *name; /* borrowed from the look-up */
	uint16_t type;
	uint32_t vain; /* times asked since the last address */
	bool settled;  /* answered or failed at least once */
	bool under_way;
	bool wanted;       /* by a ticket */
	uint64_t asked_ns; /* 0: never */
};

struct asked_name {
	struct ln_lookup *lookup;
	const char *text; /* borrowed from the caller */
	bool answered;
	struct question questions[2];
};

/* Who waits for the answers to some questions. */
struct ticket {
	struct ticket *next;
	uint64_t number;
	bool failed;
	size_t n_left;
	struct question *left[2 * TICKET_NAMES];
};

struct ln_lookup {
	int epoll_fd, timer_fd;
	bool library;
	ares_channel channel; /* owned; NULL before ares_init_options */
	struct asked_name *names;
	size_t n_names;
	struct ln_heap due;
	struct ticket *tickets; /* owned */
	size_t n_tickets;
	uint64_t second_ns; /* when the count of asks began anew */
	size_t asks;
	size_t in_flight, unanswered, unsettled;
	uint64_t failures;
	uint32_t ttl_min_s, ttl_max_s;
	ln_event_fn fn; /* of the dispatch under way */
	void *user;
};

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct ln_lookup *l = data;
	struct epoll_event ev = {.data.fd = fd};

	if (readable)
		ev.events |= EPOLLIN;
	if (writable)
		ev.events |= EPOLLOUT;
	/* A socket that epoll refuses is one whose question times out, which is counted. */
	if (!ev.events)
		epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, fd, &ev) < 0 && errno == ENOENT)
		epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static uint32_t clamp_ttl(const struct ln_lookup *l, uint64_t ttl_s)
{
	return (uint32_t)LN_MIN(LN_MAX(ttl_s, (uint64_t)l->ttl_min_s), (uint64_t)l->ttl_max_s);
}

static void schedule(struct ln_lookup *l, struct question *q, uint64_t now_ns, uint32_t delay_s)
{
	q->due.key = now_ns + delay_s * LN_NS_PER_S;
	ln_heap_push(&l->due, &q->due);
}

static void emit(struct ln_lookup *l, const struct ln_dns_message *msg,
		 const struct ln_dns_addr *found, uint64_t now_ns)
{
	uint32_t ttl_s = clamp_ttl(l, found->ttl_s);
	struct ln_event ev = {
	    .kind = LN_EVENT_NAME,
	    .time_ns = now_ns,
	    .wall_ns = ln_clock_wall_ns(),
	    .name.addr = found->addr,
	    .name.evidence = {.source = LN_NAME_OWN_LOOKUP,
			      .grants = true,
			      .ttl_s = ttl_s,
			      .seen_ns = now_ns,
			      .expires_ns = now_ns + ttl_s * LN_NS_PER_S},
	};
	struct ln_chain chain;

	memcpy(ev.name.evidence.name, msg->qname, LN_NAME_MAX);
	ln_chain_start(&chain);
	ln_dns_chain_to(msg, found, &chain);
	ev.name.evidence.chain = chain.text;
	l->fn(&ev, l->user);
}

/* Tells the addresses that a name may open; returns the time to ask again, 0 without an address. */
static uint32_t emit_all(struct ln_lookup *l, const struct ln_dns_message *msg, uint64_t now_ns)
{
	uint32_t ttl_s = UINT32_MAX;

	for (size_t i = 0; i < msg->n_addrs; i++) {
		ttl_s = LN_MIN(ttl_s, msg->addrs[i].ttl_s);
		if (ln_names_grantable(&msg->addrs[i].addr))
			emit(l, msg, &msg->addrs[i], now_ns);
	}
	return msg->n_addrs ? clamp_ttl(l, ttl_s) : 0;
}

/* The answer is read by the same reader as the agent's own answers, so that the two never
 * disagree on what a message says. */
static bool read_answer(const struct question *q, const uint8_t *bytes, int len,
			struct ln_dns_message *ret)
{
	return bytes && len > 0 && ln_dns_parse(bytes, (size_t)len, ret) == 0 && ret->response &&
	       ret->qtype == q->type && strcmp(ret->qname, q->name->text) == 0;
}

static void tell_ticket(struct ln_lookup *l, const struct ticket *t)
{
	const struct ln_event ev = {
	    .kind = LN_EVENT_LOOKED,
	    .time_ns = ln_clock_mono_ns(),
	    .wall_ns = ln_clock_wall_ns(),
	    .looked = {.ticket = t->number, .failed = t->failed},
	};

	l->fn(&ev, l->user);
}

static bool waits_no_more(struct ticket *t, const struct question *q, bool failed)
{
	for (size_t i = 0; i < t->n_left; i++) {
		if (t->left[i] != q)
			continue;
		t->left[i] = t->left[--t->n_left];
		t->failed |= failed;
		break;
	}
	return t->n_left == 0;
}

/* Tells those who waited for this question and for no other. They may ask again at once: first all
 * of them leave the list. */
static void settle_tickets(struct ln_lookup *l, const struct question *q, bool failed)
{
	struct ticket **at = &l->tickets, *over = NULL;

	while (*at) {
		struct ticket *t = *at;

		if (!waits_no_more(t, q, failed)) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		t->next = over;
		over = t;
		l->n_tickets--;
	}
	while (over) {
		struct ticket *t = over;

		over = t->next;
		tell_ticket(l, t);
		free(t);
	}
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
	struct question *q = arg;
	struct ln_lookup *l = q->name->lookup;
	uint64_t now_ns = ln_clock_mono_ns();
	struct ln_dns_message msg;
	uint32_t delay_s = 0;
	bool answered, wanted = q->wanted;

	l->in_flight--;
	if (status == ARES_EDESTRUCTION)
		return;
	q->under_way = q->wanted = false;
	l->unsettled -= q->settled ? 0 : 1;
	q->settled = true;
	answered =
	    (status == ARES_SUCCESS || status == ARES_ENODATA) && read_answer(q, bytes, len, &msg);
	if (answered)
		delay_s = emit_all(l, &msg, now_ns);
	else
		l->failures++;
	if (delay_s > 0) {
		q->vain = 0;
		l->unanswered -= q->name->answered ? 0 : 1;
		q->name->answered = true;
	} else {
		/* No such record, or nobody who knows: less and less often. */
		delay_s = clamp_ttl(l, (uint64_t)l->ttl_min_s << LN_MIN(q->vain, BACKOFF_SHIFT));
		q->vain += wanted ? 0 : 1;
	}
	schedule(l, q, now_ns, delay_s);
	settle_tickets(l, q, !answered && status != ARES_ENOTFOUND);
}

/* A question that fails at once is due again later than `now_ns`, so the loop ends. */
static void ask_due(struct ln_lookup *l, uint64_t now_ns)
{
	struct ln_heap_node *first;

	while (l->in_flight < IN_FLIGHT_MAX && (first = ln_heap_top(&l->due)) != NULL &&
	       first->key <= now_ns) {
		struct question *q = LN_HEAP_ITEM(first, struct question, due);

		ln_heap_remove(&l->due, first);
		l->in_flight++;
		q->under_way = true;
		q->asked_ns = now_ns;
		ares_query(l->channel, q->name->text, ns_c_in, q->type, on_answer, q);
	}
}

static int set_timer(struct ln_lookup *l, uint64_t at_ns)
{
	struct itimerspec when = {
	    .it_value = {.tv_sec = (time_t)(at_ns / LN_NS_PER_S),
			 .tv_nsec = (long)(at_ns % LN_NS_PER_S)},
	};

	return timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0 ? -errno : 0;
}

/* For the next question that is due, and for c-ares' own time-outs. */
static int arm(struct ln_lookup *l)
{
	struct ln_heap_node *first = ln_heap_top(&l->due);
	struct timeval left;
	uint64_t at_ns = UINT64_MAX;

	if (first && l->in_flight < IN_FLIGHT_MAX)
		at_ns = first->key;
	if (ares_timeout(l->channel, NULL, &left)) {
		/* c-ares rounds down to milliseconds: one more, or we would come too early. */
		uint64_t left_ns = (uint64_t)left.tv_sec * LN_NS_PER_S +
				   (uint64_t)left.tv_usec * 1000 + LN_NS_PER_MS;

		at_ns = LN_MIN(at_ns, ln_clock_mono_ns() + left_ns);
	}
	return at_ns == UINT64_MAX ? 0 : set_timer(l, at_ns);
}

static void process(struct ln_lookup *l, const struct epoll_event *ev)
{
	bool in = ev->events & (EPOLLIN | EPOLLERR | EPOLLHUP);
	bool out = ev->events & (EPOLLOUT | EPOLLERR | EPOLLHUP);
	uint64_t expirations;

	if (ev->data.fd == l->timer_fd) {
		/* EAGAIN: armed anew since; either way it is quiet now. */
		if (read(l->timer_fd, &expirations, sizeof(expirations)) < 0)
			return;
		ares_process_fd(l->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		return;
	}
	/* A socket that was closed earlier in the batch is one that c-ares does not know. */
	ares_process_fd(l->channel, in ? ev->data.fd : ARES_SOCKET_BAD,
			out ? ev->data.fd : ARES_SOCKET_BAD);
}

int ln_lookup_dispatch(struct ln_lookup *l, ln_event_fn fn, void *user)
{
	struct epoll_event ready[16];
	int n = epoll_wait(l->epoll_fd, ready, LN_ARRAY_SIZE(ready), 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	l->fn = fn;
	l->user = user;
	for (int i = 0; i < n; i++)
		process(l, &ready[i]);
	ask_due(l, ln_clock_mono_ns());
	return arm(l);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each name once, and none that stands for this machine (RFC 6761, 6.3). */
static int take_names(struct ln_lookup *l, const char *const *names, size_t n_names)
{
	LN_AUTO_FREE const char **sorted = calloc(n_names + 1, sizeof(*sorted));

	l->names = calloc(n_names + 1, sizeof(*l->names));
	if (!sorted || !l->names)
		return -ENOMEM;
	if (n_names > 0)
		memcpy(sorted, names, n_names * sizeof(*sorted));
	qsort(sorted, n_names, sizeof(*sorted), compare_texts);
	for (size_t i = 0; i < n_names; i++) {
		struct asked_name *name = &l->names[l->n_names];

		if (ln_name_under(sorted[i], "localhost") ||
		    (i > 0 && strcmp(sorted[i], sorted[i - 1]) == 0))
			continue;
		name->lookup = l;
		name->text = sorted[i];
		l->n_names++;
		for (size_t k = 0; k < LN_ARRAY_SIZE(name->questions); k++) {
			name->questions[k].name = name;
			name->questions[k].type = k == 0 ? ns_t_a : ns_t_aaaa;
			if (ln_heap_reserve(&l->due) < 0)
				return -ENOMEM;
			name->questions[k].due.key = DUE_NOW;
			ln_heap_push(&l->due, &name->questions[k].due);
		}
	}
	l->unanswered = l->n_names;
	l->unsettled = l->n_names * LN_ARRAY_SIZE(l->names->questions);
	return 0;
}

static int set_servers(struct ln_lookup *l, const struct ln_endpoint *servers, size_t n)
{
	LN_AUTO_FREE struct ares_addr_port_node *nodes = calloc(n, sizeof(*nodes));

	if (!nodes)
		return ARES_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		nodes[i].next = i + 1 < n ? &nodes[i + 1] : NULL;
		nodes[i].family = servers[i].addr.family == 4 ? AF_INET : AF_INET6;
		memcpy(&nodes[i].addr, servers[i].addr.bytes, servers[i].addr.family == 4 ? 4 : 16);
		nodes[i].udp_port = nodes[i].tcp_port = servers[i].port;
	}
	return ares_set_servers_ports(l->channel, nodes);
}

/* All that c-ares would else read from resolv.conf, the environment and hosts is given here. */
static int init_channel(struct ln_lookup *l, const struct ln_endpoint *servers, size_t n)
{
	char dns_only[] = "b";
	struct ares_options options = {
	    .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
	    .timeout = TIMEOUT_MS,
	    .tries = TRIES,
	    .ndots = 1,
	    .lookups = dns_only,
	    .ednspsz = UDP_SIZE,
	    .sock_state_cb = on_socket_state,
	    .sock_state_cb_data = l,
	};
	int r = ares_library_init(ARES_LIB_INIT_ALL);

	if (r != ARES_SUCCESS)
		return r;
	l->library = true;
	r = ares_init_options(&l->channel, &options,
			      ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
				  ARES_OPT_NDOTS | ARES_OPT_SERVERS | ARES_OPT_DOMAINS |
				  ARES_OPT_SORTLIST | ARES_OPT_LOOKUPS | ARES_OPT_NOROTATE |
				  ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);
	return r == ARES_SUCCESS ? set_servers(l, servers, n) : r;
}

static int init_descriptors(struct ln_lookup *l)
{
	struct epoll_event ev = {.events = EPOLLIN};

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	ev.data.fd = l->timer_fd;
	if (l->epoll_fd < 0 || l->timer_fd < 0 ||
	    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->timer_fd, &ev) < 0)
		return -errno;
	/* Long past: the first dispatch, not this call, talks to the network. */
	return l->n_names ? set_timer(l, DUE_NOW) : 0;
}

int ln_lookup_new(const char *const *names, size_t n_names, const struct ln_endpoint *servers,
		  size_t n_servers, struct ln_error *err, struct ln_lookup **ret)
{
	LN_CLEANUP(ln_lookup_free) struct ln_lookup *l = calloc(1, sizeof(*l));
	int r;

	if (n_servers == 0)
		return ln_error_set(
		    err, EINVAL,
		    "no resolver to ask for the names of the policy; list one under "
		    "'resolvers' or in resolv.conf");
	if (!l)
		return ln_error_set(err, ENOMEM, "no memory for look-ups; free some");
	l->epoll_fd = l->timer_fd = -1;
	l->ttl_min_s = TTL_MIN_S;
	l->ttl_max_s = TTL_MAX_S;
	r = take_names(l, names, n_names);
	if (r == 0)
		r = init_descriptors(l);
	if (r < 0)
		return ln_error_set(err, -r,
				    "cannot prepare look-ups: %s; check the limits of "
				    "memory and open files",
				    strerror(-r));
	r = init_channel(l, servers, n_servers);
	if (r != ARES_SUCCESS)
		return ln_error_set(err, r == ARES_ENOMEM ? ENOMEM : EIO,
				    "cannot start c-ares: %s; check the resolvers",
				    ares_strerror(r));
	*ret = LN_TAKE_PTR(l);
	return 0;
}

void ln_lookup_free(struct ln_lookup **lookup)
{
	struct ln_lookup *l = *lookup;

	if (!l)
		return;
	if (l->channel)
		ares_destroy(l->channel); /* answers what is under way with ARES_EDESTRUCTION */
	if (l->library)
		ares_library_cleanup();
	ln_closep(&l->timer_fd);
	ln_closep(&l->epoll_fd);
	ln_heap_done(&l->due);
	while (l->tickets) {
		struct ticket *first = l->tickets;

		l->tickets = first->next;
		free(first);
	}
	free(l->names);
	free(l);
	*lookup = NULL;
}

static struct asked_name *find_name(const struct ln_lookup *l, const char *text)
{
	size_t first = 0, end = l->n_names;

	while (first < end) {
		size_t middle = first + (end - first) / 2;
		int order = strcmp(l->names[middle].text, text);

		if (order == 0)
			return &l->names[middle];
		if (order < 0)
			first = middle + 1;
		else
			end = middle;
	}
	return NULL;
}

/* False: too many were asked so within this second. */
static bool bring_forward(struct ln_lookup *l, struct question *q, uint64_t now_ns)
{
	uint64_t due_ns = DUE_FIRST;

	if (q->under_way || q->wanted)
		return true;
	if (now_ns - l->second_ns >= LN_NS_PER_S) {
		l->second_ns = now_ns;
		l->asks = 0;
	}
	if (l->asks == ASKS_PER_S)
		return false;
	l->asks++;
	q->wanted = true;
	if (q->asked_ns != 0 && q->asked_ns + ASK_EVERY_NS > now_ns)
		due_ns = q->asked_ns + ASK_EVERY_NS;
	if (due_ns < q->due.key) {
		q->due.key = due_ns;
		ln_heap_moved(&l->due, &q->due);
	}
	return true;
}

static int fill_ticket(struct ln_lookup *l, struct ticket *t, const char *const *names, size_t n)
{
	uint64_t now_ns = ln_clock_mono_ns();

	for (size_t i = 0; i < LN_MIN(n, (size_t)TICKET_NAMES); i++) {
		struct asked_name *name = find_name(l, names[i]);

		for (size_t k = 0; name && k < LN_ARRAY_SIZE(name->questions); k++) {
			if (!bring_forward(l, &name->questions[k], now_ns))
				return -EBUSY;
			t->left[t->n_left++] = &name->questions[k];
		}
	}
	return t->n_left > 0 ? 0 : -ENOENT;
}

int ln_lookup_ask(struct ln_lookup *l, uint64_t ticket, const char *const *names, size_t n)
{
	LN_AUTO_FREE struct ticket *t = NULL;
	int r;

	if (l->n_tickets == TICKETS_MAX)
		return -EBUSY;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->number = ticket;
	r = fill_ticket(l, t, names, n);
	if (r == 0)
		r = arm(l);
	if (r < 0)
		return r;
	t->next = l->tickets;
	l->tickets = LN_TAKE_PTR(t);
	l->n_tickets++;
	return 0;
}

void ln_lookup_set_ttl_limits(struct ln_lookup *l, uint32_t min_s, uint32_t max_s)
{
	l->ttl_min_s = LN_MAX(min_s, 1u);
	l->ttl_max_s = LN_MAX(max_s, l->ttl_min_s);
}

int ln_lookup_fd(struct ln_lookup *l)
{
	return l->epoll_fd;
}

bool ln_lookup_settled(const struct ln_lookup *l)
{
	return l->unsettled == 0;
}

size_t ln_lookup_unanswered(const struct ln_lookup *l)
{
	return l->unanswered;
}

uint64_t ln_lookup_failures(const struct ln_lookup *l)
{
	return l->failures;
}
