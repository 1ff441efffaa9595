/* SPDX-License-Identifier: Apache-2.0 */
/* Subcommands and their options as data: one table gives the help text and drives getopt_long. */
#ifndef LINNET_CLI_OPTIONS_H
#define LINNET_CLI_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#define LN_OPTIONS_MAX 24

struct ln_option {
	const char *name;
	int id; /* what ln_options_next returns: a letter, or from 256 for none */
	/* NULL: none; "[CODE]": optional, only as --name=CODE; "a|b": one of these. Completions go
	 * by this word (cmd_completion.c). */
	const char *arg;
	const char *help;
};

struct ln_command {
	const char *name;
	const char *summary;             /* one line, for the list of commands */
	const char *usage;               /* what follows "linnet NAME" */
	const char *description;         /* ends with a line break */
	const struct ln_option *options; /* up to one without a name */
	const char *examples;            /* lines, ready to print */
	const char *
	    operand; /* what its arguments are, as ln_option.arg; NULL: there is nothing to offer */
	int usage_status; /* exit status for a wrong command line */
	bool permutes;    /* options may come behind arguments, too */
	bool hidden;      /* not in the list of commands */
	int (*run)(const struct ln_command *c, int argc, char **argv);
};

enum { LN_OPT_END = -1, LN_OPT_WRONG = -2, LN_OPT_HELP = 'h' };

struct ln_options {
	const struct ln_command *command; /* borrowed */
	int argc;
	char **argv; /* argv[0] is the command's name */
	struct option longs[LN_OPTIONS_MAX + 1];
	char shorts[2 * LN_OPTIONS_MAX + 3];
};

void ln_options_init(struct ln_options *o, const struct ln_command *c, int argc, char **argv);
/* The id of the next option, LN_OPT_END, or LN_OPT_WRONG when it has told what is wrong. -h is
 * answered here and returned as LN_OPT_HELP. */
int ln_options_next(struct ln_options *o, const char **ret_value);
/* Index of the first argument that is no option. */
int ln_options_rest(const struct ln_options *o);
/* Tells what is wrong with the command line and where help is; returns the exit status. */
int ln_options_wrong(const struct ln_command *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ln_options_help(const struct ln_command *c, FILE *to);
/* The closest of `names` to a mistyped word, NULL when none is close. */
const char *ln_options_guess(const char *word, const char *const *names, size_t n);

#endif
