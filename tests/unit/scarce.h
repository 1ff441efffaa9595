/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that runs out when a test wants it to, for linnet and for the libraries that it uses.
 * Whoever links scarce.c has its malloc, calloc and realloc. */
#ifndef LINNET_TESTS_SCARCE_H
#define LINNET_TESTS_SCARCE_H

#include <stdbool.h>
#include <stddef.h>

/* From now on the n-th allocation fails, from 1; `ever_after`: and all that follow. */
void scarce_begin(size_t n, bool ever_after);
/* A malloc that has enough. */
void *scarce_never(size_t size);
/* There is enough again. Whether any failed. */
bool scarce_end(void);

#endif
