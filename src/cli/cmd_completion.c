/* SPDX-License-Identifier: Apache-2.0 */
/* Completions for three shells, written from the tables that also give the help and drive getopt.
 * What may stand in a value's place is known by the word that the help shows for it. */
#include <string.h>
#include "base/log.h"
#include "commands.h"

struct value {
	const char *arg; /* as in struct ln_option and in ln_command.operand */
	const char *zsh; /* an action of _arguments */
	const char *fish;
};

/* The bash script knows these words itself (BASH_TAIL). */
static const struct value VALUES[] = {
    {"FILE", "_files", "-F"},
    {"LOG", "_files", "-F"},
    {"USER", "_users", "-xa '(__fish_complete_users)'"},
    {"PID", "_pids", "-xa '(__fish_complete_pids)'"},
    {"COMMAND", "_command_names -e", "-xa '(__linnet_command_line)'"},
};

static bool is_list(const char *arg)
{
	return strchr(arg, '|') != NULL;
}

static const struct value *value_of(const char *arg)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(VALUES); i++)
		if (strcmp(VALUES[i].arg, arg) == 0)
			return &VALUES[i];
	return NULL;
}

static bool takes_value(const struct ln_option *o)
{
	return o->arg && o->arg[0] != '[';
}

static const struct ln_command *visible(size_t *i)
{
	while (LN_COMMANDS[*i] && LN_COMMANDS[*i]->hidden)
		(*i)++;
	return LN_COMMANDS[*i] ? LN_COMMANDS[(*i)++] : NULL;
}

/* "bpf|poll" with the separator that a shell wants. */
static void put_list(const char *list, char separator)
{
	for (; *list; list++)
		putchar(*list == '|' ? separator : *list);
}

/* Text inside single quotes. `special`: what takes a backslash there. zsh and bash end the quotes
 * for a quote, fish escapes it. */
static void put_quoted(const char *text, const char *special, const char *quote)
{
	for (; *text; text++) {
		if (*text == '\'') {
			fputs(quote, stdout);
			continue;
		}
		if (strchr(special, *text))
			putchar('\\');
		putchar(*text == '\n' ? ' ' : *text);
	}
}

static const char BASH_HEAD[] =
    "# bash completion for linnet(1), written by `linnet completion bash`\n"
    "\n"
    "_linnet_offer()\n"
    "{\n"
    "\tlocal word=$2\n"
    "\tcase $1 in\n"
    "\tFILE | LOG)\n"
    "\t\tcompopt -o filenames\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
    "\t\t;;\n"
    "\tUSER) mapfile -t COMPREPLY < <(compgen -u -- \"$word\") ;;\n"
    "\tPID) mapfile -t COMPREPLY < <(compgen -W \"$(cd /proc && echo [0-9]*)\" -- \"$word\") ;;\n"
    "\tCOMMAND) mapfile -t COMPREPLY < <(compgen -c -- \"$word\") ;;\n"
    "\t*'|'*) mapfile -t COMPREPLY < <(compgen -W \"${1//|/ }\" -- \"$word\") ;;\n"
    "\tesac\n"
    "}\n"
    "\n"
    "_linnet()\n"
    "{\n"
    "\tlocal word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}\n"
    "\tlocal options='' valued='' operand='' first='' option='' rest=0 i=2\n";

static const char BASH_TAIL[] =
    "\t# Which option waits for its value, and where the agent's own command begins. Readline\n"
    "\t# makes three words of --name=value.\n"
    "\twhile ((i < COMP_CWORD && rest == 0)); do\n"
    "\t\toption=${COMP_WORDS[i]}\n"
    "\t\tcase $option in\n"
    "\t\t--) rest=$((i + 1)) option='' ;;\n"
    "\t\t-*)\n"
    "\t\t\tif [[ ${COMP_WORDS[i + 1]} == '=' ]]; then\n"
    "\t\t\t\t((i += 2))\n"
    "\t\t\telif [[ $valued == *\" $option \"* ]]; then\n"
    "\t\t\t\t((i += 1))\n"
    "\t\t\telse\n"
    "\t\t\t\toption=''\n"
    "\t\t\tfi\n"
    "\t\t\t((i >= COMP_CWORD)) || option=''\n"
    "\t\t\t;;\n"
    "\t\t*)\n"
    "\t\t\toption=''\n"
    "\t\t\t[[ -z $first ]] || rest=$i\n"
    "\t\t\t;;\n"
    "\t\tesac\n"
    "\t\t((i += 1))\n"
    "\tdone\n"
    "\tif [[ -n $option ]]; then\n"
    "\t\t_linnet_offer \"$(_linnet_value \"$command $option\")\" \"${word#=}\"\n"
    "\telif [[ $operand == COMMAND ]] && { ((rest > 0)) || [[ $word != -* ]]; }; then\n"
    "\t\t((rest > 0)) || rest=$COMP_CWORD\n"
    "\t\tif declare -F _command_offset >/dev/null; then\n"
    "\t\t\t_command_offset \"$rest\"\n"
    "\t\telif ((COMP_CWORD > rest)); then\n"
    "\t\t\t_linnet_offer FILE \"$word\"\n"
    "\t\telse\n"
    "\t\t\t_linnet_offer COMMAND \"$word\"\n"
    "\t\tfi\n"
    "\telif ((rest == 0)) && [[ $word == -* ]]; then\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
    "\t\t[[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace\n"
    "\telse\n"
    "\t\t_linnet_offer \"$operand\" \"$word\"\n"
    "\tfi\n"
    "}\n"
    "complete -F _linnet linnet\n";

/* The names of the commands, each behind `before`. */
static void put_commands(const char *before)
{
	const struct ln_command *c;

	for (size_t i = 0; (c = visible(&i));)
		printf("%s%s", before, c->name);
	printf("%shelp", before);
}

static void bash_command(const struct ln_command *c)
{
	printf("\t%s)\n\t\toptions='", c->name);
	for (const struct ln_option *o = c->options; o->name; o++)
		printf("%s--%s%s", o == c->options ? "" : " ", o->name, takes_value(o) ? "=" : "");
	printf("'\n\t\tvalued='");
	for (const struct ln_option *o = c->options; o->name; o++) {
		if (takes_value(o))
			printf(" --%s ", o->name);
		if (takes_value(o) && o->id < 256)
			printf(" -%c ", o->id);
	}
	printf("'\n\t\toperand='%s' first='%s'\n\t\t;;\n", c->operand ? c->operand : "",
	       c->permutes ? "" : "options first");
}

static void bash_values(const struct ln_command *c)
{
	for (const struct ln_option *o = c->options; o->name; o++) {
		if (!takes_value(o))
			continue;
		printf("\t'%s --%s'", c->name, o->name);
		if (o->id < 256)
			printf(" | '%s -%c'", c->name, o->id);
		printf(") echo '%s' ;;\n", o->arg);
	}
}

static void write_bash(void)
{
	const struct ln_command *c;

	fputs(BASH_HEAD, stdout);
	fputs(
	    "\n\tCOMPREPLY=()\n\tif ((COMP_CWORD == 1)); then\n\t\t_linnet_offer '--help|--version",
	    stdout);
	put_commands("|");
	fputs("' \"$word\"\n\t\treturn\n\tfi\n\tcase $command in\n", stdout);
	for (size_t i = 0; (c = visible(&i));)
		bash_command(c);
	fputs("\thelp) operand='", stdout);
	put_commands("|");
	fputs("' ;;\n\t*) return ;;\n\tesac\n", stdout);
	fputs(BASH_TAIL, stdout);
	fputs("\n_linnet_value()\n{\n\tcase $1 in\n", stdout);
	for (size_t i = 0; (c = visible(&i));)
		bash_values(c);
	fputs("\tesac\n}\n", stdout);
}

static void zsh_action(const char *arg)
{
	const struct value *v = value_of(arg);

	if (v) {
		printf("%s: %s", arg, v->zsh);
	} else if (is_list(arg)) {
		fputs("value:(", stdout);
		put_list(arg, ' ');
		putchar(')');
	} else {
		printf("%s:", arg);
	}
}

static void zsh_option(const struct ln_option *o)
{
	const char *mark = takes_value(o) ? "=" : o->arg ? "=-" : "";

	fputs(" \\\n\t\t\t", stdout);
	if (o->id < 256)
		printf("'(-%c --%s)'{-%c%s,--%s%s}", o->id, o->name, o->id,
		       takes_value(o) ? "+" : "", o->name, mark);
	else
		printf("'--%s%s'", o->name, mark);
	fputs("'[", stdout);
	put_quoted(o->help, "[]\\", "'\\''");
	putchar(']');
	if (takes_value(o)) {
		putchar(':');
		zsh_action(o->arg);
	} else if (o->arg) {
		printf("::%.*s:", (int)strcspn(o->arg + 1, "]"), o->arg + 1);
	}
	putchar('\'');
}

static void zsh_command(const struct ln_command *c)
{
	printf("\t%s)\n\t\t_arguments -s%s", c->name, c->permutes ? "" : " -A '-*'");
	for (const struct ln_option *o = c->options; o->name; o++)
		zsh_option(o);
	if (c->operand && strcmp(c->operand, "COMMAND") == 0) {
		fputs(" \\\n\t\t\t'(-)1:command: _command_names -e' '*::argument: _normal'",
		      stdout);
	} else if (c->operand) {
		fputs(" \\\n\t\t\t'*:", stdout);
		zsh_action(c->operand);
		putchar('\'');
	}
	fputs("\n\t\t;;\n", stdout);
}

static void write_zsh(void)
{
	const struct ln_command *c;

	fputs("#compdef linnet\n"
	      "# zsh completion for linnet(1), written by `linnet completion zsh`\n\n"
	      "_linnet()\n{\n\tlocal -a commands=(\n",
	      stdout);
	for (size_t i = 0; (c = visible(&i));) {
		printf("\t\t'%s:", c->name);
		put_quoted(c->summary, "\\", "'\\''");
		fputs("'\n", stdout);
	}
	fputs("\t\t'help:tell more of a command'\n\t)\n"
	      "\tif ((CURRENT == 2)); then\n"
	      "\t\t_describe -t commands 'linnet command' commands\n"
	      "\t\t[[ $PREFIX != -* ]] || compadd -- --help --version\n"
	      "\t\treturn\n\tfi\n"
	      "\tshift words\n\t((CURRENT--))\n"
	      "\tcase $words[1] in\n",
	      stdout);
	for (size_t i = 0; (c = visible(&i));)
		zsh_command(c);
	fputs("\thelp) _describe -t commands 'linnet command' commands ;;\n\tesac\n}\n\n"
	      "if [[ $funcstack[1] == _linnet ]]; then\n\t_linnet \"$@\"\nelse\n"
	      "\tcompdef _linnet linnet\nfi\n",
	      stdout);
}

static void fish_value(const char *arg)
{
	const struct value *v = value_of(arg);

	if (v) {
		printf(" %s", v->fish);
	} else if (is_list(arg)) {
		fputs(" -xa '", stdout);
		put_list(arg, ' ');
		putchar('\'');
	} else {
		fputs(" -x", stdout);
	}
}

static void fish_command(const struct ln_command *c)
{
	printf("complete -c linnet -n '__linnet_at' -a %s -d '", c->name);
	put_quoted(c->summary, "\\", "\\'");
	fputs("'\n", stdout);
	for (const struct ln_option *o = c->options; o->name; o++) {
		printf("complete -c linnet -n '__linnet_at %s' -l %s", c->name, o->name);
		if (o->id < 256)
			printf(" -s %c", o->id);
		if (takes_value(o)) {
			fputs(" -r", stdout);
			fish_value(o->arg);
		}
		fputs(" -d '", stdout);
		put_quoted(o->help, "\\", "\\'");
		fputs("'\n", stdout);
	}
	if (c->operand) {
		printf("complete -c linnet -n '__linnet_at %s'", c->name);
		fish_value(c->operand);
		putchar('\n');
	}
}

static void write_fish(void)
{
	const struct ln_command *c;

	fputs("# fish completion for linnet(1), written by `linnet completion fish`\n\n"
	      "# Whether the command is $argv, or none is given yet.\n"
	      "function __linnet_at\n"
	      "\tset -l words (commandline -opc)\n"
	      "\tif set -q argv[1]\n"
	      "\t\tset -q words[2]; and test \"$words[2]\" = \"$argv[1]\"\n"
	      "\telse\n"
	      "\t\tnot set -q words[2]\n"
	      "\tend\n"
	      "end\n\n"
	      "# The agent's own command behind `linnet run [OPTION]…`.\n"
	      "function __linnet_command_line\n"
	      "\t__fish_complete_subcommand --fcs-skip=2",
	      stdout);
	for (size_t i = 0; (c = visible(&i));)
		for (const struct ln_option *o = c->options;
		     o->name && c->operand && strcmp(c->operand, "COMMAND") == 0; o++) {
			if (takes_value(o))
				printf(" --%s", o->name);
			if (takes_value(o) && o->id < 256)
				printf(" -%c", o->id);
		}
	fputs("\nend\n\ncomplete -c linnet -f\n"
	      "complete -c linnet -n '__linnet_at' -l help -d 'how linnet is used'\n"
	      "complete -c linnet -n '__linnet_at' -l version -d 'the version'\n"
	      "complete -c linnet -n '__linnet_at' -a help -d 'tell more of a command'\n"
	      "complete -c linnet -n '__linnet_at help' -a '",
	      stdout);
	put_commands(" ");
	fputs("'\n", stdout);
	for (size_t i = 0; (c = visible(&i));)
		fish_command(c);
}

static int run(const struct ln_command *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*write)(void);
	} SHELLS[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
	struct ln_options o;
	const char *value = NULL;

	ln_options_init(&o, c, argc, argv);
	int id = ln_options_next(&o, &value);
	if (id != LN_OPT_END)
		return id == LN_OPT_HELP ? 0 : c->usage_status;
	int rest = ln_options_rest(&o);
	if (argc - rest != 1)
		return ln_options_wrong(c, "one shell is to be named: bash, zsh or fish");
	for (size_t i = 0; i < LN_ARRAY_SIZE(SHELLS); i++) {
		if (strcmp(argv[rest], SHELLS[i].name) == 0) {
			SHELLS[i].write();
			return 0;
		}
	}
	return ln_options_wrong(c, "there is no completion for \"%s\"; take bash, zsh or fish",
				argv[rest]);
}

static const struct ln_option OPTIONS[] = {
    {"help", 'h', NULL, "this text"},
    {0},
};

const struct ln_command ln_cmd_completion = {
    .name = "completion",
    .summary = "write the completions for a shell",
    .usage = "bash|zsh|fish",
    .description = "Writes what the shell needs to complete linnet's commands and options. The\n"
		   "installed linnet has brought these files to where the shells look.\n",
    .options = OPTIONS,
    .examples = "  source <(linnet completion bash)\n"
		"  linnet completion fish >~/.config/fish/completions/linnet.fish\n",
    .usage_status = LN_STATUS_USAGE,
    .hidden = true,
    .run = run,
};
