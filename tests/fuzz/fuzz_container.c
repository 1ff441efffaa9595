/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the path of a cgroup, and as the name of a UNIX socket. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "engine/daemons.h"
#include "proc/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
	if (!promise)
		abort();
}

static void require_part(const char *path, size_t size, const char *at, size_t len)
{
	if (len == 0)
		return;
	require(at >= path && at + len <= path + size);
	require(!memchr(at, '/', len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = (const char *)data;
	struct ln_channel channel = {.path = path, .path_len = LN_MIN(size, (size_t)108)};
	struct ln_container c;

	ln_container_parse(path, size, &c);
	require_part(path, size, c.id, c.id_len);
	require_part(path, size, c.unit, c.unit_len);
	require(c.id_len == 0 || c.id_len == 25 || c.id_len == 64);
	require(c.id_len > 0 || !c.runtime);
	ln_daemon_find(&channel);
	channel.abstract = true;
	ln_daemon_find(&channel);
	return 0;
}
