// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * UNIX sockets: connects and datagrams of the tree to a named one, with the path as the process
 * gave it. Who is on the other side is not known before the call is done. So the event waits in
 * `unix_waits` until somebody has looked: work for the task itself, which runs at the end of its
 * system call (6.18); else, and for all that needs a walk over the host, the sensor, which runs the
 * iterators below. None of these ever refuses.
 */
#include "flow.bpf.h"

#define WAITS_MAX     1024
#define WAIT_NS       (20ULL * 1000 * 1000)
#define SENT_MAX      1024
#define PIDTYPE_TGID  1
#define PATH_AT       ((long)__builtin_offsetof(struct sockaddr_un, sun_path))
#define ABSTRACT_HEAD 1 /* the NUL in front of an abstract name */

/* The kernel's own list of functions: what is in it is there. */
enum special_kfunc_type___linnet {
	KF_bpf_task_work_schedule_resume_impl___linnet = 1,
	KF_bpf_task_work_schedule_resume___linnet, /* since 7.0, in place of the other */
};

typedef int (*task_work_fn)(struct bpf_map *map, void *key, void *value);
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *tw,
					      void *map, task_work_fn fn, void *aux) __ksym __weak;
extern int bpf_task_work_schedule_resume(struct task_struct *task, struct bpf_task_work *tw,
					 void *map, task_work_fn fn) __ksym __weak;
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;

#define CAN_CALL(kfunc)                                                                            \
	bpf_core_enum_value_exists(enum special_kfunc_type___linnet, KF_##kfunc##___linnet)

struct wait_key {
	__u64 cookie, time_ns;
};

struct unix_wait {
	struct bpf_task_work work;
	__u64 sk;       /* the address; compared by cookie before it is believed */
	__u64 net;      /* where its abstract names are */
	__u64 peer;     /* before the call */
	__u64 addr;     /* of the other side's struct unix_address, when holders of it are sought */
	__u64 ready_at; /* see struct sought_key; 0: no search */
	__u8 sends;     /* a datagram with a name of its own: the socket has no peer */
	__u8 done;      /* the call is */
	__u8 by_name;   /* the socket is gone or busy: whoever has the name is the best answer */
	__u8 pad[5];
	struct ln_abi_channel_event ev;
};

/* Events whose other side is not known yet. Full: told without it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WAITS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct wait_key);
	__type(value, struct unix_wait);
} unix_waits SEC(".maps");

/* What was told of datagrams with a name: socket and path. Full: the least used goes, and is told
 * once more. The key is the end of the event while nothing but these is in it. */
#define SENT_KEY_SIZE (sizeof(struct ln_abi_channel_event) - SENT_KEY_AT)
#define SENT_KEY_AT   __builtin_offsetof(struct ln_abi_channel_event, flags)
struct sent_key {
	__u8 bytes[SENT_KEY_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SENT_MAX);
	__type(key, struct sent_key);
	__type(value, __u8);
} unix_sent SEC(".maps");

/* When a datagram socket was connected last: it can be connected again meanwhile, by another thread
 * and elsewhere. Full: the least used goes, and its peer counts as an outsider. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SENT_MAX);
	__type(key, __u64);
	__type(value, __u64);
} unix_last SEC(".maps");

/* Sockets whose holders are sought, by the address of their struct unix_address, or by name. Each
 * entry is for one walk: the first that begins after it. Full: the least used goes, and its event
 * is told without the other side. */
struct sought_key {
	__u64 ready_at; /* when unix_walks has come to this */
	__u64 where;    /* the address; with a name: its network namespace, 0 for a path */
	__u16 type, len;
	char name[LN_ABI_UNIX_MAX];
};

struct sought {
	__u32 agent;
	struct ln_abi_party inside, outside; /* one each of those who hold it */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WAITS_MAX);
	__type(key, struct sought_key);
	__type(value, struct sought);
} unix_sought SEC(".maps");

/* For the sensor: how many events wait, how many of them for a walk. From it: a number that grows
 * when a walk begins and when it ends, so odd during one; and that no event may wait longer. */
__s64 unix_waiting = 0;
__s64 unix_seeking = 0;
__u64 unix_walks = 0;
__u32 unix_force = 0;

/* Wakes the reader without an event. */
static __always_inline void poke_reader(void)
{
	__u64 *nothing = bpf_ringbuf_reserve(&events, sizeof(*nothing), 0);

	if (nothing)
		bpf_ringbuf_discard(nothing, wake_flags(true));
}

/* Tells a waiting event, once: whoever takes it out of the map. */
static __always_inline void unix_tell(const struct wait_key *key, const struct unix_wait *w,
				      const struct ln_abi_party *other, bool same_tree)
{
	struct ln_abi_channel_event *ev =
	    bpf_ringbuf_reserve(&events, sizeof(struct ln_abi_channel_event), 0);
	bool sought = w->ready_at;

	if (ev) {
		*ev = w->ev;
		if (other)
			ev->other = *other;
		if (same_tree)
			ev->flags |= LN_ABI_CHANNEL_SAME_TREE;
	}
	if (bpf_map_delete_elem(&unix_waits, key)) {
		if (ev)
			bpf_ringbuf_discard(ev, BPF_RB_NO_WAKEUP);
		return;
	}
	__sync_fetch_and_add(&unix_waiting, -1);
	if (sought)
		__sync_fetch_and_add(&unix_seeking, -1);
	if (ev)
		emit_submit(ev, !same_tree);
	else
		count_lost(LN_ABI_LOST_RING);
}

/* The process that a struct pid is for; false when it has ended. Then its number may be another's
 * by now. */
static __always_inline bool party_from_pid(const struct pid *pid, struct ln_abi_party *ret)
{
	const struct hlist_node *link = BPF_CORE_READ(pid, tasks[PIDTYPE_TGID].first);
	const struct task_struct *task;

	if (!link)
		return false;
	task = (void *)link - bpf_core_field_offset(struct task_struct, pid_links) -
	       PIDTYPE_TGID * bpf_core_type_size(struct hlist_node);
	ret->pid = BPF_CORE_READ(pid, numbers[0].nr);
	bpf_probe_read_kernel_str(ret->comm, sizeof(ret->comm), &task->comm);
	return true;
}

/* Name of a bound socket as the key of a search. */
static __always_inline bool key_from_socket(const struct sock *sk, const struct unix_address *addr,
					    struct sought_key *ret)
{
	__u64 len = BPF_CORE_READ(addr, len) - PATH_AT;

	__builtin_memset(ret, 0, sizeof(*ret));
	asm volatile("%[n] &= 127" : [n] "+r"(len));
	if (len == 0 || len > LN_ABI_UNIX_MAX ||
	    bpf_probe_read_kernel(ret->name, len, &addr->name[0].sun_path))
		return false;
	ret->type = BPF_CORE_READ(sk, sk_type);
	ret->len = ret->name[0] ? len - 1 : len; /* without the NUL behind a path */
	if (!ret->name[0])
		ret->where = (__u64)BPF_CORE_READ(sk, __sk_common.skc_net.net);
	return true;
}

/* What is sought for an event. */
static __always_inline void key_from_wait(const struct unix_wait *w, struct sought_key *ret)
{
	__builtin_memset(ret, 0, sizeof(*ret));
	ret->ready_at = w->ready_at;
	if (!w->sends && !w->by_name) {
		ret->where = w->addr;
		return;
	}
	ret->type = w->ev.type;
	ret->len = w->ev.path_len;
	if (!(w->ev.flags & LN_ABI_CHANNEL_ABSTRACT)) {
		__builtin_memcpy(ret->name, w->ev.path, sizeof(ret->name));
		return;
	}
	ret->len += ABSTRACT_HEAD;
	ret->where = w->net;
	__builtin_memcpy(ret->name + ABSTRACT_HEAD, w->ev.path, sizeof(ret->name) - ABSTRACT_HEAD);
}

/* A walk that has begun may have passed by the holder already. */
static __always_inline __u64 next_walk(void)
{
	return ((*(volatile __u64 *)&unix_walks + 1) & ~1ULL) + 2;
}

/* Has the holders of the other side sought. False: there is none. */
static __always_inline bool seek(struct unix_wait *w)
{
	const struct unix_sock *own = (const struct unix_sock *)w->sk, *peer;
	struct sought begin = {.agent = w->ev.h.agent};
	struct sought_key key;

	if (!w->sends && !w->by_name) {
		peer = (const struct unix_sock *)BPF_CORE_READ(own, peer);
		w->addr = (__u64)BPF_CORE_READ(peer, addr);
		if (!w->addr)
			return false;
	}
	w->ready_at = next_walk();
	__sync_fetch_and_add(&unix_seeking, 1);
	key_from_wait(w, &key);
	bpf_map_update_elem(&unix_sought, &key, &begin, BPF_NOEXIST);
	/* One may have begun in between. */
	if (w->ready_at != next_walk()) {
		w->ready_at = key.ready_at = next_walk();
		bpf_map_update_elem(&unix_sought, &key, &begin, BPF_NOEXIST);
	}
	return true;
}

enum found { NOT_YET, KNOWN, UNKNOWN, WALK };

/* What can be said at once. A stream socket knows the process that called listen on the other side;
 * a datagram socket knows none, or, out of a pair, its own maker. */
static __always_inline enum found unix_look(struct unix_wait *w, struct ln_abi_party *other)
{
	const struct sock *sk = (const struct sock *)w->sk;
	const struct sock *peer = BPF_CORE_READ((const struct unix_sock *)sk, peer);
	enum found found = WALK;

	if (!w->sends && !w->done && (__u64)peer == w->peer)
		found = NOT_YET;
	else if (!w->sends && !peer)
		found = UNKNOWN;
	else if (w->ev.type != SOCK_DGRAM && party_from_pid(BPF_CORE_READ(sk, sk_peer_pid), other))
		found = KNOWN;
	/* Looked at last: was all that still the same socket? */
	if (BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) == (long long)w->ev.cookie &&
	    !(BPF_CORE_READ(sk, __sk_common.skc_flags) & 1UL << SOCK_DEAD))
		return found;
	w->by_name = !w->sends;
	return WALK;
}

static __always_inline void unix_known(const struct wait_key *key, const struct unix_wait *w,
				       const struct ln_abi_party *other)
{
	const struct ln_abi_task *task = bpf_map_lookup_elem(&tasks, &other->pid);

	unix_tell(key, w, other, task && task->agent == w->ev.h.agent);
}

/* Runs in the task itself when its system call is done. */
static int on_unix_done(struct bpf_map *map, void *key, void *value)
{
	struct wait_key own_key = *(struct wait_key *)key;
	struct unix_wait *w = value;
	struct ln_abi_party other = {};

	w->done = 1;
	switch (unix_look(w, &other)) {
	case KNOWN:
		unix_known(&own_key, w, &other);
		break;
	case WALK: /* the socket may be gone when the reader comes */
		if (seek(w)) {
			poke_reader();
			break;
		}
		/* fall through */
	default: /* the call failed, or the socket is closed */
		unix_tell(&own_key, w, 0, false);
	}
	return 0;
}

/* Path and length as the process gave them. False: no name at all. */
static __always_inline bool copy_name(const struct bpf_sock_addr_kern *kern,
				      struct ln_abi_channel_event *ev)
{
	const char *name = (const char *)BPF_CORE_READ(kern, uaddr) + PATH_AT;
	__u64 len = kern->uaddrlen - PATH_AT;
	char first = 0;
	long n;

	if (len == 0 || len > LN_ABI_UNIX_MAX)
		return false;
	bpf_probe_read_kernel(&first, 1, name);
	if (!first) {
		ev->flags = LN_ABI_CHANNEL_ABSTRACT;
		len -= ABSTRACT_HEAD;
		asm volatile("%[n] &= 127" : [n] "+r"(len));
		ev->path_len = len;
		return len <= LN_ABI_UNIX_MAX &&
		       !bpf_probe_read_kernel(ev->path, len, name + ABSTRACT_HEAD);
	}
	/* Room for the NUL of the longest one is behind it. */
	asm volatile("%[n] &= 127" : [n] "+r"(len));
	if (len > LN_ABI_UNIX_MAX)
		return false;
	n = bpf_probe_read_kernel_str(ev->path, len + 1, name);
	ev->path_len = n > 0 ? n - 1 : 0;
	return n > 0;
}

static __always_inline bool sent_before(const struct ln_abi_channel_event *ev)
{
	const struct sent_key *key = (const void *)&ev->flags;
	__u8 one = 1;

	if (bpf_map_lookup_elem(&unix_sent, key))
		return true;
	bpf_map_update_elem(&unix_sent, key, &one, BPF_ANY);
	return false;
}

/* Asks the task to look when it is done. */
static __always_inline bool ask_task(const struct wait_key *key)
{
	struct unix_wait *w;

	if (!CAN_CALL(bpf_task_work_schedule_resume) &&
	    !CAN_CALL(bpf_task_work_schedule_resume_impl))
		return false;
	w = bpf_map_lookup_elem(&unix_waits, key);
	if (!w)
		return false;
	if (CAN_CALL(bpf_task_work_schedule_resume))
		return !bpf_task_work_schedule_resume(bpf_get_current_task_btf(), &w->work,
						      &unix_waits, on_unix_done);
	return !bpf_task_work_schedule_resume_impl(bpf_get_current_task_btf(), &w->work,
						   &unix_waits, on_unix_done, 0);
}

static __always_inline int handle_unix(struct bpf_sock_addr *ctx, bool sends)
{
	const struct bpf_sock_addr_kern *kern;
	const struct ln_abi_task *owner;
	const struct sock *sk;
	struct unix_wait w = {.sends = sends};
	struct ln_abi_channel_event *ev;
	struct wait_key key;
	__u64 pid_tgid;

	owner = current_owner(&pid_tgid);
	if (!owner)
		return ALLOW;
	kern = bpf_cast_to_kern_ctx(ctx);
	if (!copy_name(kern, &w.ev))
		return ALLOW;
	w.ev.cookie = key.cookie = bpf_get_socket_cookie(ctx);
	if (sends && sent_before(&w.ev))
		return ALLOW;
	key.time_ns = bpf_ktime_get_ns();
	fill_header(&w.ev.h, LN_ABI_CHANNEL, owner->agent, key.time_ns, pid_tgid >> 32, pid_tgid);
	w.ev.channel = LN_ABI_UNIX_SOCKET;
	w.ev.how = LN_ABI_BY_TASK;
	w.ev.family = AF_UNIX;
	sk = BPF_CORE_READ(kern, sk);
	w.ev.type = BPF_CORE_READ(sk, sk_type);
	w.sk = (__u64)sk;
	w.net = (__u64)BPF_CORE_READ(sk, __sk_common.skc_net.net);
	w.peer = (__u64)BPF_CORE_READ((const struct unix_sock *)sk, peer);
	if (!sends && w.ev.type == SOCK_DGRAM)
		bpf_map_update_elem(&unix_last, &key.cookie, &key.time_ns, BPF_ANY);
	if (bpf_map_update_elem(&unix_waits, &key, &w, BPF_NOEXIST)) {
		ev = emit_reserve(struct ln_abi_channel_event);
		if (ev) {
			*ev = w.ev;
			emit_submit(ev, true);
		}
		return ALLOW;
	}
	__sync_fetch_and_add(&unix_waiting, 1);
	if (!ask_task(&key))
		poke_reader();
	return ALLOW;
}

/* The section names say the program's type to libbpf, which knows no better ones before 1.4; the
 * sensor sets the attach types: BPF_CGROUP_UNIX_CONNECT and BPF_CGROUP_UNIX_SENDMSG, since 6.7. */
SEC("cgroup/connect4")
int on_unix_connect(struct bpf_sock_addr *ctx)
{
	return handle_unix(ctx, false);
}

SEC("cgroup/sendmsg4")
int on_unix_sendmsg(struct bpf_sock_addr *ctx)
{
	return handle_unix(ctx, true);
}

/* Whether all that hold it being the tree's makes it internal. Not when only a path says which
 * socket it is: two can be bound to the same path, in two places. */
static __always_inline bool may_be_internal(const struct wait_key *key, const struct unix_wait *w)
{
	const __u64 *last;

	if (w->by_name)
		return false;
	if (w->sends)
		return w->ev.flags & LN_ABI_CHANNEL_ABSTRACT;
	if (w->ev.type != SOCK_DGRAM)
		return true;
	last = bpf_map_lookup_elem(&unix_last, &key->cookie);
	return w->done && last && *last == key->time_ns;
}

/* Takes what a walk has found, if it is over. */
static __always_inline void unix_sought_out(const struct wait_key *key, const struct unix_wait *w)
{
	struct ln_abi_party other = {};
	const struct sought *found;
	struct sought_key name;
	bool inside = false;

	if (unix_walks < w->ready_at)
		return;
	key_from_wait(w, &name);
	found = bpf_map_lookup_elem(&unix_sought, &name);
	if (found && found->agent == w->ev.h.agent) {
		inside = found->inside.pid && !found->outside.pid;
		other = inside ? found->inside : found->outside;
	}
	unix_tell(key, w, &other, inside && may_be_internal(key, w));
}

static long look_after(struct bpf_map *map, const struct wait_key *at, void *value, void *unused)
{
	struct ln_abi_party other = {};
	struct wait_key key = *at;
	struct unix_wait *w;

	w = bpf_map_lookup_elem(&unix_waits, &key);
	if (!w)
		return 0;
	if (w->ready_at) {
		unix_sought_out(&key, w);
		return 0;
	}
	switch (unix_look(w, &other)) {
	case KNOWN:
		unix_known(&key, w, &other);
		break;
	case WALK:
		if (!seek(w))
			unix_tell(&key, w, 0, false);
		break;
	case NOT_YET:
		if (unix_force) {
			unix_tell(&key, w, 0, false);
		} else if (bpf_ktime_get_ns() - key.time_ns > WAIT_NS) {
			w->by_name = 1;
			seek(w);
		}
		break;
	default:
		unix_tell(&key, w, 0, false);
	}
	return 0;
}

/* Looks after the events that wait; run by the sensor, see ONCE_A_RUN. */
SEC("iter/bpf_map")
int on_unix_wait(struct bpf_iter__bpf_map *ctx)
{
	if (ONCE_A_RUN(ctx))
		bpf_for_each_map_elem(&unix_waits, look_after, 0, 0);
	return 0;
}

static __always_inline void found_holder(struct sought *s, struct task_struct *task)
{
	const struct ln_abi_task *owner;
	struct ln_abi_party *party;
	__u32 pid = task->tgid;

	owner = bpf_map_lookup_elem(&tasks, &pid);
	party = owner && owner->agent == s->agent ? &s->inside : &s->outside;
	if (party->pid)
		return;
	party->pid = pid;
	bpf_probe_read_kernel_str(party->comm, sizeof(party->comm), task->comm);
}

/* Finds who holds the sockets that are sought. */
SEC("iter/task_file")
int on_unix_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	const struct unix_address *addr;
	struct sought_key key = {};
	struct socket *socket;
	struct sought *found;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || sk->__sk_common.skc_family != AF_UNIX)
		return 0;
	addr = BPF_CORE_READ((const struct unix_sock *)sk, addr);
	if (!addr)
		return 0;
	key.ready_at = unix_walks + 1;
	key.where = (__u64)addr;
	found = bpf_map_lookup_elem(&unix_sought, &key);
	if (found)
		found_holder(found, task);
	if (!key_from_socket(sk, addr, &key))
		return 0;
	key.ready_at = unix_walks + 1;
	found = bpf_map_lookup_elem(&unix_sought, &key);
	if (found)
		found_holder(found, task);
	return 0;
}
