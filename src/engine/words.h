/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the kernel's numbers. NULL: it has none here. */
#ifndef LINNET_ENGINE_WORDS_H
#define LINNET_ENGINE_WORDS_H

#include <stdint.h>

const char *ln_family_text(uint8_t family);          /* "AF_INET" */
const char *ln_socktype_text(uint8_t type);          /* "SOCK_STREAM" */
const char *ln_capability_text(uint32_t capability); /* "CAP_NET_RAW" */

#endif
