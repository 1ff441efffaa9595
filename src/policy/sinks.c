/* SPDX-License-Identifier: Apache-2.0 */
/* `alert:`, where alerts go. */
#include <string.h>
#include <strings.h>
#include "loader.h"

#define ARGS_MAX   64
#define TEXT_MAX   4096
#define WORDS_TEXT "stderr, log, journal, syslog, {exec: […]}, {webhook: …} or {syslog: …}"

const char *ln_sink_kind_text(enum ln_sink_kind k)
{
	static const char *const texts[] = {
	    [LN_SINK_STDERR] = "stderr",   [LN_SINK_LOG] = "log",
	    [LN_SINK_EXEC] = "exec",       [LN_SINK_WEBHOOK] = "webhook",
	    [LN_SINK_JOURNAL] = "journal", [LN_SINK_SYSLOG] = "syslog",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_SINK_COUNT, "a text for each kind");

	return (unsigned int)k < LN_SINK_COUNT ? texts[k] : "unknown";
}

static void free_sink(struct ln_policy_sink *s)
{
	for (size_t i = 0; s->argv && s->argv[i]; i++)
		free(s->argv[i]);
	free(s->argv);
	free(s->target);
	free(s->token_file);
	*s = (struct ln_policy_sink){0};
}

/* Takes what the draft owns. */
static void keep(struct ln_loader *l, const struct ln_yaml_node *item, struct ln_policy_sink *draft)
{
	struct ln_policy *p = l->policy;
	struct ln_policy_sink *list;

	if (p->n_sinks == LN_POLICY_SINKS_MAX) {
		ln_report_error(&l->report, item->at, "more than %d entries in alert; remove some",
				LN_POLICY_SINKS_MAX);
		free_sink(draft);
		return;
	}
	list = realloc(p->sinks, (p->n_sinks + 1) * sizeof(*list));
	if (!list) {
		l->report.no_memory = true;
		free_sink(draft);
		return;
	}
	p->sinks = list;
	list[p->n_sinks++] = *draft;
}

/* One word or path: not empty, no blank or control character. `what` says what it must be. */
static bool read_token(struct ln_loader *l, const struct ln_yaml_node *n, const char *what,
		       bool (*is_good)(const char *text), char **ret)
{
	char quote[LN_QUOTE_MAX];
	bool good = n->kind == LN_YAML_SCALAR && n->len > 0 && n->len <= TEXT_MAX;

	if (n->kind == LN_YAML_REPORTED)
		return false;
	for (size_t i = 0; good && i < n->len; i++)
		good = (uint8_t)n->text[i] > ' ' && n->text[i] != 0x7f;
	if (!good || !is_good(n->text)) {
		ln_report_error(&l->report, n->at, "%s (found %s)", what, ln_yaml_found(n, quote));
		return false;
	}
	*ret = strdup(n->text);
	l->report.no_memory |= !*ret;
	return *ret;
}

static bool is_path(const char *text)
{
	return text[0] == '/' && text[1] != '\0';
}

/* "host", "host:514", "[2001:db8::1]:514" and then what may follow a host, without a user. */
static bool is_authority(const char *text, const char *ends)
{
	size_t len = strcspn(text, ends), host;
	const char *port;

	if (text[0] == '[') {
		host = strspn(text + 1, "0123456789abcdefABCDEF:.");
		if (host == 0 || text[1 + host] != ']')
			return false;
		host += 2;
	} else {
		host = strcspn(text, ":[]@/?#\\\"");
		if (host == 0)
			return false;
	}
	if (host == len)
		return true;
	port = text + host + 1;
	len -= LN_MIN(host + 1, len);
	return text[host] == ':' && len >= 1 && len <= 5 && port[0] != '0' &&
	       strspn(port, "0123456789") == len && strtoul(port, NULL, 10) <= UINT16_MAX;
}

static const char *after(const char *text, const char *scheme)
{
	size_t n = strlen(scheme);

	return strncmp(text, scheme, n) == 0 ? text + n : NULL;
}

static bool is_url(const char *text)
{
	const char *rest = after(text, "https://");

	rest = rest ? rest : after(text, "http://");
	return rest && is_authority(rest, "/?#");
}

static bool is_syslog(const char *text)
{
	const char *rest = after(text, "udp://");

	if (rest)
		return is_authority(rest, "");
	rest = after(text, "unix:");
	return is_path(rest ? rest : text);
}

/* Anybody on the way can read what is sent without TLS; on loopback nobody is on the way. */
static bool is_safe_url(const char *text)
{
	static const char *const local[] = {"localhost", "127.0.0.1", "[::1]"};
	const char *host = after(text, "http://");

	for (size_t i = 0; host && i < LN_ARRAY_SIZE(local); i++) {
		const char *rest = after(host, local[i]);

		if (rest && (*rest == '\0' || strchr(":/?#", *rest)))
			return true;
	}
	return !host;
}

static bool read_webhook(struct ln_loader *l, const struct ln_yaml_node *url,
			 const struct ln_yaml_node *token_file, struct ln_policy_sink *draft)
{
	bool good = read_token(l, url,
			       "webhook must be a URL, as \"https://alerts.example.com/hook\", "
			       "without user and password",
			       is_url, &draft->target);

	if (good && !is_safe_url(draft->target)) {
		ln_report_error(
		    &l->report, url->at,
		    "this webhook would send alerts in the clear; use https:// (http:// is "
		    "for 127.0.0.1, [::1] and localhost)");
		good = false;
	}
	if (token_file)
		good &= read_token(l, token_file, "token_file must be the absolute path of a file",
				   is_path, &draft->token_file);
	return good;
}

static bool read_exec(struct ln_loader *l, const struct ln_yaml_node *list,
		      struct ln_policy_sink *draft)
{
	char quote[LN_QUOTE_MAX];
	size_t n = 0;

	if (list->kind == LN_YAML_REPORTED || list->cut)
		return false;
	if (list->kind != LN_YAML_LIST || !list->child) {
		ln_report_error(&l->report, list->at,
				"exec must be a list, [\"/path/of/program\", \"argument\"], no "
				"shell reads it (found %s)",
				list->kind == LN_YAML_LIST ? "an empty list"
							   : ln_yaml_found(list, quote));
		return false;
	}
	draft->argv = calloc(ARGS_MAX + 1, sizeof(*draft->argv));
	l->report.no_memory |= !draft->argv;
	for (const struct ln_yaml_node *a = list->child; a && draft->argv; a = a->next) {
		if (a->kind == LN_YAML_REPORTED)
			return false;
		if (a->kind != LN_YAML_SCALAR || strlen(a->text) != a->len || a->len > TEXT_MAX) {
			ln_report_error(&l->report, a->at,
					"an argument must be text of at most %d bytes (found %s)",
					TEXT_MAX, ln_yaml_found(a, quote));
			return false;
		}
		if (n == ARGS_MAX) {
			ln_report_error(&l->report, a->at,
					"more than %d arguments; put them into a script", ARGS_MAX);
			return false;
		}
		if (n == 0 && !is_path(a->text)) {
			ln_report_error(&l->report, a->at,
					"the program must be an absolute path (found %s)",
					ln_yaml_found(a, quote));
			return false;
		}
		draft->argv[n] = strdup(a->text);
		if (!draft->argv[n++]) {
			l->report.no_memory = true;
			return false;
		}
	}
	return draft->argv;
}

static bool read_mapping(struct ln_loader *l, const struct ln_yaml_node *item,
			 struct ln_policy_sink *draft)
{
	struct ln_field f[] = {{"exec"}, {"webhook"}, {"syslog"}, {"token_file"}};
	int given;
	bool good = ln_fields_read(item, f, LN_ARRAY_SIZE(f), &l->report);

	given = (f[0].value != NULL) + (f[1].value != NULL) + (f[2].value != NULL);
	if (given != 1 || (f[3].value && !f[1].value)) {
		if (!item->cut && !f[0].misspelt && !f[1].misspelt && !f[2].misspelt)
			ln_report_error(
			    &l->report, item->at,
			    "one entry of alert is one of exec, webhook (which may have "
			    "a token_file) and syslog; start a new one with \"- \"");
		return false;
	}
	if (f[0].value) {
		draft->kind = LN_SINK_EXEC;
		return good & read_exec(l, f[0].value, draft);
	}
	if (f[1].value) {
		draft->kind = LN_SINK_WEBHOOK;
		return good & read_webhook(l, f[1].value, f[3].value, draft);
	}
	draft->kind = LN_SINK_SYSLOG;
	return good & read_token(l, f[2].value,
				 "syslog must be \"udp://host:514\" or \"unix:\" and the absolute "
				 "path of a socket",
				 is_syslog, &draft->target);
}

static bool read_word(struct ln_loader *l, const struct ln_yaml_node *item,
		      struct ln_policy_sink *draft)
{
	static const enum ln_sink_kind plain[] = {LN_SINK_STDERR, LN_SINK_LOG, LN_SINK_JOURNAL,
						  LN_SINK_SYSLOG};
	char quote[LN_QUOTE_MAX];

	for (size_t i = 0; item->kind == LN_YAML_SCALAR && i < LN_ARRAY_SIZE(plain); i++) {
		const char *word = ln_sink_kind_text(plain[i]);

		if (item->len != strlen(word) || strcmp(item->text, word) != 0)
			continue;
		draft->kind = plain[i];
		for (size_t k = 0; k < l->policy->n_sinks; k++) {
			const struct ln_policy_sink *other = &l->policy->sinks[k];

			if (other->kind != plain[i] || other->target)
				continue;
			ln_report_error(&l->report, item->at,
					"%s is listed already, on line %u; remove it", word,
					other->line);
			return false;
		}
		return true;
	}
	ln_report_error(&l->report, item->at, "an entry of alert must be " WORDS_TEXT " (found %s)",
			ln_yaml_found(item, quote));
	return false;
}

void ln_sinks_read(struct ln_loader *l, const struct ln_yaml_node *item)
{
	struct ln_policy_sink draft = {.line = item->at.line};

	if (item->kind == LN_YAML_MAP ? read_mapping(l, item, &draft) : read_word(l, item, &draft))
		keep(l, item, &draft);
	else
		free_sink(&draft);
}

size_t ln_policy_sinks(const struct ln_policy *p, const struct ln_policy_sink **ret)
{
	*ret = p->sinks;
	return p->n_sinks;
}

void ln_sinks_free(struct ln_policy *p)
{
	for (size_t i = 0; i < p->n_sinks; i++)
		free_sink(&p->sinks[i]);
	free(p->sinks);
}
