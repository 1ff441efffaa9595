/* SPDX-License-Identifier: Apache-2.0 */
/* The program's own malloc stands before that of the C library and of the sanitizers, and calls
 * theirs. What they allocate without it (strdup under sanitizers) does not fail. */
#include "scarce.h"

#include <errno.h>
#include <stdlib.h>
#include "base/macros.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__interceptor_malloc(size_t size) __attribute__((weak));
extern void *__interceptor_calloc(size_t n, size_t size) __attribute__((weak));
extern void *__interceptor_realloc(void *p, size_t size) __attribute__((weak));

static size_t left; /* allocations until one fails; 0: none does */
static bool all_after, any_failed;

void scarce_begin(size_t n, bool ever_after)
{
	left = n;
	all_after = ever_after;
	any_failed = false;
}

bool scarce_end(void)
{
	left = 0;
	return any_failed;
}

static bool fails(void)
{
	if (left == 0 || --left > 0)
		return false;
	left = all_after;
	any_failed = true;
	errno = ENOMEM;
	return true;
}

void *scarce_never(size_t size)
{
	return __interceptor_malloc ? __interceptor_malloc(size) : __libc_malloc(size);
}

void *malloc(size_t size)
{
	return fails() ? NULL : scarce_never(size);
}

void *calloc(size_t n, size_t size)
{
	if (fails())
		return NULL;
	return __interceptor_calloc ? __interceptor_calloc(n, size) : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	if (fails())
		return NULL;
	return __interceptor_realloc ? __interceptor_realloc(p, size) : __libc_realloc(p, size);
}
