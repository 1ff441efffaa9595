/* SPDX-License-Identifier: Apache-2.0 */
#include "dest.h"

#include <idn2.h>
#include <libpsl.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX   1024
#define NAME_ICANN (PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE)
#define NAME_OWNED (PSL_TYPE_PRIVATE | PSL_TYPE_NO_STAR_RULE)

struct source {
	const char *key;
	const char *text;
	size_t len;
	struct ln_place at;
	struct ln_report *report;
	char quote[LN_QUOTE_MAX]; /* the text, for messages */
};

void ln_suffixes_done(struct ln_suffixes *s)
{
	psl_free(s->psl);
	*s = (struct ln_suffixes){0};
}

static void read_list(struct ln_suffixes *s)
{
	if (!s->tried)
		s->psl = psl_latest(NULL); /* the system's file, else the built-in one */
	s->tried = true;
}

struct psl_ctx_st *ln_suffixes_take(struct ln_suffixes *s)
{
	read_list(s);
	return LN_TAKE_PTR(s->psl);
}

static bool is_ascii(const char *text)
{
	for (; *text; text++) {
		if ((uint8_t)*text >= 0x80)
			return false;
	}
	return true;
}

/* "1.2.3" and "10.0.0.256" are addresses gone wrong and never names: no top-level domain is a
 * number, and some resolvers would read them as addresses. */
static bool ends_in_number(const char *name)
{
	const char *label = strrchr(name, '.');

	label = label ? label + 1 : name;
	return strspn(label, "0123456789") == strlen(label);
}

static bool to_name(const struct source *s, const char *text, char ret[LN_NAME_MAX])
{
	char *alabels = NULL;
	char name[LN_NAME_MAX];
	bool good;

	if (is_ascii(text)) {
		good = ln_name_canonical(text, strlen(text), name);
	} else {
		int err = idn2_to_ascii_8z(text, &alabels, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);

		if (err == IDN2_MALLOC) {
			s->report->no_memory = true;
			return false;
		}
		if (err != IDN2_OK) {
			ln_report_error(s->report, s->at,
					"%s is not an international host name (found %s): %s; "
					"correct it, or write it in its xn-- form",
					s->key, s->quote, idn2_strerror(err));
			return false;
		}
		good = ln_name_canonical(alabels, strlen(alabels), name);
		idn2_free(alabels);
	}
	if (!good) {
		ln_report_error(s->report, s->at,
				"%s is not a host name (found %s); a name has labels of 1 to 63 "
				"letters, digits, \"-\" or \"_\", and at most 253 characters",
				s->key, s->quote);
		return false;
	}
	if (ends_in_number(name)) {
		ln_report_error(s->report, s->at,
				"%s ends in a number but is not an IPv4 address (found %s); write "
				"four numbers from 0 to 255, as \"192.0.2.1\"",
				s->key, s->quote);
		return false;
	}
	memcpy(ret, name, sizeof(name));
	return true;
}

static bool check_suffix(const struct source *s, const char *suffix, struct ln_suffixes *suffixes)
{
	if (!suffixes)
		return true;
	read_list(suffixes);
	if (!suffixes->psl) {
		ln_report_warning(s->report, s->at,
				  "there is no public suffix list on this system, so nothing says "
				  "how wide %s is; install publicsuffix",
				  s->quote);
		return true;
	}
	if (psl_is_public_suffix2(suffixes->psl, suffix, NAME_ICANN)) {
		ln_report_error(s->report, s->at,
				"%s covers every domain that anybody registers under the public "
				"suffix \"%s\"; name the domain, as \"*.example.%s\"",
				s->quote, suffix, suffix);
		return false;
	}
	if (psl_is_public_suffix2(suffixes->psl, suffix, NAME_OWNED))
		ln_report_warning(s->report, s->at,
				  "%s covers what every customer of \"%s\" publishes there; name "
				  "your own, as \"example.%s\"",
				  s->quote, suffix, suffix);
	return true;
}

static bool parse_wildcard(const struct source *s, struct ln_suffixes *suffixes,
			   struct ln_dest *ret)
{
	if (strcmp(s->text, "*") == 0 || strcmp(s->text, "*.") == 0) {
		ln_report_error(
		    s->report, s->at,
		    "%s covers every name there is; list the names that the agent needs", s->quote);
		return false;
	}
	if (strncmp(s->text, "*.", 2) != 0 || strchr(s->text + 1, '*')) {
		ln_report_error(s->report, s->at,
				"a * may stand only at the start, in front of a dot (found %s); "
				"write \"*.example.com\"",
				s->quote);
		return false;
	}
	ret->kind = LN_DEST_SUFFIX;
	return to_name(s, s->text + 2, ret->name) && check_suffix(s, ret->name, suffixes);
}

static uint16_t scheme_port(const char *text, size_t len)
{
	static const struct {
		const char *scheme;
		uint16_t port;
	} known[] = {{"http", 80},    {"https", 443},     {"ws", 80},           {"wss", 443},
		     {"grpc", 443},   {"ftp", 21},        {"ssh", 22},          {"git", 9418},
		     {"redis", 6379}, {"postgres", 5432}, {"postgresql", 5432}, {"mysql", 3306}};

	for (size_t i = 0; i < LN_ARRAY_SIZE(known); i++) {
		if (strlen(known[i].scheme) == len && strncasecmp(text, known[i].scheme, len) == 0)
			return known[i].port;
	}
	return 0;
}

/* Finds "host" and "443" in "user@host:443/path"; the port is `port` when not given. */
static bool report_authority(const struct source *s, const char *what, const char *text,
			     uint16_t port)
{
	const char *end = text + strcspn(text, "/?#");
	const char *user = memchr(text, '@', (size_t)(end - text));
	const char *host = user ? user + 1 : text;
	const char *close = *host == '[' ? memchr(host, ']', (size_t)(end - host)) : NULL;
	const char *colon =
	    memchr(close ? close : host, ':', (size_t)(end - (close ? close : host)));
	const char *host_end = close ? close : colon ? colon : end;
	char quote[LN_QUOTE_MAX];
	unsigned long number = port;

	host += close != NULL;
	if (colon)
		number = strtoul(colon + 1, NULL, 10);
	ln_report_quote(quote, host, (size_t)(host_end - host));
	if (host == host_end)
		ln_report_error(
		    s->report, s->at,
		    "%s must be a host name, \"*.suffix\", an address or a network, not "
		    "%s (found %s)",
		    s->key, what, s->quote);
	else if (number >= 1 && number <= UINT16_MAX)
		ln_report_error(s->report, s->at,
				"%s must be a host name or an address, not %s (found %s); write "
				"%s: %s and port: %lu",
				s->key, what, s->quote, s->key, quote, number);
	else
		ln_report_error(s->report, s->at,
				"%s must be a host name or an address, not %s (found %s); write %s",
				s->key, what, s->quote, quote);
	return false;
}

static const char *format_net(const struct ln_net *net, char *buf, size_t size)
{
	char addr[LN_ADDR_TEXT_MAX];

	snprintf(buf, size, "%s/%u", ln_addr_format(&net->addr, addr), net->prefix_len);
	return buf;
}

/* The text has a slash and is not a well-formed network. */
static bool report_slash(const struct source *s)
{
	const char *slash = strchr(s->text, '/');
	size_t addr_len = (size_t)(slash - s->text);
	char addr_text[LN_ADDR_TEXT_MAX], net_text[LN_ADDR_TEXT_MAX + 4];
	struct ln_addr addr;
	struct ln_net net;

	if (addr_len >= sizeof(addr_text))
		return report_authority(s, "a path", s->text, 0);
	memcpy(addr_text, s->text, addr_len);
	addr_text[addr_len] = '\0';
	if (!ln_addr_parse(addr_text, &addr))
		return report_authority(s, "a path", s->text, 0);
	if (ln_net_parse(s->text, false, &net))
		ln_report_error(s->report, s->at,
				"the network has host bits set (found %s); write \"%s\", or \"%s\" "
				"for that address alone",
				s->quote, format_net(&net, net_text, sizeof(net_text)), addr_text);
	else
		ln_report_error(s->report, s->at,
				"the length of a network is 0..%d, a number without leading zeros "
				"(found %s); write it as \"192.0.2.0/24\" or \"2001:db8::/32\"",
				strchr(addr_text, ':') ? 128 : 32, s->quote);
	return false;
}

static bool report_colon(const struct source *s)
{
	const char *colon = strchr(s->text, ':');
	size_t digits = strspn(colon + 1, "0123456789");

	if (s->text[0] == '[')
		return report_authority(s, "an address in brackets", s->text, 0);
	if (!strchr(colon + 1, ':') && digits > 0 && colon[1 + digits] == '\0')
		return report_authority(s, "host:port", s->text, 0);
	ln_report_error(s->report, s->at,
			"%s has a colon but is not an IPv6 address (found %s); write it as "
			"\"2001:db8::1\", without port and zone",
			s->key, s->quote);
	return false;
}

static bool parse_net(const struct source *s, bool permits, struct ln_dest *ret)
{
	if (!ln_net_parse(s->text, true, &ret->net))
		return false;
	ret->kind = LN_DEST_NET;
	if (permits && ret->net.prefix_len == 0)
		ln_report_warning(s->report, s->at,
				  "%s covers every IPv%u address; list the networks that the agent "
				  "needs",
				  s->quote, ret->net.addr.family);
	return true;
}

static bool has_blank_or_control(const struct source *s)
{
	for (size_t i = 0; i < s->len; i++) {
		if ((uint8_t)s->text[i] <= ' ' || s->text[i] == 0x7f)
			return true;
	}
	return false;
}

bool ln_dest_parse(const struct ln_yaml_node *node, const char *key, struct ln_suffixes *suffixes,
		   struct ln_report *r, struct ln_dest *ret)
{
	struct source s = {key, node->text, node->len, node->at, r, {0}};
	const char *scheme_end;

	if (node->kind == LN_YAML_REPORTED)
		return false;
	if (node->kind != LN_YAML_SCALAR || ln_yaml_is_null(node) || node->len == 0) {
		ln_report_error(r, node->at,
				"%s must be a host name, \"*.suffix\", an address or a network "
				"(found %s)",
				key, ln_yaml_found(node, s.quote));
		return false;
	}
	ln_report_quote(s.quote, s.text, s.len);
	if (has_blank_or_control(&s) || s.len > TEXT_MAX) {
		ln_report_error(r, node->at,
				"%s has a blank or a control character, or is too long (found %s); "
				"write one name, address or network",
				key, s.quote);
		return false;
	}
	scheme_end = strstr(s.text, "://");
	if (scheme_end)
		return report_authority(&s, "a URL", scheme_end + 3,
					scheme_port(s.text, (size_t)(scheme_end - s.text)));
	if (parse_net(&s, suffixes, ret))
		return true;
	if (strchr(s.text, '/'))
		return report_slash(&s);
	if (strchr(s.text, ':'))
		return report_colon(&s);
	if (strchr(s.text, '@'))
		return report_authority(&s, "user@host", s.text, 0);
	if (strchr(s.text, '*'))
		return parse_wildcard(&s, suffixes, ret);
	ret->kind = LN_DEST_NAME;
	return to_name(&s, s.text, ret->name);
}
