/* SPDX-License-Identifier: Apache-2.0 */
/* The eBPF sensor: probe, load, attach; then only descriptors and shared memory, so that it goes on
 * working after the privileges are gone. */
#include "bpf_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#ifndef BPF_F_PREORDER
#define BPF_F_PREORDER (1U << 6) /* include/uapi/linux/bpf.h, since Linux 6.15 */
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "base/clock.h"
#include "base/log.h"
#include "linnet.skel.h"

#define ROOM_BYTES (16U << 20)

enum where { AT_KERNEL, AT_KERNEL_DEEP, AT_CGROUP_ROOT, AT_CGROUP_FIRST, ON_DEMAND, ON_ADOPTION };

/* Every program: where it hangs, what stops working without it. Attached in this order, so that a
 * child cannot be born between the hooks. */
struct hook {
	size_t at; /* offset in the skeleton's list of programs */
	const char *name;
	enum where where;
	bool required;
	const char *without;
};

#define HOOK(member, ...)                                                                          \
	{                                                                                          \
		offsetof(struct linnet, progs.member), __VA_ARGS__                                 \
	}

static const struct hook hooks[] = {
    HOOK(on_fork, "sched_process_fork", AT_KERNEL, true, "children are not found"),
    HOOK(on_exec, "sched_process_exec", AT_KERNEL, true, "commands are not known"),
    HOOK(on_exit, "sched_process_exit", AT_KERNEL, true, "ends are not known"),
    HOOK(on_cgroup_move, "cgroup_attach_task", AT_KERNEL, false,
	 "that a process moves to another cgroup is only seen at its next exec"),
    HOOK(on_tcp_state, "inet_sock_set_state", AT_KERNEL, true, "TCP flows never end"),
    HOOK(on_tcp_destroy, "tcp_destroy_sock", AT_KERNEL, true, "some TCP flows never end"),
    HOOK(on_sock_create, "cgroup/sock_create", AT_CGROUP_ROOT, false,
	 "raw sockets, and sockets that came from outside the tree, are not told as such"),
    HOOK(on_connect4, "cgroup/connect4", AT_CGROUP_FIRST, true, "IPv4 connects are not seen"),
    HOOK(on_connect6, "cgroup/connect6", AT_CGROUP_FIRST, true, "IPv6 connects are not seen"),
    HOOK(on_sendmsg4, "cgroup/sendmsg4", AT_CGROUP_FIRST, true, "IPv4 sendto is not seen"),
    HOOK(on_sendmsg6, "cgroup/sendmsg6", AT_CGROUP_FIRST, true, "IPv6 sendto is not seen"),
    HOOK(on_bind4, "cgroup/bind4", AT_CGROUP_ROOT, false, "UDP servers are not told"),
    HOOK(on_bind6, "cgroup/bind6", AT_CGROUP_ROOT, false, "UDP servers are not told"),
    HOOK(on_post_bind4, "cgroup/post_bind4", AT_CGROUP_ROOT, false,
	 "loopback UDP inside the tree is judged like any other"),
    HOOK(on_post_bind6, "cgroup/post_bind6", AT_CGROUP_ROOT, false,
	 "loopback UDP inside the tree is judged like any other"),
    HOOK(on_sock_release, "cgroup/sock_release", AT_CGROUP_ROOT, false,
	 "UDP flows have no end and no counts"),
    HOOK(on_unix_connect, "cgroup/connect_unix", AT_CGROUP_ROOT, false,
	 "a helper outside the tree (docker, systemd, D-Bus) can send for the agent unseen"),
    HOOK(on_unix_sendmsg, "cgroup/sendmsg_unix", AT_CGROUP_ROOT, false,
	 "datagrams to a helper outside the tree are not seen"),
    HOOK(on_capable, "cap_capable", AT_KERNEL, false,
	 "packet sockets and privileges are found by the sweep, or not at all"),
    HOOK(on_device, "cgroup/dev", AT_CGROUP_ROOT, false, "tunnels are found by the sweep"),
    HOOK(on_signal, "signal_generate", AT_KERNEL, false,
	 "ptrace is found by the sweep; signals to linnet are not seen"),
    HOOK(on_wait, "sched_process_wait", AT_KERNEL, false, "PTRACE_SEIZE is found by the sweep"),
    HOOK(on_ring_create, "io_uring_create", AT_KERNEL, false,
	 "an inherited io_uring looks like a received one"),
    HOOK(on_lsm_ptrace, "lsm/ptrace_access_check", AT_KERNEL, false,
	 "ptrace is seen by what follows it, writing into foreign memory by the sweep, or not at "
	 "all"),
    HOOK(on_lsm_receive, "lsm/file_receive", AT_KERNEL, false,
	 "received sockets are found by the sweep"),
    HOOK(on_lsm_socket, "lsm/socket_create", AT_KERNEL, false,
	 "packet and other sockets are found by the sweep"),
    HOOK(on_lsm_kill, "lsm/task_kill", AT_KERNEL, true, "the guard lets signals through"),
    HOOK(on_lsm_bpf, "lsm/bpf", AT_KERNEL, true, "the guard lets the agent open linnet's probes"),
    HOOK(on_send, "sock_send_length", AT_KERNEL_DEEP, false,
	 "received and packet sockets are found by the sweep only"),
    HOOK(on_egress, "cgroup_skb/egress", ON_DEMAND, true, "UDP and DNS are not seen"),
    HOOK(on_ingress, "cgroup_skb/ingress", ON_DEMAND, true, "DNS answers are not seen"),
    HOOK(on_seed_task, "iter/task", ON_ADOPTION, false, "attach is not possible"),
    HOOK(on_seed_file, "iter/task_file", ON_DEMAND, false, "attach does not see open connections"),
    HOOK(on_mark_file, "iter/task_file", ON_DEMAND, false,
	 "who listened on loopback before the watch is not known"),
};

static struct bpf_program *hook_program(const struct ln_bpf *b, const struct hook *h)
{
	return *(struct bpf_program **)((char *)b->skel + h->at);
}

void ln_bpf_add_fact(struct ln_bpf *b, const char *name, bool works, bool required,
		     const char *note, ...)
{
	struct ln_sensor_fact *f;
	va_list ap;

	if (b->n_facts == LN_BPF_FACTS_MAX)
		return;
	f = &b->facts[b->n_facts++];
	*f = (struct ln_sensor_fact){.name = name, .works = works, .required = required};
	va_start(ap, note);
	vsnprintf(f->note, sizeof(f->note), note, ap);
	va_end(ap);
}

static __attribute__((format(printf, 2, 0))) int on_libbpf_print(enum libbpf_print_level level,
								 const char *format, va_list ap)
{
	enum ln_log_level ours = level == LIBBPF_WARN ? LN_LOG_INFO : LN_LOG_DEBUG;
	char *text = NULL, *rest, *line;

	/* One level down: what libbpf calls a warning is often a probe that failed as expected. */
	if (ln_log_level() < ours || vasprintf(&text, format, ap) < 0)
		return 0;
	/* The verifier's words come as one message of many lines. */
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (line[0])
			ln_log(ours, "%.900s", line);
	free(text);
	return 0;
}

static int keep_link_fd(struct ln_bpf *b, int fd)
{
	if (fd < 0)
		return -errno;
	if (b->n_links == LN_BPF_LINKS_MAX) {
		close(fd);
		return -ENOSPC;
	}
	b->links[b->n_links++] = fd;
	return 0;
}

static int keep_link(struct ln_bpf *b, struct bpf_link *link)
{
	int fd;

	if (!link)
		return -errno;
	fd = fcntl(bpf_link__fd(link), F_DUPFD_CLOEXEC, 3);
	bpf_link__destroy(link);
	return keep_link_fd(b, fd);
}

/* The programs of a child cgroup run before those of its parents, so one of the agent's own could
 * rewrite an address before ours has seen it. Since Linux 6.17 a link can ask for the other order.
 */
static int attach_first(struct ln_bpf *b, struct bpf_program *prog)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = BPF_F_PREORDER);
	int r = keep_link_fd(b, bpf_link_create(bpf_program__fd(prog), b->cgroup_root_fd,
						bpf_program__expected_attach_type(prog), &opts));

	b->is_first = r == 0;
	return r == 0 ? 0 : keep_link(b, bpf_program__attach_cgroup(prog, b->cgroup_root_fd));
}

static int attach_hook(struct ln_bpf *b, const struct hook *h, struct ln_error *err)
{
	struct bpf_program *prog = hook_program(b, h);
	int r = 0;

	if (h->where == AT_KERNEL || h->where == AT_KERNEL_DEEP)
		r = keep_link(b, bpf_program__attach(prog));
	else if (h->where == AT_CGROUP_ROOT)
		r = keep_link(b, bpf_program__attach_cgroup(prog, b->cgroup_root_fd));
	else if (h->where == AT_CGROUP_FIRST)
		r = attach_first(b, prog);
	if (r == 0) {
		ln_bpf_add_fact(b, h->name, true, h->required, "%s", "");
		return 0;
	}
	ln_bpf_add_fact(b, h->name, false, h->required, "%s (%s)", h->without, strerror(-r));
	if (!h->required)
		return 0;
	return ln_error_set(err, -r, "cannot attach %s: %s; without it %s", h->name, strerror(-r),
			    h->without);
}

/* sk_storage in programs of this type came with Linux 5.11; without it the program would not load
 * and take the others with it. */
static void switch_off_missing(struct ln_bpf *b)
{
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK, BPF_FUNC_sk_storage_get, NULL) !=
	    1) {
		bpf_program__set_autoload(b->skel->progs.on_sock_create, false);
		bpf_program__set_autoload(b->skel->progs.on_sock_release, false);
		bpf_program__set_autoload(b->skel->progs.on_bind4, false);
		bpf_program__set_autoload(b->skel->progs.on_bind6, false);
		bpf_program__set_autoload(b->skel->progs.on_post_bind4, false);
		bpf_program__set_autoload(b->skel->progs.on_post_bind6, false);
	}
	b->skel->rodata->cfg_has_sock_create = bpf_program__autoload(b->skel->progs.on_sock_create);
	b->skel->rodata->cfg_has_current_task =
	    libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_get_current_task_btf,
				    NULL) == 1;
	b->skel->rodata->cfg_has_mptcp_sock =
	    libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_skc_to_mptcp_sock,
				    NULL) == 1;
	/* Since 6.1. */
	b->skel->rodata->cfg_cgroup_comm =
	    libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK, BPF_FUNC_get_current_comm, NULL) ==
	    1;
}

static int load_error(int code, struct ln_error *err)
{
	if (code == EPERM || code == EACCES)
		return ln_error_set(
		    err, code,
		    "the kernel refuses to load the probes (%s); run linnet as root "
		    "(sudo), or use --sensor=poll",
		    strerror(code));
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return ln_error_set(
		    err, ENOTSUP,
		    "this kernel has no BTF (/sys/kernel/btf/vmlinux); use a kernel "
		    "with CONFIG_DEBUG_INFO_BTF, or --sensor=poll");
	return ln_error_set(err, code,
			    "the kernel refuses to load the probes (%s); "
			    "use --sensor=poll",
			    strerror(code));
}

/* libbpf holds all types of the kernel twice for a moment: some thousand pages, of which each costs
 * a fault. With huge pages it is a handful (16 % of the CPU time of a start); where there are none,
 * at least the second one comes out of what the first has left. */
static void make_room(void)
{
	const size_t huge = 2U << 20;
	char *room;

	mallopt(M_MMAP_THRESHOLD, (int)(2 * ROOM_BYTES));
	mallopt(M_TRIM_THRESHOLD, (int)(2 * ROOM_BYTES));
	room = malloc(ROOM_BYTES);
	if (room)
		madvise((void *)(((uintptr_t)room + huge - 1) & ~(huge - 1)), ROOM_BYTES - huge,
			MADV_HUGEPAGE);
	free(room);
}

static void leave_room(void)
{
	/* As they were; see mallopt(3). */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	mallopt(M_TRIM_THRESHOLD, 128 << 10);
	malloc_trim(0);
}

static int load(struct ln_bpf *b, const struct ln_sensor_config *c, struct ln_error *err)
{
	int r;

	make_room();
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(on_libbpf_print);
	b->skel = linnet__open();
	if (!b->skel)
		return load_error(errno, err);
	for (size_t i = 0; i < c->n_dns_ports; i++)
		b->skel->rodata->cfg_dns_ports[i] = c->dns_ports[i];
	b->skel->rodata->cfg_adopts = c->adopts;
	if (!c->adopts) {
		bpf_program__set_autoload(b->skel->progs.on_seed_task, false);
		/* The kernel makes room for as many at once. */
		bpf_map__set_max_entries(b->skel->maps.lineage, 1);
	}
	switch_off_missing(b);
	r = ln_bpf_permits_prepare(b, c, err);
	if (r < 0)
		return r;
	ln_bpf_unix_prepare(b);
	ln_bpf_names_read(&b->names);
	ln_bpf_compat_prepare(b);
	ln_bpf_sweep_prepare(b, c);
	r = ln_bpf_lsm_choose(b, c->guard, err);
	ln_bpf_names_done(&b->names);
	if (r < 0)
		return r;
	r = linnet__load(b->skel);
	leave_room();
	return r < 0 ? load_error(-r, err) : ln_bpf_permits_open(b, err);
}

static bool is_wanted(const struct ln_bpf *b, const struct hook *h)
{
	return (h->where != AT_KERNEL_DEEP || b->deep) &&
	       (h->where != ON_ADOPTION || b->skel->rodata->cfg_adopts);
}

const char *ln_bpf_without(const char *hook)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(hooks); i++)
		if (strcmp(hooks[i].name, hook) == 0)
			return hooks[i].without;
	return "something is not seen";
}

static int attach_all(struct ln_bpf *b, struct ln_error *err)
{
	ln_bpf_add_fact(
	    b, "skc_to_mptcp_sock", b->skel->rodata->cfg_has_mptcp_sock, false, "%s",
	    b->skel->rodata->cfg_has_mptcp_sock ? "" : "further paths of MPTCP are not seen");
	ln_bpf_add_fact(b, "sk_storage_get", b->skel->rodata->cfg_has_sock_trace, false, "%s",
			b->skel->rodata->cfg_has_sock_trace ? ""
							    : "who listens for TCP is not known");
	for (size_t i = 0; i < LN_ARRAY_SIZE(hooks); i++) {
		if (!is_wanted(b, &hooks[i]))
			continue;
		if (!bpf_program__autoload(hook_program(b, &hooks[i]))) {
			if (!ln_bpf_lsm_is_missed(b, hooks[i].at))
				continue;
			ln_bpf_add_fact(b, hooks[i].name, false, false,
					"%s (this kernel lacks what it needs)", hooks[i].without);
			continue;
		}
		int r = attach_hook(b, &hooks[i], err);
		if (r < 0)
			return r;
	}
	ln_bpf_add_fact(
	    b, "first in line", b->is_first, false, "%s",
	    b->is_first ? "" : "what a program of a cgroup below has rewritten is taken for named");
	return 0;
}

int ln_bpf_cover(struct ln_bpf *b, int cgroup_fd, struct ln_error *err)
{
	int fd = bpf_map__fd(b->skel->maps.covered_cgroups), r;
	struct stat st;
	__u8 one;
	__u64 id;

	if (fstat(cgroup_fd, &st) < 0)
		return ln_error_set(err, errno, "cannot look at the cgroup: %s", strerror(errno));
	/* The inode of a cgroup2 directory is the cgroup's id (fs/kernfs/mount.c). */
	id = st.st_ino;
	if (bpf_map_lookup_elem(fd, &id, &one) == 0)
		return 0; /* by an earlier root: twice would count twice */
	if (b->n_cover == LN_ABI_COVER_MAX)
		return ln_error_set(err, ENOSPC, "the tree is spread over more than %d cgroups",
				    LN_ABI_COVER_MAX);
	r = keep_link(b, bpf_program__attach_cgroup(b->skel->progs.on_egress, cgroup_fd));
	if (r == 0)
		r = keep_link(b, bpf_program__attach_cgroup(b->skel->progs.on_ingress, cgroup_fd));
	if (r < 0)
		return ln_error_set(err, -r, "cannot attach to the agent's cgroup: %s",
				    strerror(-r));
	one = 1;
	if (bpf_map_update_elem(fd, &id, &one, BPF_ANY) < 0)
		return ln_error_set(err, errno, "cannot register the agent's cgroup: %s",
				    strerror(errno));
	b->n_cover++;
	ln_bpf_inspect_cover(b, cgroup_fd);
	return 0;
}

int ln_bpf_track_pid(struct ln_bpf *b, uint32_t agent, uint32_t pid, struct ln_error *err)
{
	struct ln_abi_task task = {.agent = agent, .since_ns = ln_clock_mono_ns()};
	int fd = bpf_map__fd(b->skel->maps.tasks);

	if (bpf_map_update_elem(fd, &pid, &task, BPF_NOEXIST) == 0)
		__atomic_fetch_add(&b->skel->bss->tasks_living, 1, __ATOMIC_RELAXED);
	else if (errno != EEXIST)
		return ln_error_set(err, errno, "cannot register process %u: %s", pid,
				    strerror(errno));
	b->n_tracked++;
	return 0;
}

static int track(struct ln_sensor *s, uint32_t agent, uint32_t pid, int cgroup_fd,
		 struct ln_error *err)
{
	struct ln_bpf *b = (struct ln_bpf *)s;
	int r = 0;

	if (cgroup_fd >= 0)
		r = ln_bpf_cover(b, cgroup_fd, err);
	else
		ln_bpf_add_fact(b, "UDP byte counts", false, false,
				"the agent has no cgroup of its own: UDP is told at connect");
	if (r == 0)
		r = ln_bpf_permits_hold(b, agent, cgroup_fd, err);
	if (r == 0)
		r = ln_bpf_track_pid(b, agent, pid, err);
	if (r == 0)
		r = ln_bpf_mark_listeners(b, err);
	/* It may have sockets already, from whoever started us. */
	b->unnamed_pid = pid;
	if (r == 0)
		r = ln_bpf_mark_sockets(b, pid, err);
	if (r == 0) {
		const struct ln_event ev = {.kind = LN_EVENT_ADOPT, .agent = agent, .pid = pid};
		ln_bpf_inspect_note(b, &ev);
	}
	return r < 0 ? r : ln_bpf_sweep_first(b, agent, pid, err);
}

static int adopt(struct ln_sensor *s, uint32_t agent, uint32_t pid, struct ln_error *err)
{
	struct ln_bpf *b = (struct ln_bpf *)s;
	int r = ln_bpf_permits_hold(b, agent, -1, err);

	return r < 0 ? r : ln_bpf_adopt(b, agent, pid, err);
}

static int seal(struct ln_sensor *s, struct ln_error *err)
{
	return ln_bpf_seal((struct ln_bpf *)s, err);
}

static void inspect(struct ln_sensor *s, ln_event_fn fn, void *user)
{
	ln_bpf_inspect((struct ln_bpf *)s, fn, user);
	ln_bpf_sweep((struct ln_bpf *)s, fn, user);
}

static int get_fd(struct ln_sensor *s)
{
	return ((struct ln_bpf *)s)->epoll_fd;
}

static int dispatch(struct ln_sensor *s, ln_event_fn fn, void *user)
{
	return ln_bpf_ring_dispatch((struct ln_bpf *)s, fn, user);
}

static int drain(struct ln_sensor *s, ln_event_fn fn, void *user)
{
	struct ln_bpf *b = (struct ln_bpf *)s;
	int r;

	ln_bpf_sweep_ends(b);
	b->unix_last = true;
	r = ln_bpf_ring_drain(b, fn, user);
	b->unix_last = false;
	return r;
}

/* Only a hint: when the kernel does not take it (before 5.19 an unprivileged process may not write
 * maps), alerts and counts are the same, wake-ups are more. */
static void hint(struct ln_sensor *s, const struct ln_hint *h)
{
	struct ln_bpf *b = (struct ln_bpf *)s;
	struct ln_abi_verdict verdict = {.until_ns = h->until_ns};
	struct ln_abi_dest dest = {
	    .agent = h->agent,
	    .port = h->remote.port,
	    .proto = h->proto,
	    .family = h->remote.addr.family,
	};
	struct ln_bpf_hint *known;
	uint64_t now_ns;

	memcpy(dest.addr, h->remote.addr.bytes, sizeof(dest.addr));
	if (h->question != 0) {
		dest = (struct ln_abi_dest){.agent = h->agent, .proto = IPPROTO_UDP};
		memcpy(dest.addr, &h->question, sizeof(h->question));
	}
	known = &b->hints[XXH3_64bits(&dest, sizeof(dest)) & (LN_BPF_HINTS - 1)];
	now_ns = ln_clock_mono_ns();
	if (!memcmp(&known->dest, &dest, sizeof(dest)) && known->until_ns <= h->until_ns &&
	    known->until_ns > now_ns + (h->until_ns - now_ns) / 2)
		return;
	if (bpf_map_update_elem(bpf_map__fd(b->skel->maps.verdicts), &dest, &verdict, BPF_ANY) == 0)
		*known = (struct ln_bpf_hint){.dest = dest, .until_ns = h->until_ns};
}

static size_t facts(struct ln_sensor *s, const struct ln_sensor_fact **ret)
{
	struct ln_bpf *b = (struct ln_bpf *)s;

	*ret = b->facts;
	return b->n_facts;
}

static bool hook_works(const char *hook, void *user)
{
	const struct ln_bpf *b = user;

	/* These are attached to the cgroups of the tree, when it has some. */
	if (b->n_tracked > 0 && b->n_cover == 0 && strncmp(hook, "cgroup_skb/", 11) == 0)
		return false;
	for (size_t i = 0; i < b->n_facts; i++)
		if (!strcmp(b->facts[i].name, hook))
			return b->facts[i].works;
	return false;
}

static size_t channels(struct ln_sensor *s, const struct ln_channel_fact **ret)
{
	struct ln_bpf *b = (struct ln_bpf *)s;

	*ret = b->channels;
	return ln_bpf_channels(hook_works, b, b->channels);
}

static uint64_t living(struct ln_sensor *s)
{
	struct ln_bpf *b = (struct ln_bpf *)s;
	uint64_t n = __atomic_load_n(&b->skel->bss->tasks_living, __ATOMIC_RELAXED);

	/* The count does not know who was taken out from outside. */
	return n - LN_MIN(n, b->inspect.taken_ended);
}

static void bpf_free(struct ln_sensor *s)
{
	struct ln_bpf *b = (struct ln_bpf *)s;

	ln_bpf_ring_close(b);
	ln_bpf_unix_close(b);
	ln_bpf_sweep_close(b);
	while (b->n_links > 0)
		close(b->links[--b->n_links]);
	linnet__destroy(b->skel);
	ln_bpf_permits_done(b);
	ln_closep(&b->cgroup_root_fd);
	ln_bpf_adopted_done(b);
	ln_bpf_inspect_done(b);
	ln_bpf_cgroups_done(b);
	free(b);
}

static const struct ln_sensor_ops bpf_ops = {
    .name = "bpf",
    .track = track,
    .adopt = adopt,
    .seal = seal,
    .fd = get_fd,
    .dispatch = dispatch,
    .drain = drain,
    .hint = hint,
    .trust = ln_bpf_trust,
    .grant = ln_bpf_grant,
    .revoke = ln_bpf_revoke,
    .set_policy = ln_bpf_set_policy,
    .cut = ln_bpf_cut,
    .let_go = ln_bpf_let_go,
    .living = living,
    .facts = facts,
    .inspect = inspect,
    .channels = channels,
    .free = bpf_free,
};

int ln_sensor_bpf_new(int cgroup_root_fd, const struct ln_sensor_config *c, struct ln_error *err,
		      struct ln_sensor **ret)
{
	LN_CLEANUP(ln_sensor_free) struct ln_sensor *s = NULL;
	struct ln_bpf *b;
	int r;

	if (c->n_dns_ports > LN_ABI_DNS_PORTS)
		return ln_error_set(err, EINVAL, "resolvers on more than %d ports; use fewer",
				    LN_ABI_DNS_PORTS);
	b = calloc(1, sizeof(*b));
	if (!b)
		return ln_error_set(err, ENOMEM, "out of memory");
	s = &b->base;
	s->ops = &bpf_ops;
	b->epoll_fd = b->timer_fd = b->sweep.timer_fd = -1;
	b->deep = c->deep;
	b->cgroup_root_fd = fcntl(cgroup_root_fd, F_DUPFD_CLOEXEC, 3);
	if (b->cgroup_root_fd < 0)
		return ln_error_set(err, errno, "cannot keep the cgroup root: %s", strerror(errno));
	r = load(b, c, err);
	if (r == 0)
		r = attach_all(b, err);
	if (r == 0)
		r = ln_bpf_unix_open(b, err);
	if (r == 0)
		r = ln_bpf_sweep_open(b, c, err);
	if (r == 0)
		r = ln_bpf_ring_open(b, err);
	if (r < 0)
		return r;
	*ret = LN_TAKE_PTR(s);
	return 0;
}
