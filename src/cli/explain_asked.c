/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include "base/log.h"
#include "base/text.h"
#include "explain.h"
#include "policy/parse.h"

/* "/tcp" at the end is taken off. */
static uint8_t take_proto(char *text)
{
	char *slash = strrchr(text, '/');

	if (!slash)
		return 0;
	if (strcasecmp(slash, "/tcp") != 0 && strcasecmp(slash, "/udp") != 0)
		return 0;
	*slash = '\0';
	return strcasecmp(slash + 1, "tcp") == 0 ? IPPROTO_TCP : IPPROTO_UDP;
}

/* NULL: there is none. IPv6 addresses without brackets have no port. */
static char *find_port(char *text)
{
	char *colon = strrchr(text, ':'), *end = strchr(text, ']');

	if (text[0] == '[')
		return end && end[1] == ':' ? end + 1 : NULL;
	return colon && strchr(text, ':') == colon ? colon : NULL;
}

static bool parse_port(const char *text, uint16_t *ret)
{
	unsigned long port = isdigit((unsigned char)text[0]) ? strtoul(text, NULL, 10) : 0;

	if (strlen(text) > 5 || text[strspn(text, "0123456789")] || port < 1 || port > UINT16_MAX)
		return false;
	*ret = (uint16_t)port;
	return true;
}

/* The policy's own parser reads it, with its own words for what is wrong. */
static bool read_dest(const char *text, struct ln_asked *ret)
{
	struct ln_policy *policy = NULL;
	struct ln_diags diags = {0};
	struct ln_buf b = {0};
	const struct ln_rule *rule;
	bool ok = false;

	ln_buf_adds(&b, "{agent_name: explain, expected_outbound: [{port: any, protocol: any, "
			"destination: ");
	ln_text_json(&b, text, strlen(text));
	ln_buf_adds(&b, "}]}\n");
	if (ln_policy_parse("", ln_buf_text(&b), b.len, false, &diags, &policy) < 0) {
		ln_log(LN_LOG_ERROR, "%s", diags.n > 0 ? diags.list[0].text : "out of memory");
	} else {
		rule = ln_policy_rule(policy, 0);
		ok = rule->dest == LN_DEST_NAME ||
		     (rule->dest == LN_DEST_NET &&
		      rule->net.prefix_len == (rule->net.addr.family == 4 ? 32 : 128));
		if (!ok)
			ln_log(LN_LOG_ERROR, "%s is many destinations; ask about one of them",
			       rule->text);
		else if (rule->dest == LN_DEST_NAME)
			snprintf(ret->name, sizeof(ret->name), "%s", rule->name);
		else
			ret->remote.addr = rule->net.addr;
	}
	ln_diags_done(&diags);
	ln_policy_free(&policy);
	ln_buf_done(&b);
	return ok;
}

bool ln_asked_parse(const char *text, struct ln_asked *ret)
{
	LN_AUTO_FREE char *copy = strdup(text);
	char *dest = copy, *port;

	*ret = (struct ln_asked){0};
	if (!copy)
		return false;
	if (strstr(copy, "://"))
		return read_dest(copy, ret);
	ret->proto = take_proto(copy);
	port = find_port(copy);
	if (port) {
		*port++ = '\0';
		if (!parse_port(port, &ret->remote.port)) {
			ln_log(LN_LOG_ERROR,
			       "the port must be 1..65535, as in api.example.com:443 or "
			       "[2001:db8::1]:443/TCP (found \"%s\")",
			       port);
			return false;
		}
	}
	if (dest[0] == '[' && dest[strlen(dest) - 1] == ']') {
		dest[strlen(dest) - 1] = '\0';
		dest++;
	}
	return read_dest(dest, ret);
}
