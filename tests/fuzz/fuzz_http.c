/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the head of an HTTP request. */
#include "claim_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ln_head h;

	check_reader(ln_http_read_head, data, size);
	if (size > 0 && ln_http_read_head(data, size, false, &h) == 0) {
		require(h.claim.layer == LN_LAYER_HTTP || h.claim.layer == LN_LAYER_HTTP_PROXY ||
			h.claim.layer == LN_LAYER_HTTP2);
		/* Nothing of a query is kept: no method has a question mark. */
		require(!strchr(h.claim.detail, '?'));
		require(h.next != LN_HEAD_TUNNEL || h.claim.layer == LN_LAYER_HTTP_PROXY);
	}
	return 0;
}
