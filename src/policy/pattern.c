/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

#include <string.h>

#define VAR_RUN "/var/run/"

/* A star beside another one is part of a "**". */
static bool is_wide(const char *pattern, size_t i)
{
	return pattern[i] == '*' && ((i > 0 && pattern[i - 1] == '*') || pattern[i + 1] == '*');
}

/* Whether the pattern matches the text; when that is a pattern itself, whether it matches all that
 * it stands for. live[k]: the first k bytes of the pattern match the text so far. */
static bool match(const char *pattern, const char *text, size_t len, bool text_is_pattern)
{
	bool live[LN_PATTERN_MAX] = {true};
	size_t n = strlen(pattern);

	if (n >= LN_PATTERN_MAX)
		return false;
	for (size_t k = 1; k <= n && pattern[k - 1] == '*'; k++)
		live[k] = true;
	for (size_t i = 0; i < len; i++) {
		bool star = text_is_pattern && text[i] == '*';
		bool wide = star && is_wide(text, i);
		bool before = live[0], any = false;

		live[0] = false;
		for (size_t k = 1; k <= n; k++) {
			bool was = live[k];

			if (pattern[k - 1] == '*')
				live[k] = live[k - 1] ||
					  (was && text[i] != '\0' &&
					   (is_wide(pattern, k - 1) || (text[i] != '/' && !wide)));
			else
				live[k] = before && !star && pattern[k - 1] == text[i];
			before = was;
			any |= live[k];
		}
		if (!any)
			return false;
	}
	return live[n];
}

bool ln_pattern_matches(const char *pattern, const struct ln_socket_name *name)
{
	return match(pattern, name->text, name->len, false);
}

bool ln_pattern_covers(const char *a, const char *b)
{
	return match(a, b, strlen(b), true);
}

/* Takes out empty and "." components and a "/" at the end. False: it has a ".." component. */
static bool squash(const char *path, size_t len, struct ln_socket_name *ret)
{
	ret->len = 0;
	for (size_t i = 0; i < len;) {
		const char *end = memchr(path + i, '/', len - i);
		size_t n = end ? (size_t)(end - path) - i : len - i;

		if (n == 2 && memcmp(path + i, "..", 2) == 0)
			return false;
		if (n > 0 && !(n == 1 && path[i] == '.')) {
			ret->text[ret->len++] = '/';
			memcpy(ret->text + ret->len, path + i, n);
			ret->len += n;
		}
		i += n + 1;
	}
	ret->text[ret->len] = '\0';
	return true;
}

static void follow_var_run(struct ln_socket_name *name)
{
	if (strncmp(name->text, VAR_RUN, strlen(VAR_RUN)) != 0)
		return;
	name->len -= strlen("/var");
	memmove(name->text, name->text + strlen("/var"), name->len + 1);
}

bool ln_socket_name_make(const char *path, size_t len, bool abstract, struct ln_socket_name *ret)
{
	struct ln_socket_name name = {.len = len + 1};

	if (len + 1 >= sizeof(name.text) + !abstract || len == 0)
		return false;
	if (abstract) {
		name.text[0] = '@';
		memcpy(name.text + 1, path, len);
	} else {
		/* The kernel ends a path at its first NUL (net/unix/af_unix.c). */
		if (path[0] != '/' || !squash(path, strnlen(path, len), &name) || name.len == 0)
			return false;
		follow_var_run(&name);
	}
	*ret = name;
	return true;
}

/* What a person would have to write instead of a path that no socket has. */
static bool report_form(const struct ln_yaml_node *n, const char *key, struct ln_report *r)
{
	static const char unix_scheme[] = "unix://";
	char quote[LN_QUOTE_MAX], better[LN_QUOTE_MAX];

	ln_report_quote(quote, n->text, n->len);
	if (strncmp(n->text, unix_scheme, strlen(unix_scheme)) == 0)
		ln_report_error(r, n->at, "%s must be a plain path, not a URL (found %s); write %s",
				key, quote,
				ln_report_quote(better, n->text + strlen(unix_scheme),
						n->len - strlen(unix_scheme)));
	else
		ln_report_error(
		    r, n->at,
		    "%s must begin with \"/\", or with \"@\" for an abstract name "
		    "(found %s); write the whole path, variables and ~ are not replaced",
		    key, quote);
	return false;
}

static bool check_bytes(const struct ln_yaml_node *n, const char *key, struct ln_report *r)
{
	char quote[LN_QUOTE_MAX];

	for (uint32_t i = 0; i < n->len; i++) {
		if ((uint8_t)n->text[i] >= 0x20 && n->text[i] != 0x7f)
			continue;
		ln_report_error(r, n->at,
				"%s holds a line break or a control character (found %s); put a * "
				"in its place",
				key, ln_report_quote(quote, n->text, n->len));
		return false;
	}
	if (n->len < LN_PATTERN_MAX)
		return true;
	ln_report_error(r, n->at,
			"%s is longer than the %d bytes that a UNIX socket's name has room for "
			"(found %s)",
			key, LN_PATTERN_MAX - 1, ln_report_quote(quote, n->text, n->len));
	return false;
}

static bool report_too_wide(const struct ln_yaml_node *n, struct ln_report *r)
{
	char quote[LN_QUOTE_MAX];

	ln_report_error(r, n->at,
			"%s covers every %s there is; name the sockets that the agent needs",
			ln_report_quote(quote, n->text, n->len),
			n->text[0] == '@' ? "abstract name" : "UNIX socket");
	return false;
}

static bool report_no_name(const struct ln_yaml_node *n, const char *key, struct ln_report *r)
{
	char quote[LN_QUOTE_MAX];

	ln_report_error(r, n->at,
			"%s must be the path of a UNIX socket, or \"@\" and an abstract name "
			"(found %s)",
			key, ln_yaml_found(n, quote));
	return false;
}

static bool parse_path(const struct ln_yaml_node *n, const char *key, struct ln_report *r,
		       struct ln_socket_name *ret)
{
	char quote[LN_QUOTE_MAX], better[LN_QUOTE_MAX], inside[LN_PATTERN_MAX + 2];

	ln_report_quote(quote, n->text, n->len);
	if (!squash(n->text, n->len, ret)) {
		ln_report_error(r, n->at,
				"%s has a \"..\" in it (found %s); write the path without, such "
				"paths match no rule",
				key, quote);
		return false;
	}
	if (n->text[n->len - 1] == '/') {
		snprintf(inside, sizeof(inside), "%s/*", ret->text);
		ln_report_error(r, n->at,
				"%s names a directory (found %s); write %s for the sockets in it",
				key, quote, ln_report_quote(better, inside, strlen(inside)));
		return false;
	}
	follow_var_run(ret);
	return true;
}

bool ln_pattern_parse(const struct ln_yaml_node *node, const char *key, struct ln_report *r,
		      char ret[LN_PATTERN_MAX])
{
	struct ln_socket_name name = {.len = node->len};
	size_t start;

	if (node->kind == LN_YAML_REPORTED)
		return false;
	if (node->kind != LN_YAML_SCALAR || ln_yaml_is_null(node) || node->len == 0)
		return report_no_name(node, key, r);
	if (!check_bytes(node, key, r))
		return false;
	start = node->text[0] == '@';
	if (start + strspn(node->text + start, "/*") == node->len)
		return strchr(node->text, '*') ? report_too_wide(node, r)
					       : report_no_name(node, key, r);
	if (start)
		memcpy(name.text, node->text, node->len + 1);
	else if (node->text[0] != '/')
		return report_form(node, key, r);
	else if (!parse_path(node, key, r, &name))
		return false;
	memcpy(ret, name.text, sizeof(name.text));
	return true;
}
