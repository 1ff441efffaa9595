/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership and small compile-time helpers. A variable with a cleanup attribute starts as NULL or
 * -1 and leaves its scope only through LN_TAKE_PTR or LN_TAKE_FD. */
#ifndef LINNET_BASE_MACROS_H
#define LINNET_BASE_MACROS_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LN_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define LN_CLEANUP(fn)   __attribute__((cleanup(fn)))
#define LN_FORMAT(f, a)  __attribute__((format(printf, f, a)))
#define LN_UNUSED        __attribute__((unused))

#define LN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define LN_MAX(a, b) ((a) > (b) ? (a) : (b))

#define LN_NS_PER_S  1000000000ULL
#define LN_NS_PER_MS 1000000ULL

#define LN_TAKE_PTR(p)                                                                             \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})
#define LN_TAKE_FD(fd)                                                                             \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

static inline void ln_freep(void *p)
{
	free(*(void **)p);
}

static inline void ln_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void ln_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
	*f = NULL;
}

#define LN_AUTO_FREE  LN_CLEANUP(ln_freep)
#define LN_AUTO_CLOSE LN_CLEANUP(ln_closep)

#endif
