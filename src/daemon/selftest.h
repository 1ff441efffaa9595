/* SPDX-License-Identifier: Apache-2.0 */
/* Proof that the sensor is not blind: in a private network namespace a process of linnet's own
 * connects by TCP and sends a datagram by UDP to a listener outside its tree; the real sensor and
 * the real engine must tell both, with the right owner, as unexpected. */
#ifndef LINNET_DAEMON_SELFTEST_H
#define LINNET_DAEMON_SELFTEST_H

#include <stdbool.h>
#include <stdint.h>
#include "watch.h"

#define LN_SELFTEST_TIMEOUT_MS 2000

enum ln_selftest_probe { LN_SELFTEST_TCP, LN_SELFTEST_UDP, LN_SELFTEST_COUNT };

struct ln_selftest {
	struct {
		bool caught;
		uint64_t latency_ns; /* from the call to the finding */
	} probes[LN_SELFTEST_COUNT];
};

/* `s` is fresh: nothing else is watched by it. */
int ln_selftest_run(struct ln_sensor *s, const struct ln_sensor_kind *kind, struct ln_error *err,
		    struct ln_selftest *ret);

#endif
