/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/macros.h"
#include "options.h"

#define WORD_MAX 32

static size_t count(const struct ln_command *c)
{
	size_t n = 0;

	while (c->options[n].name && n < LN_OPTIONS_MAX)
		n++;
	return n;
}

static bool is_optional(const struct ln_option *opt)
{
	return opt->arg && opt->arg[0] == '[';
}

void ln_options_init(struct ln_options *o, const struct ln_command *c, int argc, char **argv)
{
	/* "+": what follows the first argument belongs to the agent's command. ":": a missing
	 * argument is told apart. */
	size_t n = count(c), at = 0;

	*o = (struct ln_options){.command = c, .argc = argc, .argv = argv};
	if (!c->permutes)
		o->shorts[at++] = '+';
	o->shorts[at++] = ':';
	for (size_t i = 0; i < n; i++) {
		const struct ln_option *opt = &c->options[i];
		o->longs[i].name = opt->name;
		o->longs[i].val = opt->id;
		o->longs[i].has_arg = !opt->arg          ? no_argument
				      : is_optional(opt) ? optional_argument
							 : required_argument;
		if (opt->id >= 256)
			continue;
		o->shorts[at++] = (char)opt->id;
		if (opt->arg && !is_optional(opt))
			o->shorts[at++] = ':';
	}
	o->shorts[at] = '\0';
	optind = 1;
	opterr = 0;
}

static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t above = row[j];
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			best = LN_MIN(best, above + 1);
			best = LN_MIN(best, row[j - 1] + 1);
			diagonal = above;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *ln_options_guess(const char *word, const char *const *names, size_t n)
{
	const char *best = NULL;
	size_t limit = strlen(word) / 3 + 1;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, names[i]);
		if (d <= limit && d < strlen(names[i])) {
			best = names[i];
			limit = d - (d > 0);
			if (d == 0)
				break;
		}
	}
	return best;
}

int ln_options_wrong(const struct ln_command *c, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ln_log(LN_LOG_ERROR, "%s; see `linnet %s -h`", text, c->name);
	return c->usage_status;
}

static void tell_unknown(struct ln_options *o, const char *word)
{
	const char *names[LN_OPTIONS_MAX];
	size_t n = count(o->command);
	char bare[WORD_MAX + 1];

	for (size_t i = 0; i < n; i++)
		names[i] = o->command->options[i].name;
	snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	const char *guess = ln_options_guess(bare, names, n);
	if (guess)
		ln_options_wrong(o->command, "there is no option %s; did you mean --%s?", word,
				 guess);
	else
		ln_options_wrong(o->command, "there is no option %s", word);
}

static const char *name_of(const struct ln_command *c, int id)
{
	for (size_t i = 0; c->options[i].name; i++)
		if (c->options[i].id == id)
			return c->options[i].name;
	return "?";
}

int ln_options_next(struct ln_options *o, const char **ret_value)
{
	int id = getopt_long(o->argc, o->argv, o->shorts, o->longs, NULL);

	switch (id) {
	case -1:
		return LN_OPT_END;
	case 'h':
		ln_options_help(o->command, stdout);
		return LN_OPT_HELP;
	case ':':
		ln_options_wrong(o->command, "--%s needs a value", name_of(o->command, optopt));
		return LN_OPT_WRONG;
	case '?':
		if (optopt == 0)
			tell_unknown(o, o->argv[optind - 1]);
		else if (strncmp(o->argv[optind - 1], "--", 2) == 0)
			ln_options_wrong(o->command, "--%s takes no value",
					 name_of(o->command, optopt));
		else
			ln_options_wrong(o->command, "there is no option -%c", optopt);
		return LN_OPT_WRONG;
	default:
		*ret_value = optarg;
		return id;
	}
}

int ln_options_rest(const struct ln_options *o)
{
	return optind;
}

static void print_option(const struct ln_option *opt, FILE *to)
{
	char left[64];
	const char *arg = opt->arg ? opt->arg : "";

	/* "[CODE]" is written --name[=CODE] */
	snprintf(left, sizeof(left), "%c%c%c --%s%s%s", opt->id < 256 ? '-' : ' ',
		 opt->id < 256 ? opt->id : ' ', opt->id < 256 ? ',' : ' ', opt->name,
		 !opt->arg          ? ""
		 : is_optional(opt) ? "[="
				    : "=",
		 is_optional(opt) ? arg + 1 : arg);
	if (strlen(left) > 28)
		fprintf(to, "  %s\n%31s", left, "");
	else
		fprintf(to, "  %-28s ", left);
	/* Further lines of the help text are set under the first. */
	for (const char *c = opt->help; *c; c++)
		if (*c == '\n')
			fprintf(to, "\n%31s", "");
		else
			fputc(*c, to);
	fputc('\n', to);
}

void ln_options_help(const struct ln_command *c, FILE *to)
{
	fprintf(to, "Usage: linnet %s %s\n\n%s\nOptions:\n", c->name, c->usage, c->description);
	for (size_t i = 0; c->options[i].name; i++)
		print_option(&c->options[i], to);
	fprintf(to, "\nExamples:\n%s", c->examples);
}
