/* SPDX-License-Identifier: Apache-2.0 */
#include "sensor.h"

void ln_sensor_free(struct ln_sensor **s)
{
	if (*s)
		(*s)->ops->free(*s);
	*s = NULL;
}
