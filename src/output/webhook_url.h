/* SPDX-License-Identifier: Apache-2.0 */
/* Where a webhook may go: https, or http to an address of this host. */
#ifndef LINNET_OUTPUT_WEBHOOK_URL_H
#define LINNET_OUTPUT_WEBHOOK_URL_H

#include <stdbool.h>
#include "curl_api.h"

/* ret_shown: scheme, host and port alone; the rest of such an URL is often a secret. */
int ln_webhook_url_check(const char *url, const struct ln_curl *curl, struct ln_error *err,
			 char ret_shown[128], bool *ret_https);

#endif
