/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the ways out: what of each is seen with the hooks that are attached here. A row
 * names hooks by their names in `hooks` of bpf.c, and is live as soon as all of a set work. */
#ifndef LINNET_SENSOR_BPF_CHANNELS_H
#define LINNET_SENSOR_BPF_CHANNELS_H

#include "sensor.h"

#define LN_BPF_CHANNELS_MAX 32

typedef bool (*ln_hook_works_fn)(const char *hook, void *user);

/* Returns how many rows were filled. */
size_t ln_bpf_channels(ln_hook_works_fn works, void *user,
		       struct ln_channel_fact ret[LN_BPF_CHANNELS_MAX]);

#endif
