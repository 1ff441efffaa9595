/* SPDX-License-Identifier: Apache-2.0 */
#include "sniff.h"

#include "base/macros.h"

const char *ln_layer_text(enum ln_layer l)
{
	static const char *const texts[] = {
	    [LN_LAYER_TLS] = "tls",
	    [LN_LAYER_QUIC] = "quic",
	    [LN_LAYER_HTTP] = "http",
	    [LN_LAYER_HTTP2] = "http2",
	    [LN_LAYER_HTTP_PROXY] = "http-proxy",
	    [LN_LAYER_SOCKS4] = "socks4",
	    [LN_LAYER_SOCKS5] = "socks5",
	    [LN_LAYER_SSH] = "ssh",
	    [LN_LAYER_OTHER] = "other",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_LAYER_COUNT, "a text for each layer");

	return (unsigned int)l < LN_LAYER_COUNT ? texts[l] : "unknown";
}
