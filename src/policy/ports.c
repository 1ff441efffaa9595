/* SPDX-License-Identifier: Apache-2.0 */
#include "ports.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#define PORT_MUST "port must be 1..65535, a range, a list or \"any\""

/* Digits only, 1..65535, no leading zero; returns how many bytes it took, 0: no port. */
static size_t read_port(const char *text, uint16_t *ret)
{
	uint32_t port = 0;
	size_t n = 0;

	if (text[0] == '0')
		return 0;
	while (text[n] >= '0' && text[n] <= '9') {
		port = port * 10 + (uint32_t)(text[n++] - '0');
		if (port > UINT16_MAX)
			return 0;
	}
	if (n > 0)
		*ret = (uint16_t)port;
	return n;
}

/* What to do, for the mistakes that are easy to recognise; "" for the others. */
static const char *port_advice(const struct ln_yaml_node *n)
{
	size_t zeros;

	if (n->kind != LN_YAML_SCALAR)
		return "";
	zeros = strspn(n->text, "0");
	if (zeros > 0 && zeros < n->len && strspn(n->text, "0123456789") == n->len)
		return "; write it without the leading zero";
	if (strchr(n->text, ',') && strspn(n->text, "0123456789-, ") == n->len)
		return "; write a list as [80, 443]";
	if (strchr(n->text, '-') && strchr(n->text, ' ') &&
	    strspn(n->text, "0123456789- ") == n->len)
		return "; write a range as \"8000-8100\"";
	return "";
}

static bool report_port(const struct ln_yaml_node *n, struct ln_report *r)
{
	char quote[LN_QUOTE_MAX];

	ln_report_error(r, n->at, PORT_MUST " (found %s)%s", ln_yaml_found(n, quote),
			port_advice(n));
	return false;
}

/* A number or a range. */
static bool parse_range(const struct ln_yaml_node *n, struct ln_report *r,
			struct ln_port_range *ret)
{
	struct ln_port_range range;
	char quote[LN_QUOTE_MAX];
	size_t used, more;

	if (n->kind != LN_YAML_SCALAR)
		return report_port(n, r);
	used = read_port(n->text, &range.first);
	if (used == 0)
		return report_port(n, r);
	range.last = range.first;
	if (n->text[used] == '-') {
		more = read_port(n->text + used + 1, &range.last);
		used = more > 0 ? used + 1 + more : 0;
	}
	if (used != n->len)
		return report_port(n, r);
	if (range.first > range.last) {
		ln_report_error(r, n->at,
				"the port range is the wrong way round (found %s); write "
				"\"%u-%u\"",
				ln_report_quote(quote, n->text, n->len), range.last, range.first);
		return false;
	}
	*ret = range;
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct ln_port_range *x = a, *y = b;

	return x->first != y->first ? (int)x->first - y->first : (int)x->last - y->last;
}

static void merge(struct ln_ports *p, struct ln_place at, struct ln_report *r)
{
	bool overlap = false;
	size_t n = 0;

	qsort(p->list, p->n, sizeof(p->list[0]), compare);
	for (size_t i = 1; i < p->n; i++) {
		struct ln_port_range *last = &p->list[n];

		if (p->list[i].first > (uint32_t)last->last + 1) {
			p->list[++n] = p->list[i];
			continue;
		}
		overlap |= p->list[i].first <= last->last;
		last->last = LN_MAX(last->last, p->list[i].last);
	}
	p->n = n + 1;
	if (overlap)
		ln_report_warning(r, at,
				  "this list names a port more than once; remove the "
				  "repetition");
}

static bool parse_list(const struct ln_yaml_node *node, struct ln_report *r, struct ln_ports *ret)
{
	bool good = true;

	ret->n = 0;
	if (!node->child && !node->cut)
		ln_report_error(r, node->at, PORT_MUST " (found an empty list)");
	for (const struct ln_yaml_node *n = node->child; n; n = n->next) {
		if (n->kind == LN_YAML_REPORTED) {
			good = false;
		} else if (n->kind == LN_YAML_SCALAR && strcasecmp(n->text, "any") == 0) {
			ln_report_error(r, n->at, "\"any\" stands alone; write port: any");
			good = false;
		} else if (ret->n == LN_PORTS_MAX) {
			ln_report_error(r, n->at,
					"more than %d entries in a list of ports; use ranges",
					LN_PORTS_MAX);
			return false;
		} else if (parse_range(n, r, &ret->list[ret->n])) {
			ret->n++;
		} else {
			good = false;
		}
	}
	if (!good || ret->n == 0 || node->cut)
		return false;
	merge(ret, node->at, r);
	return true;
}

bool ln_ports_parse(const struct ln_yaml_node *node, struct ln_report *r, struct ln_ports *ret)
{
	if (node->kind == LN_YAML_REPORTED)
		return false;
	if (node->kind == LN_YAML_LIST)
		return parse_list(node, r, ret);
	ret->n = 0;
	if (node->kind == LN_YAML_SCALAR && strcasecmp(node->text, "any") == 0 && node->len == 3)
		return true;
	if (!parse_range(node, r, &ret->list[0]))
		return false;
	ret->n = 1;
	return true;
}

bool ln_proto_parse(const struct ln_yaml_node *node, struct ln_report *r, uint8_t *ret)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} known[] = {{"TCP", IPPROTO_TCP}, {"UDP", IPPROTO_UDP}, {"any", 0}};
	char quote[LN_QUOTE_MAX];

	if (node->kind == LN_YAML_REPORTED)
		return false;
	for (size_t i = 0; node->kind == LN_YAML_SCALAR && i < LN_ARRAY_SIZE(known); i++) {
		if (node->len == strlen(known[i].name) &&
		    strcasecmp(node->text, known[i].name) == 0) {
			*ret = known[i].proto;
			return true;
		}
	}
	ln_report_error(r, node->at, "protocol must be TCP, UDP or any (found %s)%s",
			ln_yaml_found(node, quote),
			node->kind == LN_YAML_LIST ? "; write any for both" : "");
	return false;
}

bool ln_rule_permits_port(const struct ln_rule *r, uint16_t port)
{
	size_t low = 0, high = r->n_ports;

	if (high == 0)
		return true;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->ports[mid].last < port)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->n_ports && r->ports[low].first <= port;
}

bool ln_rule_permits_proto(const struct ln_rule *r, uint8_t proto)
{
	return r->proto == 0 || r->proto == proto;
}

bool ln_rule_permits(const struct ln_rule *r, uint16_t port, uint8_t proto)
{
	return ln_rule_permits_proto(r, proto) && ln_rule_permits_port(r, port);
}

bool ln_rule_gate_covers(const struct ln_rule *a, const struct ln_rule *b)
{
	size_t k = 0;

	if (a->expires_s != 0 && (b->expires_s == 0 || b->expires_s > a->expires_s))
		return false;
	if (a->proto != 0 && a->proto != b->proto)
		return false;
	if (a->n_ports == 0)
		return true;
	if (b->n_ports == 0)
		return false;
	for (size_t i = 0; i < b->n_ports; i++) {
		while (k < a->n_ports && a->ports[k].last < b->ports[i].first)
			k++;
		if (k == a->n_ports || a->ports[k].first > b->ports[i].first ||
		    a->ports[k].last < b->ports[i].last)
			return false;
	}
	return true;
}

bool ln_rule_gate_overlaps(const struct ln_rule *a, const struct ln_rule *b)
{
	size_t i = 0, k = 0;

	if (a->proto != 0 && b->proto != 0 && a->proto != b->proto)
		return false;
	if (a->n_ports == 0 || b->n_ports == 0)
		return true;
	while (i < a->n_ports && k < b->n_ports) {
		if (a->ports[i].last < b->ports[k].first)
			i++;
		else if (b->ports[k].last < a->ports[i].first)
			k++;
		else
			return true;
	}
	return false;
}
