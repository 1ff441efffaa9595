/* SPDX-License-Identifier: Apache-2.0 */
#include "sensor.h"

void ln_sensor_free(struct ln_sensor **s)
{
	if (*s)
		(*s)->ops->free(*s);
	*s = NULL;
}

const char *ln_sight_text(enum ln_sight s)
{
	static const char *const texts[] = {
	    [LN_SIGHT_SEEN] = "seen",
	    [LN_SIGHT_PREPARATION] = "alert on preparation",
	    [LN_SIGHT_BLIND] = "BLIND",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_SIGHT_COUNT, "a text for each sight");

	return (unsigned int)s < LN_SIGHT_COUNT ? texts[s] : "unknown";
}
