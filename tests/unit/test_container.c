/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/macros.h"
#include "proc/cgroups.h"

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define POD   "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2_3.slice/"

static void assert_part(const char *at, size_t len, const char *want, const char *path)
{
	if (len != (want ? strlen(want) : 0) || (want && memcmp(at, want, len) != 0))
		fail_msg("%s: \"%.*s\" instead of %s", path, (int)len, at ? at : "",
			 want ? want : "nothing");
}

static void container_paths(void **state)
{
	static const struct {
		const char *path, *runtime, *id, *unit;
	} rows[] = {
	    {"/", NULL, NULL, NULL},
	    {"", NULL, NULL, NULL},
	    {"/linnet-4711", NULL, NULL, NULL},
	    {"/user.slice/user-1000.slice/session-3.scope", NULL, NULL, "session-3.scope"},
	    {"/user.slice/user-1000.slice/session-3.scope/linnet-4711", NULL, NULL,
	     "session-3.scope"},
	    {"/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope", NULL, NULL,
	     "app-x.scope"},
	    {"/system.slice/agent.service", NULL, NULL, "agent.service"},
	    {"//system.slice//agent.service/", NULL, NULL, "agent.service"},
	    {"/docker/" ID, "docker", ID, NULL},
	    {"/system.slice/docker-" ID ".scope", "docker", ID, "system.slice"},
	    {"/docker/" ID "/docker/" OTHER, "docker", OTHER, NULL},
	    {"/machine.slice/libpod-" ID ".scope/container", "podman", ID, "machine.slice"},
	    {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
	     "podman", ID, "user.slice"},
	    {"/libpod_parent/libpod-" ID, "podman", ID, NULL},
	    {"/machine.slice/libpod-conmon-" ID ".scope", NULL, NULL, "libpod-conmon-" ID ".scope"},
	    {POD "crio-" ID ".scope", "cri-o", ID, "kubepods-burstable-pod1_2_3.slice"},
	    {POD "cri-containerd-" ID ".scope", "containerd", ID,
	     "kubepods-burstable-pod1_2_3.slice"},
	    {"/kubepods/besteffort/pod1-2-3/" ID, "kubernetes", ID, NULL},
	    {"/system.slice/kubepods-pod1.slice:cri-containerd:" ID, "containerd", ID,
	     "system.slice"},
	    {"/system.slice/x.slice:docker:" ID, "docker", ID, "system.slice"},
	    {"/system.slice/x.slice:new:" ID, NULL, ID, "system.slice"},
	    {"/user.slice/nerdctl-" ID ".scope", "nerdctl", ID, "user.slice"},
	    {"/default/" ID, NULL, ID, NULL},
	    {"/ecs/task/" ID, "ecs", ID, NULL},
	    {"/docker/buildkit/0123456789abcdefghijklmno", "buildkit", "0123456789abcdefghijklmno",
	     NULL},
	    /* What only looks like it. */
	    {"/docker/0123", NULL, NULL, NULL},
	    {"/docker/" ID "0", NULL, NULL, NULL},
	    {"/docker/" ID "x.scope", NULL, NULL, "" ID "x.scope"},
	    {"/docker/0123456789abcdefghijklmno", NULL, NULL, NULL},
	    {"/docker-.scope", NULL, NULL, "docker-.scope"},
	    {"/:" ID, NULL, ID, NULL},
	    {"/.service", NULL, NULL, NULL},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		struct ln_container c;

		ln_container_parse(rows[i].path, strlen(rows[i].path), &c);
		assert_part(c.id, c.id_len, rows[i].id, rows[i].path);
		assert_part(c.unit, c.unit_len, rows[i].unit, rows[i].path);
		if (!c.runtime != !rows[i].runtime ||
		    (c.runtime && strcmp(c.runtime, rows[i].runtime) != 0))
			fail_msg("%s: runtime %s", rows[i].path, c.runtime);
	}
}

/* Nothing is read past the length, wherever the path ends. */
static void container_cut_anywhere(void **state)
{
	static const char path[] = "/system.slice/docker-" ID ".scope/buildkit/a:" OTHER;

	for (size_t len = 0; len < sizeof(path); len++) {
		char *copy = malloc(len + 1); /* exactly as long as it is told, for ASan */
		struct ln_container c;

		assert_non_null(copy);
		memcpy(copy, path, len);
		ln_container_parse(copy, len, &c);
		assert_true(c.id_len == 0 || (c.id >= copy && c.id + c.id_len <= copy + len));
		assert_true(c.unit_len == 0 ||
			    (c.unit >= copy && c.unit + c.unit_len <= copy + len));
		free(copy);
	}
}

static void put(struct ln_cgroups *c, uint64_t id, const char *path)
{
	ln_cgroups_put(c, id, path, strlen(path));
}

static void cgroups_are_found(void **state)
{
	struct ln_cgroups *c = ln_cgroups_new(4);
	const struct ln_cgroup_info *found;

	assert_null(ln_cgroups_find(c, 1));
	put(c, 1, "/docker/" ID);
	put(c, 2, "/system.slice/a.service");
	found = ln_cgroups_find(c, 1);
	assert_string_equal(found->path, "/docker/" ID);
	assert_int_equal(found->in.id_len, 64);
	assert_ptr_equal(found->in.id, found->path + strlen("/docker/"));
	assert_null(ln_cgroups_find(c, 0)); /* not known is no cgroup */
	/* Renamed: its new path counts. */
	put(c, 1, "/system.slice/b.service");
	assert_string_equal(ln_cgroups_find(c, 1)->path, "/system.slice/b.service");
	assert_int_equal(ln_cgroups_find(c, 1)->in.id_len, 0);
	assert_string_equal(ln_cgroups_find(c, 2)->path, "/system.slice/a.service");
	ln_cgroups_free(&c);
	assert_null(c);
	ln_cgroups_free(&c);
}

static void cgroups_are_bounded(void **state)
{
	struct ln_cgroups *c = ln_cgroups_new(8);

	/* What is asked for outlives any number of others. */
	put(c, 1, "/kept");
	for (uint64_t id = 2; id < 1000; id++) {
		assert_non_null(ln_cgroups_find(c, 1));
		put(c, id, "/passing");
	}
	assert_string_equal(ln_cgroups_find(c, 1)->path, "/kept");
	assert_non_null(ln_cgroups_find(c, 999));
	assert_null(ln_cgroups_find(c, 2));
	assert_int_equal(ln_cgroups_evicted(c), 999 - 8);
	/* All were asked for: one goes all the same. */
	for (uint64_t id = 1; id < 1000; id++)
		ln_cgroups_find(c, id);
	put(c, 1000, "/new");
	assert_non_null(ln_cgroups_find(c, 1000));
	assert_int_equal(ln_cgroups_evicted(c), 999 - 8 + 1);
	ln_cgroups_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(container_paths),
	    cmocka_unit_test(container_cut_anywhere),
	    cmocka_unit_test(cgroups_are_found),
	    cmocka_unit_test(cgroups_are_bounded),
	};

	return cmocka_run_group_tests_name("container", tests, NULL, NULL);
}
