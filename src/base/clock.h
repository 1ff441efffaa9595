/* SPDX-License-Identifier: Apache-2.0 */
/* Three clocks: monotonic for order and expiry, wall for people, boot to tell when that is set. */
#ifndef LINNET_BASE_CLOCK_H
#define LINNET_BASE_CLOCK_H

#include <stdint.h>

#define LN_TIME_TEXT_MAX 32

uint64_t ln_clock_mono_ns(void);
uint64_t ln_clock_boot_ns(void); /* as monotonic, and goes on while the machine is suspended */
uint64_t ln_clock_wall_ns(void);
/* RFC 3339 in UTC: "2023-10-26T14:32:07Z", with `digits` (0, 3, 6, 9) of a second's fraction. */
const char *ln_time_format(uint64_t wall_ns, int digits, char buf[LN_TIME_TEXT_MAX]);

#endif
