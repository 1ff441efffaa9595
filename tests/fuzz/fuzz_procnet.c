/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as lines of /proc/PID/net/tcp, with and without what is behind them. */
#include <stdlib.h>
#include <string.h>
#include "base/macros.h"
#include "sensor/poll_sockets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
	if (!promise)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LN_AUTO_FREE char *line = malloc(size + 1);
	struct ln_poll_socket row;

	require(line != NULL);
	memcpy(line, data, size);
	if (!ln_poll_procnet_line(line, size, 6, &row))
		return 0;
	require(row.proto == 6 && row.state < 32);
	require(row.local.addr.family == 4 || row.local.addr.family == 6);
	require(row.remote.addr.family == 4 || row.remote.addr.family == 6);
	return 0;
}
