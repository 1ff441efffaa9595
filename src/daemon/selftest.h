/* SPDX-License-Identifier: Apache-2.0 */
/* Proof that the sensor is not blind: processes of linnet's own use the ways out (probes.h) in a
 * private network namespace, each from a process of a tracked tree; the real sensor and the real
 * engine must tell each, with the right owner. What the sensor calls BLIND is not tried. Tried once
 * more with a sensor that blocks, what it calls refusable must fail with EPERM. */
#ifndef LINNET_DAEMON_SELFTEST_H
#define LINNET_DAEMON_SELFTEST_H

#include <stdbool.h>
#include <stdint.h>
#include "probes.h"
#include "watch.h"

#define LN_SELFTEST_TIMEOUT_MS 2000

enum ln_probe_end {
	LN_PROBE_CAUGHT,  /* of refusals: failed with EPERM */
	LN_PROBE_MISSED,  /* though something is attached that should have seen or refused it */
	LN_PROBE_BLIND,   /* not tried: nothing here sees, or could refuse it */
	LN_PROBE_UNTRIED, /* this machine does not let it happen: `error` */
};

struct ln_probe_result {
	const char *name;    /* of the probe */
	const char *channel; /* the row of the sensor's table that it is about; NULL: it has none */
	enum ln_probe_end end;
	uint64_t latency_ns; /* from the call to the finding */
	int error;
};

struct ln_selftest {
	struct ln_probe_result results[LN_PROBES_MAX];
	size_t n;
};

/* `s` is fresh: nothing else is watched by it. refusals: it blocks under a policy that permits
 * nothing, and that is what is tested; what has no right to happen here anyway looks refused. */
int ln_selftest_run(struct ln_sensor *s, const struct ln_sensor_kind *kind, bool refusals,
		    struct ln_error *err, struct ln_selftest *ret);

#endif
