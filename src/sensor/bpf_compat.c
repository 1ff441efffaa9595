/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the linked object says of its functions (its BTF), said otherwise where a kernel would
 * refuse the whole object for it. Before the load, in the memory that libbpf reads again then; only
 * bytes in place: what libbpf adds to a BTF moves it, and its own pointers into it go stale.
 */
#include "bpf_private.h"

#include <string.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "linnet.skel.h"
#include "pointer_probe.skel.h"

/* Before Linux 6.18 it is not there. Since 7.0 there is one of this name again, with another type,
 * which libbpf takes for a mistake; the programs then call the one without `_impl`. */
#define TASK_WORK "bpf_task_work_schedule_resume_impl"

/* By its values the kernel tells what programs may call. */
#define CALLABLE "KF_" TASK_WORK

/* A program that calls what the kernel has not would take the others with it. */
static const struct {
	size_t at; /* offset in the skeleton's list of programs */
	const char *needs;
} needs[] = {
    {offsetof(struct linnet, progs.on_mark_file), "BPF_FUNC_sock_from_file"},
    {offsetof(struct linnet, progs.on_seed_file), "BPF_FUNC_sock_from_file"},
    {offsetof(struct linnet, progs.on_sweep_file), "BPF_FUNC_sock_from_file"},
    {offsetof(struct linnet, progs.on_progress), "BPF_FUNC_sock_from_file"},
    {offsetof(struct linnet, progs.on_signal), "BPF_FUNC_get_current_task_btf"},
    {offsetof(struct linnet, progs.on_wait), "BPF_FUNC_get_current_task_btf"},
    {offsetof(struct linnet, progs.on_held_back), "BPF_FUNC_for_each_map_elem"},
    {offsetof(struct linnet, progs.on_unseen_ends), "BPF_FUNC_for_each_map_elem"},
};

static const char *const contexts[] = {"__sk_buff", "bpf_sock_addr", "bpf_sock"};

/* A function that is not found is no mistake, as it is weak. */
static void hide_function(struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	char *text;

	if (id < 0)
		return;
	text = (char *)btf__name_by_offset(btf, btf__type_by_id(btf, (uint32_t)id)->name_off);
	text[strlen(text) - 1] = '_';
}

static bool is_context(const struct btf *btf, uint32_t type)
{
	const char *name = btf__name_by_offset(btf, btf__type_by_id(btf, type)->name_off);

	for (size_t i = 0; i < LN_ARRAY_SIZE(contexts); i++)
		if (!strcmp(name, contexts[i]))
			return true;
	return false;
}

static bool takes_pointer(const struct btf *btf, const struct btf_type *func)
{
	const struct btf_type *proto = btf__type_by_id(btf, func->type);
	const struct btf_param *params = btf_params(proto);

	for (int i = 0; i < btf_vlen(proto); i++) {
		const struct btf_type *t = btf__type_by_id(btf, params[i].type);

		if (t && btf_is_ptr(t) && !is_context(btf, t->type))
			return true;
	}
	return false;
}

static bool kernel_takes_pointers(void)
{
	struct pointer_probe *probe = pointer_probe__open_and_load();
	bool takes = probe != NULL;

	pointer_probe__destroy(probe);
	return takes;
}

/* The verifier then goes through such a function for each of its callers, with what that one
 * passes. */
static void make_static(struct btf *btf)
{
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		struct btf_type *t = (struct btf_type *)btf__type_by_id(btf, id);

		/* Its linkage stands where others count their members. */
		if (btf_is_func(t) && btf_vlen(t) == BTF_FUNC_GLOBAL && takes_pointer(btf, t))
			t->info = (uint32_t)BTF_KIND_FUNC << 24 | BTF_FUNC_STATIC;
	}
}

void ln_bpf_compat_prepare(struct ln_bpf *b)
{
	struct btf *btf = bpf_object__btf(b->skel->obj);

	for (size_t i = 0; i < LN_ARRAY_SIZE(needs); i++)
		if (!ln_bpf_names_have(&b->names, needs[i].needs))
			bpf_program__set_autoload(
			    *(struct bpf_program **)((char *)b->skel + needs[i].at), false);
	/* It came with the helper of tracing programs (5.12), which has no other name of its own.
	 */
	b->skel->rodata->cfg_has_sock_trace =
	    ln_bpf_names_have(&b->names, "bpf_get_socket_ptr_cookie");
	if (!ln_bpf_names_have(&b->names, CALLABLE))
		hide_function(btf, TASK_WORK);
	/* This helper is newer than what the probe looks for. */
	if (!b->skel->rodata->cfg_has_current_task && !kernel_takes_pointers()) {
		make_static(btf);
		b->skel->rodata->cfg_pieces = LN_ABI_FIRST_BYTES / LN_ABI_BYTES_MAX;
	}
}
