/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is on the other side of a UNIX socket. The kernel side keeps events back until that is known,
 * see bpf/local.bpf.c; here its iterators are run, through links that are kept: that needs no
 * privilege. One walk over the host serves all that wait, at most each WALK_NS.
 */
#include "bpf_private.h"

#include <errno.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "base/clock.h"
#include "linnet.skel.h"

/* enum bpf_attach_type since Linux 6.7; older headers do not have them. */
#define CGROUP_UNIX_CONNECT ((enum bpf_attach_type)49)
#define CGROUP_UNIX_SENDMSG ((enum bpf_attach_type)50)

#define WALK_NS (10 * LN_NS_PER_MS)

/* Whether a program can hang there: it returns 1, which allows. */
static bool kernel_has_hook(enum bpf_attach_type type)
{
	const struct bpf_insn allow[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type);
	LN_AUTO_CLOSE int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "linnet_probe", "GPL",
					     allow, LN_ARRAY_SIZE(allow), &opts);

	return fd >= 0;
}

void ln_bpf_unix_prepare(struct ln_bpf *b)
{
	bool has = kernel_has_hook(CGROUP_UNIX_CONNECT) && kernel_has_hook(CGROUP_UNIX_SENDMSG);
	struct bpf_program *const all[] = {
	    b->skel->progs.on_unix_connect,
	    b->skel->progs.on_unix_sendmsg,
	    b->skel->progs.on_unix_wait,
	    b->skel->progs.on_unix_file,
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(all); i++)
		bpf_program__set_autoload(all[i], has);
	bpf_program__set_expected_attach_type(b->skel->progs.on_unix_connect, CGROUP_UNIX_CONNECT);
	bpf_program__set_expected_attach_type(b->skel->progs.on_unix_sendmsg, CGROUP_UNIX_SENDMSG);
}

int ln_bpf_unix_open(struct ln_bpf *b, struct ln_error *err)
{
	if (!bpf_program__autoload(b->skel->progs.on_unix_wait))
		return 0;
	b->unix_waits = bpf_program__attach_iter(b->skel->progs.on_unix_wait, NULL);
	if (b->unix_waits)
		b->unix_files = bpf_program__attach_iter(b->skel->progs.on_unix_file, NULL);
	if (!b->unix_files)
		return ln_error_set(err, errno, "cannot walk the UNIX sockets in kernel: %s",
				    strerror(errno));
	return 0;
}

void ln_bpf_unix_close(struct ln_bpf *b)
{
	bpf_link__destroy(b->unix_waits);
	bpf_link__destroy(b->unix_files);
	b->unix_waits = b->unix_files = NULL;
}

static uint64_t count_of(const int64_t *counter)
{
	int64_t n = __atomic_load_n(counter, __ATOMIC_RELAXED);

	return n > 0 ? (uint64_t)n : 0;
}

uint64_t ln_bpf_unix_waiting(const struct ln_bpf *b)
{
	return b->unix_waits ? count_of((const int64_t *)&b->skel->bss->unix_waiting) : 0;
}

/* The programs write events, nothing to the iterator itself: it ends with its first read. */
static int walk(struct bpf_link *link)
{
	LN_AUTO_CLOSE int fd = bpf_iter_create(bpf_link__fd(link));
	char none[16];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = read(fd, none, sizeof(none));
	while (n < 0 && (errno == EAGAIN || errno == EINTR));
	return n < 0 ? -errno : 0;
}

/* Looks for the holders of what no socket knows. */
static int seek(struct ln_bpf *b)
{
	int r;

	b->unix_walked_ns = ln_clock_mono_ns();
	__atomic_fetch_add(&b->skel->bss->unix_walks, 1, __ATOMIC_SEQ_CST);
	r = walk(b->unix_files);
	__atomic_fetch_add(&b->skel->bss->unix_walks, 1, __ATOMIC_SEQ_CST);
	return r < 0 ? r : walk(b->unix_waits);
}

int ln_bpf_unix_tell(struct ln_bpf *b, bool force)
{
	int r;

	__atomic_store_n(&b->skel->bss->unix_force, force, __ATOMIC_RELAXED);
	r = walk(b->unix_waits);
	if (r < 0 || count_of((const int64_t *)&b->skel->bss->unix_seeking) == 0)
		return r;
	if (!force && ln_clock_mono_ns() - b->unix_walked_ns < WALK_NS)
		return 0;
	return seek(b);
}
