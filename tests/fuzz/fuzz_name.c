/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a host name, an international one, an address, a network, an endpoint; the first line
 * as a pattern for UNIX sockets and the rest as the name of one. */
#include <string.h>
#include "dns/reverse.h"
#include "policy/pattern.h"
#include "policy/policy.h"
#include "text_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const struct ln_policy *policy, const char *text, size_t len)
{
	char name[LN_NAME_MAX], again[LN_NAME_MAX], unicode[LN_NAME_UNICODE_MAX];
	const char *domain;
	struct ln_addr addr;

	if (!ln_name_canonical(text, len, name))
		return;
	require(strnlen(name, sizeof(name)) < sizeof(name));
	require(ln_name_canonical(name, strlen(name), again) && strcmp(name, again) == 0);
	domain = ln_policy_registered_domain(policy, name);
	require(ln_name_under(name, domain));
	if (ln_name_unicode(name, unicode))
		require(strnlen(unicode, sizeof(unicode)) < sizeof(unicode));
	if (ln_reverse_parse(name, &addr))
		require(addr.family == 4 || addr.family == 6);
}

static void check_addr(const char *text)
{
	char shown[LN_ENDPOINT_TEXT_MAX];
	struct ln_addr addr, again;
	struct ln_endpoint ep, same;
	struct ln_net net;

	if (ln_addr_parse(text, &addr))
		require(ln_addr_parse(ln_addr_format(&addr, shown), &again) &&
			ln_addr_equal(&addr, &again));
	if (ln_endpoint_parse(text, 53, &ep))
		require(ln_endpoint_parse(ln_endpoint_format(&ep, shown), 0, &same) &&
			same.port == ep.port && ln_addr_equal(&ep.addr, &same.addr));
	if (ln_net_parse(text, false, &net)) {
		require(net.prefix_len <= (net.addr.family == 4 ? 32 : 128));
		require(ln_net_contains(&net, &net.addr));
	}
}

/* The definition itself: slow, and short. "**" is any bytes but NUL, "*" any but a slash, too. */
static bool matches(const char *p, const char *text, size_t len, unsigned int *budget)
{
	bool any = p[0] == '*' && p[1] == '*';

	if (*budget == 0 || --*budget == 0)
		return false;
	if (*p == '\0')
		return len == 0;
	if (*p != '*')
		return len > 0 && *text == *p && matches(p + 1, text + 1, len - 1, budget);
	for (size_t i = 0;; i++) {
		if (matches(p + 1 + any, text + i, len - i, budget))
			return true;
		if (i == len || text[i] == '\0' || (!any && text[i] == '/'))
			return false;
	}
}

static void check_pattern(const char *pattern, const char *path, size_t len, bool abstract)
{
	unsigned int budget = 20000;
	struct ln_socket_name name;
	bool slow;

	if (strlen(pattern) >= LN_PATTERN_MAX ||
	    !ln_socket_name_make(path, LN_MIN(len, (size_t)108), abstract, &name))
		return;
	require(name.len < sizeof(name.text));
	slow = matches(pattern, name.text, name.len, &budget);
	if (budget > 0)
		require(slow == ln_pattern_matches(pattern, &name));
	require(ln_pattern_covers(pattern, pattern) && ln_pattern_covers("**", pattern));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ln_policy *policy;
	char *text = malloc(size + 1), *line;

	if (!policy)
		policy = ln_policy_new_empty("fuzz");
	require(text != NULL && policy != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	check_name(policy, text, size);
	check_addr(text);
	line = strchr(text, '\n');
	if (line) {
		*line++ = '\0';
		check_pattern(text, line, size - (size_t)(line - text), false);
		check_pattern(text, line, size - (size_t)(line - text), true);
	}
	free(text);
	return 0;
}
