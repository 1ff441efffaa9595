/* SPDX-License-Identifier: Apache-2.0 */
#include "lookalike.h"

#include <idn2.h>
#include <string.h>
#include "base/text.h"
#include "index.h"

static const struct {
	uint32_t first, last;
	const char *name;
} scripts[] = {
    {'A', 'Z', "Latin"},          {'a', 'z', "Latin"},          {0x00c0, 0x024f, "Latin"},
    {0x0250, 0x02af, "Latin"},    {0x1e00, 0x1eff, "Latin"},    {0x0370, 0x03ff, "Greek"},
    {0x1f00, 0x1fff, "Greek"},    {0x0400, 0x052f, "Cyrillic"}, {0x0530, 0x058f, "Armenian"},
    {0x10a0, 0x10ff, "Georgian"}, {0x13a0, 0x13ff, "Cherokee"},
};

/* Letters that look like an ASCII one: UTS 39, confusables.txt. */
static const struct {
	uint32_t letter;
	char like;
} look[] = {
    {0x0430, 'a'}, {0x0435, 'e'}, {0x0456, 'i'}, {0x0458, 'j'}, {0x043e, 'o'}, {0x0440, 'p'},
    {0x0441, 'c'}, {0x0443, 'y'}, {0x0445, 'x'}, {0x0455, 's'}, {0x04bb, 'h'}, {0x0501, 'd'},
    {0x051b, 'q'}, {0x051d, 'w'}, {0x04cf, 'l'}, {0x03b1, 'a'}, {0x03bf, 'o'}, {0x03bd, 'v'},
    {0x03c1, 'p'}, {0x03b9, 'i'}, {0x03c5, 'u'}, {0x03b3, 'y'}, {0x0578, 'n'}, {0x0585, 'o'},
    {0x057d, 'u'}, {0x0570, 'h'}, {0x0131, 'i'}, {0x0261, 'g'}, {0x0251, 'a'},
};

bool ln_name_unicode(const char *name, char ret[LN_NAME_UNICODE_MAX])
{
	char *text = NULL;
	bool good;

	if (!strstr(name, "xn--") || idn2_to_unicode_8z8z(name, &text, 0) != IDN2_OK)
		return false;
	good = strlen(text) < LN_NAME_UNICODE_MAX && strcmp(text, name) != 0;
	if (good)
		memcpy(ret, text, strlen(text) + 1);
	idn2_free(text);
	return good;
}

static const char *script_of(uint32_t c)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(scripts); i++) {
		if (c >= scripts[i].first && c <= scripts[i].last)
			return scripts[i].name;
	}
	return NULL;
}

static char looks_like(uint32_t c)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(look); i++) {
		if (look[i].letter == c)
			return look[i].like;
	}
	return '\0';
}

/* Two scripts in one label; and the name as it looks, "" when that is no ASCII name. */
struct sight {
	const char *scripts[2]; /* the second NULL: not mixed */
	char ascii[LN_NAME_MAX];
};

static void look_at(const char *text, struct sight *ret)
{
	const char *script = NULL;
	size_t len = strlen(text), n = 0, used;
	bool ascii = true;
	uint32_t c;

	*ret = (struct sight){0};
	for (size_t i = 0; i < len; i += used) {
		const char *one;

		used = ln_utf8_length((const uint8_t *)text + i, len - i, &c);
		if (used == 0)
			return;
		one = script_of(c);
		if (c == '.')
			script = NULL;
		if (one && script && strcmp(one, script) != 0 && !ret->scripts[0]) {
			ret->scripts[0] = script;
			ret->scripts[1] = one;
		}
		script = script ? script : one;
		c = c < 0x80 ? c : (uint8_t)looks_like(c);
		ascii = ascii && c != 0 && n < sizeof(ret->ascii) - 1;
		if (ascii)
			ret->ascii[n++] = (char)c;
	}
	ret->ascii[ascii ? n : 0] = '\0';
}

/* The first rule that permits this very name, or what is below it. */
static const struct ln_rule *lister_of(const struct ln_policy *p, const char *name)
{
	struct ln_level levels[LN_NAME_LABELS_MAX];
	size_t n = ln_index_name_levels(p, name, levels);

	if (n == 0 || !levels[n - 1].whole)
		return NULL;
	for (int kind = 0; kind < LN_ALLOW_KINDS; kind++) {
		uint32_t id = LN_MIN(levels[n - 1].slot->exact[kind].first,
				     levels[n - 1].slot->suffix[kind].first);

		if (id != LN_NO_RULE)
			return &p->rules[id];
	}
	return NULL;
}

static void check(const struct ln_policy *p, const struct ln_rule *rule, struct ln_place at,
		  struct ln_report *r)
{
	char text[LN_NAME_UNICODE_MAX], quote[LN_QUOTE_MAX], like[LN_QUOTE_MAX];
	const struct ln_rule *lister;
	struct sight sight;

	if (!ln_name_unicode(rule->name, text))
		return;
	look_at(text, &sight);
	ln_report_quote(quote, text, strlen(text));
	lister = sight.ascii[0] ? lister_of(p, sight.ascii) : NULL;
	if (lister)
		ln_report_warning(
		    r, at,
		    "%s (%s) looks like %s of line %u and is another name; remove the "
		    "one that is not meant",
		    quote, rule->name, ln_report_quote(like, sight.ascii, strlen(sight.ascii)),
		    lister->line);
	else if (sight.scripts[1])
		ln_report_warning(r, at,
				  "%s (%s) mixes %s and %s letters, as names do that are made to "
				  "look like others; write the name that is meant",
				  quote, rule->name, sight.scripts[0], sight.scripts[1]);
}

void ln_check_lookalikes(const struct ln_policy *p, const struct ln_place *places,
			 struct ln_report *r)
{
	for (uint32_t id = 0; id < p->start[LN_ALLOW_KINDS]; id++) {
		if (p->rules[id].dest != LN_DEST_NET)
			check(p, &p->rules[id], places[id], r);
	}
}
