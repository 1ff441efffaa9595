/* SPDX-License-Identifier: Apache-2.0 */
#include "sink.h"

void ln_sink_free(struct ln_sink **s)
{
	if (*s)
		(*s)->ops->free(*s);
	*s = NULL;
}
