/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to ask for names beside the agent's own resolvers, told by port, address, ALPN, or the name
 * that the client writes into its first bytes. The lists are data, and no such list is complete. */
#include "internal.h"

#include <netinet/in.h>
#include <string.h>
#include "places.h"

#define PORT_NETBIOS 137
#define PORT_HTTPS   443
#define PORT_DOT     853 /* RFC 7858, 3.1; by UDP DoQ: RFC 9250, 4.1.1 */
#define PORT_MDNS    5353
#define PORT_LLMNR   5355

static const struct {
	uint8_t proto; /* 0: both */
	uint16_t port;
	enum ln_dns_way way;
} ports[] = {
    {0, LN_PORT_DNS, LN_DNS_WAY_PLAIN},      {IPPROTO_TCP, PORT_DOT, LN_DNS_WAY_DOT},
    {IPPROTO_UDP, PORT_DOT, LN_DNS_WAY_DOQ}, {IPPROTO_UDP, PORT_MDNS, LN_DNS_WAY_MDNS},
    {0, PORT_LLMNR, LN_DNS_WAY_LLMNR},       {IPPROTO_UDP, PORT_NETBIOS, LN_DNS_WAY_NETBIOS},
};

/* Public resolvers that speak DNS over HTTPS, with the names below theirs. */
static const char *const doh_names[] = {
    "1dot1dot1dot1.cloudflare-dns.com",
    "adguard-dns.com",
    "cloudflare-dns.com",
    "cloudflare-gateway.com",
    "dns.adguard.com",
    "dns.alidns.com",
    "dns.cloudflare.com",
    "dns.controld.com",
    "dns.digitale-gesellschaft.ch",
    "dns.google",
    "dns.google.com",
    "dns.mullvad.net",
    "dns.nextdns.io",
    "dns.njal.la",
    "dns.quad9.net",
    "dns.sb",
    "dns.switch.ch",
    "dns.twnic.tw",
    "dns.umbrella.com",
    "dns0.eu",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "dns9.quad9.net",
    "doh.360.cn",
    "doh.applied-privacy.net",
    "doh.cleanbrowsing.org",
    "doh.dns.sb",
    "doh.familyshield.opendns.com",
    "doh.ffmuc.net",
    "doh.li",
    "doh.libredns.gr",
    "doh.opendns.com",
    "doh.pub",
    "doh.umbrella.com",
    "doh.xfinity.com",
    "freedns.controld.com",
    "jp.tiar.app",
    "doh.tiar.app",
    "one.one.one.one",
    "ordns.he.net",
};

const char *ln_dns_way_words(enum ln_dns_way w)
{
	static const char *const words[] = {
	    [LN_DNS_WAY_NONE] = NULL,
	    [LN_DNS_WAY_PLAIN] = "to a resolver that is not the agent's",
	    [LN_DNS_WAY_DOT] = "over TLS (DoT): the names that are asked for are not seen",
	    [LN_DNS_WAY_DOQ] = "over QUIC (DoQ): the names that are asked for are not seen",
	    [LN_DNS_WAY_DOH] = "over HTTPS (DoH): the names that are asked for are not seen",
	    [LN_DNS_WAY_MDNS] = "multicast (mDNS): names of the local network",
	    [LN_DNS_WAY_LLMNR] = "multicast (LLMNR): names of the local network",
	    [LN_DNS_WAY_NETBIOS] = "NetBIOS names of the local network",
	};
	_Static_assert(LN_ARRAY_SIZE(words) == LN_DNS_WAY_COUNT, "words for each way");

	return (unsigned int)w < LN_DNS_WAY_COUNT ? words[w] : NULL;
}

static bool is_encrypted(enum ln_dns_way way)
{
	return way == LN_DNS_WAY_DOT || way == LN_DNS_WAY_DOQ || way == LN_DNS_WAY_DOH;
}

enum ln_dns_way ln_dns_way_of_flow(const struct ln_engine *e, const struct ln_flow *flow)
{
	uint16_t port = flow->remote.port;
	const struct ln_addr_place *place;

	if (flow->inbound || flow->same_tree || ln_engine_is_resolver(e, flow) ||
	    (flow->proto != IPPROTO_TCP && flow->proto != IPPROTO_UDP))
		return LN_DNS_WAY_NONE;
	for (size_t i = 0; i < LN_ARRAY_SIZE(ports); i++) {
		if (ports[i].port == port && (ports[i].proto == 0 || ports[i].proto == flow->proto))
			return ports[i].way;
	}
	place = port == PORT_HTTPS ? ln_place_find(&flow->remote.addr) : NULL;
	return place && place->kind == LN_PLACE_RESOLVER ? LN_DNS_WAY_DOH : LN_DNS_WAY_NONE;
}

/* In a list as "h2,http/1.1". */
static bool has_alpn(const char *list, const char *what)
{
	size_t len = strlen(what);

	for (const char *at = list; *at != '\0'; at += *at == ',') {
		size_t n = strcspn(at, ",");

		if (n == len && memcmp(at, what, n) == 0)
			return true;
		at += n;
	}
	return false;
}

static bool is_doh_name(const char *name)
{
	for (size_t i = 0; name[0] != '\0' && i < LN_ARRAY_SIZE(doh_names); i++) {
		if (ln_name_under(name, doh_names[i]))
			return true;
	}
	return false;
}

/* RFC 8484, 4.1: the path is each server's own, this one is what nearly all of them have. */
static bool is_doh_request(const struct ln_claim *c)
{
	const char *path = strchr(c->detail, ' ');

	return c->layer == LN_LAYER_HTTP && path && strncmp(path + 1, "/dns-query", 10) == 0;
}

static enum ln_dns_way way_of_claim(const struct ln_claim *c)
{
	bool tls = c->layer == LN_LAYER_TLS || c->layer == LN_LAYER_QUIC;

	if (tls && has_alpn(c->alpn, "dot"))
		return LN_DNS_WAY_DOT;
	if (tls && has_alpn(c->alpn, "doq"))
		return LN_DNS_WAY_DOQ;
	if (((tls || c->layer == LN_LAYER_HTTP) && is_doh_name(c->name)) || is_doh_request(c))
		return LN_DNS_WAY_DOH;
	return LN_DNS_WAY_NONE;
}

/* What is permitted and carries names unseen is worth a word, once. */
static void notice(struct ln_engine *e, struct ln_finding *f, const struct ln_endpoint *remote,
		   const char *name)
{
	char text[LN_ENDPOINT_TEXT_MAX];

	if (!is_encrypted(f->dns_way) || !ln_repeats_is_news(e, f))
		return;
	ln_buf_reset(&e->subject);
	ln_buf_adds(&e->subject,
		    remote->addr.family != 0 ? ln_endpoint_format(remote, text) : name);
	if (name[0] != '\0' && remote->addr.family != 0)
		ln_buf_addf(&e->subject, " (%s)", name);
	ln_buf_addf(&e->subject, " is asked for names by encrypted DNS, %s",
		    ln_dns_way_words(f->dns_way));
	f->subject = ln_buf_text(&e->subject);
	f->notice = true;
}

void ln_dns_ways_flow(struct ln_engine *e, struct ln_finding *f)
{
	f->dns_way = ln_dns_way_of_flow(e, f->flow);
	if (f->kind == LN_FINDING_FLOW_OPEN && f->verdict != LN_VERDICT_UNEXPECTED && !f->title)
		notice(e, f, &f->flow->remote, f->rule_name ? f->rule_name : "");
}

void ln_dns_ways_claim(struct ln_engine *e, struct ln_finding *f)
{
	enum ln_dns_way by_flow =
	    f->target->depth == 0 ? ln_dns_way_of_flow(e, f->flow) : LN_DNS_WAY_NONE;

	f->dns_way = is_encrypted(by_flow) ? by_flow : way_of_claim(f->claim);
	if (!f->notice && !f->title)
		notice(e, f, &f->target->remote, f->claim->name);
	else if (f->notice && is_encrypted(f->dns_way) && f->subject == ln_buf_text(&e->subject)) {
		ln_buf_addf(&e->subject, "; it is asked for names by encrypted DNS, %s",
			    ln_dns_way_words(f->dns_way));
		f->subject = ln_buf_text(&e->subject);
	}
}
