/* SPDX-License-Identifier: Apache-2.0 */
/* BPF LSM: whether it works here, which of its programs are wanted, and what the guard protects. */
#include "bpf_private.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "linnet.skel.h"
#include "lsm_probe.skel.h"

/* include/uapi/linux/lsm.h, since Linux 6.8; the same number on all architectures. */
#define NR_lsm_list_modules 461
#define LSM_ID_BPF          110
#define LSM_IDS_MAX         32

/* A program of lsm.bpf.c: its hook in the kernel, and the older hook that makes it superfluous. */
struct lsm_hook {
	size_t at; /* offset in the skeleton's list of programs */
	const char *function;
	size_t instead_of; /* the same; 0: nothing */
	bool guard;        /* only for the guard */
};

#define PROG(member) offsetof(struct linnet, progs.member)

static const struct lsm_hook lsm_hooks[] = {
    {PROG(on_lsm_ptrace), "bpf_lsm_ptrace_access_check", 0, false},
    {PROG(on_lsm_receive), "bpf_lsm_file_receive", 0, false},
    {PROG(on_lsm_socket), "bpf_lsm_socket_create", PROG(on_capable), false},
    {PROG(on_lsm_kill), "bpf_lsm_task_kill", 0, true},
    {PROG(on_lsm_bpf), "bpf_lsm_bpf", 0, true},
};

static struct bpf_program *program_at(const struct ln_bpf *b, size_t at)
{
	return *(struct bpf_program **)((char *)b->skel + at);
}

/* Loads, attaches, and is called: each of the three fails on some kernels. */
static bool lsm_works(void)
{
	struct lsm_probe *probe = lsm_probe__open_and_load();
	bool works = false;

	if (probe && lsm_probe__attach(probe) == 0) {
		__u32 id = 0;

		/* Any bpf system call does. */
		(void)bpf_prog_get_next_id(0, &id);
		works = *(volatile __u64 *)&probe->bss->stat_calls > 0;
	}
	lsm_probe__destroy(probe);
	return works;
}

/* Asking costs nothing, trying parses all the kernel's types. Before Linux 6.8 nobody can be asked
 * which security modules are active. */
static bool lsm_may_work(void)
{
	const struct bpf_insn nothing[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K},
					   {.code = BPF_JMP | BPF_EXIT}};
	DECLARE_LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC);
	uint64_t ids[LSM_IDS_MAX];
	uint32_t size = sizeof(ids);
	long n = syscall(NR_lsm_list_modules, ids, &size, 0);
	bool active = n < 0;
	int fd;

	for (long i = 0; i < n; i++)
		active = active || ids[i] == LSM_ID_BPF;
	if (!active)
		return false;
	/* It has no function to hang on: where such programs are let in it is invalid. */
	fd = bpf_prog_load(BPF_PROG_TYPE_LSM, NULL, "GPL", nothing, LN_ARRAY_SIZE(nothing), &opts);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || (errno != EPERM && errno != EACCES);
}

bool ln_bpf_lsm_is_missed(const struct ln_bpf *b, size_t at)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(lsm_hooks); i++) {
		const struct lsm_hook *h = &lsm_hooks[i];

		if (h->at == at)
			return !h->guard && !(h->instead_of &&
					      bpf_program__autoload(program_at(b, h->instead_of)));
	}
	return true;
}

int ln_bpf_lsm_choose(struct ln_bpf *b, bool guard, struct ln_error *err)
{
	bool works = ln_bpf_names_have(&b->names, "bpf_lsm_bpf") &&
		     ln_bpf_names_have(&b->names, "BPF_FUNC_get_current_task_btf") &&
		     lsm_may_work() && lsm_works();
	size_t n_guard = 0;

	for (size_t i = 0; i < LN_ARRAY_SIZE(lsm_hooks); i++) {
		const struct lsm_hook *h = &lsm_hooks[i];
		bool wanted =
		    works && ln_bpf_names_have(&b->names, h->function) && (!h->guard || guard);

		/* It tells as much as the older hook; but only this one can refuse. */
		if (h->instead_of && !b->permits.on &&
		    bpf_program__autoload(program_at(b, h->instead_of)))
			wanted = false;
		bpf_program__set_autoload(program_at(b, h->at), wanted);
		n_guard += wanted && h->guard;
	}
	if (!guard)
		return 0;
	if (n_guard < 2 || !bpf_program__autoload(b->skel->progs.on_lsm_ptrace))
		return ln_error_set(err, ENOTSUP,
				    "the guard is not possible here: it needs BPF LSM (a kernel "
				    "with CONFIG_BPF_LSM, and \"bpf\" in its lsm= boot option); "
				    "leave --guard away: attacks on linnet are then noticed and "
				    "told, but not refused");
	b->skel->rodata->cfg_guard = 1;
	return 0;
}

/* As lsm.bpf.c has it. */
struct own_object {
	__u32 kind, id;
};

static int protect(struct ln_bpf *b, __u32 kind, __u32 id)
{
	const struct own_object object = {.kind = kind, .id = id};
	const __u8 one = 1;

	if (!id)
		return -ENOENT;
	return bpf_map_update_elem(bpf_map__fd(b->skel->maps.own_objects), &object, &one, BPF_ANY);
}

static __u32 id_of(int fd, __u32 kind)
{
	union {
		struct bpf_map_info map;
		struct bpf_prog_info prog;
		struct bpf_link_info link;
	} info = {0};
	__u32 len = kind == BPF_MAP_GET_FD_BY_ID    ? sizeof(info.map)
		    : kind == BPF_PROG_GET_FD_BY_ID ? sizeof(info.prog)
						    : sizeof(info.link);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return 0;
	return kind == BPF_MAP_GET_FD_BY_ID    ? info.map.id
	       : kind == BPF_PROG_GET_FD_BY_ID ? info.prog.id
					       : info.link.id;
}

static int protect_link(struct ln_bpf *b, int fd)
{
	return protect(b, BPF_LINK_GET_FD_BY_ID, id_of(fd, BPF_LINK_GET_FD_BY_ID));
}

/* Maps, programs and links as they are now; to be called when all are attached. */
int ln_bpf_lsm_protect(struct ln_bpf *b, struct ln_error *err)
{
	const struct bpf_link *const walks[] = {b->sweep.tasks,     b->sweep.files, b->sweep.seed,
						b->sweep.held_back, b->unix_waits,  b->unix_files};
	struct bpf_program *prog;
	struct bpf_map *map;
	int r = 0;

	if (!b->skel->rodata->cfg_guard)
		return 0;
	bpf_object__for_each_map (map, b->skel->obj)
		if (bpf_map__fd(map) >= 0)
			r |= protect(b, BPF_MAP_GET_FD_BY_ID,
				     id_of(bpf_map__fd(map), BPF_MAP_GET_FD_BY_ID));
	bpf_object__for_each_program (prog, b->skel->obj)
		if (bpf_program__fd(prog) >= 0)
			r |= protect(b, BPF_PROG_GET_FD_BY_ID,
				     id_of(bpf_program__fd(prog), BPF_PROG_GET_FD_BY_ID));
	for (size_t i = 0; i < b->n_links; i++)
		r |= protect_link(b, b->links[i]);
	for (size_t i = 0; i < LN_ARRAY_SIZE(walks); i++)
		r |= walks[i] ? protect_link(b, bpf_link__fd(walks[i])) : 0;
	return r ? ln_error_set(err, ENOSPC, "the guard cannot protect all of linnet's probes") : 0;
}
