/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/log.h"
#include "commands.h"

const struct ln_command *const LN_COMMANDS[] = {
    &ln_cmd_run,     &ln_cmd_attach,     &ln_cmd_learn,  &ln_cmd_check,
    &ln_cmd_explain, &ln_cmd_replay,     &ln_cmd_doctor, &ln_cmd_resume,
    &ln_cmd_kill,    &ln_cmd_completion, NULL,
};

static void help(FILE *to)
{
	fputs("Usage: linnet COMMAND [OPTION]…\n\n"
	      "linnet watches an AI agent's processes and raises an alert for every outbound\n"
	      "connection that its policy does not list.\n\n"
	      "Commands:\n",
	      to);
	for (size_t i = 0; LN_COMMANDS[i]; i++)
		if (!LN_COMMANDS[i]->hidden)
			fprintf(to, "  %-8s %s\n", LN_COMMANDS[i]->name, LN_COMMANDS[i]->summary);
	fputs(
	    "\n`linnet COMMAND -h` tells more, and so do the manual pages linnet(1) and\n"
	    "linnet.yaml(5). `linnet --version` tells the version.\n\n"
	    "First steps:\n"
	    "  sudo linnet learn -o policy.yaml -- COMMAND       write down what an agent reaches\n"
	    "  linnet check policy.yaml                          is the policy sound?\n"
	    "  sudo linnet doctor                                what can linnet see here?\n"
	    "  sudo linnet run -p policy.yaml -- COMMAND         start an agent under watch\n",
	    to);
}

static const struct ln_command *find(const char *name)
{
	for (size_t i = 0; LN_COMMANDS[i]; i++)
		if (strcmp(LN_COMMANDS[i]->name, name) == 0)
			return LN_COMMANDS[i];
	return NULL;
}

static int unknown(const char *word)
{
	const char *names[LN_ARRAY_SIZE(LN_COMMANDS)];
	size_t n = 0;

	for (; LN_COMMANDS[n]; n++)
		names[n] = LN_COMMANDS[n]->name;
	const char *guess = ln_options_guess(word, names, n);
	if (guess)
		ln_log(LN_LOG_ERROR, "there is no command \"%s\"; did you mean \"%s\"?", word,
		       guess);
	else if (word[0] == '-')
		ln_log(LN_LOG_ERROR, "there is no option %s before a command; see `linnet -h`",
		       word);
	else
		ln_log(LN_LOG_ERROR,
		       "there is no command \"%s\"; see `linnet -h`, or to watch a program: "
		       "linnet run -- %s",
		       word, word);
	return LN_STATUS_USAGE;
}

static int help_command(const char *name)
{
	const struct ln_command *c = name ? find(name) : NULL;

	if (name && !c)
		return unknown(name);
	if (c)
		ln_options_help(c, stdout);
	else
		help(stdout);
	return 0;
}

/* A descriptor below 3 that is closed would be given to the next file, and messages into it. */
static void fill_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	fill_stdio();
	if (!word) {
		help(stderr);
		return LN_STATUS_USAGE;
	}
	if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
		return help_command(NULL);
	if (strcmp(word, "help") == 0)
		return help_command(argv[2]);
	if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0) {
		puts("linnet " LINNET_VERSION);
		return 0;
	}
	const struct ln_command *c = find(word);
	if (!c)
		return unknown(word);
	int status = c->run(c, argc - 1, argv + 1);
	if (fflush(stdout) != 0) {
		ln_log(LN_LOG_ERROR, "standard output cannot be written: %s", strerror(errno));
		return status ? status : LN_STATUS_USAGE;
	}
	return status;
}
