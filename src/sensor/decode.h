/* SPDX-License-Identifier: Apache-2.0 */
/* One record of the kernel side (abi/event_abi.h) → one event. The only reader of the ABI besides
 * bpf.c. A record that is shorter than its kind says, or carries a value out of range, is refused:
 * the kernel side is ours, but a check costs nothing and its absence would. */
#ifndef LINNET_SENSOR_DECODE_H
#define LINNET_SENSOR_DECODE_H

#include <linux/types.h>
#include "event_abi.h"
#include "engine/event.h"

struct ln_decoder {
	int64_t wall_offset_ns; /* wall clock minus monotonic clock */
	char exe[2 * LN_ABI_EXE_MAX + 2];
	struct ln_flow flow; /* of a channel */
};

/* 0 or -EBADMSG. Pointers in *ret are borrowed from the record and from the decoder. */
int ln_decode(struct ln_decoder *d, const void *record, size_t len, struct ln_event *ret);
/* Why events were lost, in words; static text. */
const char *ln_decode_lost_text(enum ln_abi_lost why);
/* "ptrace", for those that lead to a channel; static text, NULL for all others. */
const char *ln_decode_syscall_text(uint32_t number);

#endif
