/* SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include <string.h>

#define V4(...)                                                                                    \
	{                                                                                          \
		.family = 4, .bytes = { __VA_ARGS__ }                                              \
	}
#define V6(...)                                                                                    \
	{                                                                                          \
		.family = 6, .bytes = { __VA_ARGS__ }                                              \
	}

/* The special ones stand before the networks in which they are. */
static const struct {
	struct ln_net net;
	struct ln_addr_place place;
} places[] = {
    /* What hands out the machine's identity and its credentials, by provider. */
    {{V4(169, 254, 169, 254), 32}, {LN_PLACE_CLOUD, "cloud metadata service"}},
    {{V6(0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54), 128},
     {LN_PLACE_CLOUD, "cloud metadata service"}}, /* Amazon */
    {{V6(0xfd, 0x20, 0x0c, 0xe0, [14] = 0x02, [15] = 0x54), 128},
     {LN_PLACE_CLOUD, "cloud metadata service"}},                               /* Google */
    {{V4(100, 100, 100, 200), 32}, {LN_PLACE_CLOUD, "cloud metadata service"}}, /* Alibaba */
    {{V4(169, 254, 170, 2), 32}, {LN_PLACE_CLOUD, "cloud credentials of a container"}},
    {{V4(169, 254, 170, 23), 32}, {LN_PLACE_CLOUD, "cloud credentials of a container"}},
    {{V6(0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23), 128},
     {LN_PLACE_CLOUD, "cloud credentials of a container"}},
    {{V4(168, 63, 129, 16), 32}, {LN_PLACE_CLOUD, "cloud platform service"}}, /* Azure */

    {{V4(1, 1, 1, 1), 32}, {LN_PLACE_RESOLVER, "public DNS resolver (Cloudflare)"}},
    {{V4(1, 0, 0, 1), 32}, {LN_PLACE_RESOLVER, "public DNS resolver (Cloudflare)"}},
    {{V6(0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x11), 120},
     {LN_PLACE_RESOLVER, "public DNS resolver (Cloudflare)"}},
    {{V6(0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x10), 120},
     {LN_PLACE_RESOLVER, "public DNS resolver (Cloudflare)"}},
    {{V4(8, 8, 8, 8), 32}, {LN_PLACE_RESOLVER, "public DNS resolver (Google)"}},
    {{V4(8, 8, 4, 4), 32}, {LN_PLACE_RESOLVER, "public DNS resolver (Google)"}},
    {{V6(0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, 0x88), 128},
     {LN_PLACE_RESOLVER, "public DNS resolver (Google)"}},
    {{V6(0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, 0x44), 128},
     {LN_PLACE_RESOLVER, "public DNS resolver (Google)"}},
    {{V4(9, 9, 9, 8), 29}, {LN_PLACE_RESOLVER, "public DNS resolver (Quad9)"}},
    {{V4(149, 112, 112, 112), 32}, {LN_PLACE_RESOLVER, "public DNS resolver (Quad9)"}},
    {{V6(0x26, 0x20, 0, 0xfe), 48}, {LN_PLACE_RESOLVER, "public DNS resolver (Quad9)"}},
    {{V4(208, 67, 222, 222), 32}, {LN_PLACE_RESOLVER, "public DNS resolver (OpenDNS)"}},
    {{V4(208, 67, 220, 220), 32}, {LN_PLACE_RESOLVER, "public DNS resolver (OpenDNS)"}},
    {{V6(0x26, 0x20, 0x01, 0x19, 0, 0x35), 96},
     {LN_PLACE_RESOLVER, "public DNS resolver (OpenDNS)"}},
    {{V4(94, 140, 14, 14), 31}, {LN_PLACE_RESOLVER, "public DNS resolver (AdGuard)"}},
    {{V4(94, 140, 15, 15), 32}, {LN_PLACE_RESOLVER, "public DNS resolver (AdGuard)"}},

    {{V4(127), 8}, {LN_PLACE_LOOPBACK, "loopback"}},
    {{V6([15] = 1), 128}, {LN_PLACE_LOOPBACK, "loopback"}},
    {{V4(0), 32}, {LN_PLACE_LOOPBACK, "this host"}}, /* Linux takes it for loopback */
    {{V6(0), 128}, {LN_PLACE_LOOPBACK, "this host"}},
    {{V4(169, 254), 16}, {LN_PLACE_LINK_LOCAL, "link-local network"}},
    {{V6(0xfe, 0x80), 10}, {LN_PLACE_LINK_LOCAL, "link-local network"}},

    {{V4(224, 0, 0, 251), 32}, {LN_PLACE_MULTICAST, "multicast: mDNS"}}, /* RFC 6762, 3 */
    {{V6(0xff, 0x02, [15] = 0xfb), 128}, {LN_PLACE_MULTICAST, "multicast: mDNS"}},
    {{V4(224, 0, 0, 252), 32}, {LN_PLACE_MULTICAST, "multicast: LLMNR"}}, /* RFC 4795, 2 */
    {{V6(0xff, 0x02, [13] = 1, [15] = 3), 128}, {LN_PLACE_MULTICAST, "multicast: LLMNR"}},
    {{V4(239, 255, 255, 250), 32}, {LN_PLACE_MULTICAST, "multicast: SSDP"}},
    {{V6(0xff, 0x02, [15] = 0x0c), 128}, {LN_PLACE_MULTICAST, "multicast: SSDP"}},
    {{V4(224), 4}, {LN_PLACE_MULTICAST, "multicast"}},
    {{V6(0xff), 8}, {LN_PLACE_MULTICAST, "multicast"}},
    {{V4(255, 255, 255, 255), 32}, {LN_PLACE_BROADCAST, "broadcast"}},

    {{V4(10), 8}, {LN_PLACE_PRIVATE, "private network"}}, /* RFC 1918 */
    {{V4(172, 16), 12}, {LN_PLACE_PRIVATE, "private network"}},
    {{V4(192, 168), 16}, {LN_PLACE_PRIVATE, "private network"}},
    {{V6(0xfc), 7}, {LN_PLACE_PRIVATE, "private network"}},              /* RFC 4193 */
    {{V4(100, 64), 10}, {LN_PLACE_PRIVATE, "carrier's shared network"}}, /* RFC 6598 */
};

/* This is asked for each flow, and most addresses have no name: their first byte says so. */
static bool may_have_name(const struct ln_addr *addr)
{
	uint8_t first = addr->bytes[0];

	if (addr->family == 6)
		return first == 0 || first == 0x20 || first == 0x26 || first >= 0xfc;
	switch (first) {
	case 0:
	case 1:
	case 8:
	case 9:
	case 10:
	case 94:
	case 100:
	case 127:
	case 149:
	case 168:
	case 169:
	case 172:
	case 192:
	case 208:
		return true;
	default:
		return first >= 224;
	}
}

static bool contains(const struct ln_net *net, const struct ln_addr *addr)
{
	size_t whole = net->prefix_len / 8, rest = net->prefix_len % 8;

	if (net->addr.family != addr->family)
		return false;
	for (size_t i = 0; i < whole; i++) {
		if (net->addr.bytes[i] != addr->bytes[i])
			return false;
	}
	return rest == 0 || (net->addr.bytes[whole] ^ addr->bytes[whole]) >> (8 - rest) == 0;
}

const struct ln_addr_place *ln_place_find(const struct ln_addr *addr)
{
	if (!may_have_name(addr))
		return NULL;
	for (size_t i = 0; i < LN_ARRAY_SIZE(places); i++) {
		if (contains(&places[i].net, addr))
			return &places[i].place;
	}
	return NULL;
}

const char *ln_place_text(const struct ln_addr *addr)
{
	const struct ln_addr_place *place = ln_place_find(addr);

	return place ? place->words : NULL;
}
