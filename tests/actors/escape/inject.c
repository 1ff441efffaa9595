/* SPDX-License-Identifier: Apache-2.0 */
/* The token is put into the memory of a process outside, which sends it: `inject MODE TOKEN PID
 * ADDRESS`. SIGUSR1 tells that process that it is there. */
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include "escape.h"

struct victim {
	pid_t pid;
	unsigned long address;
};

static struct victim victim_at(char **arguments)
{
	return (struct victim){.pid = atoi(need(arguments, 0)),
			       .address = strtoul(need(arguments, 1), NULL, 0)};
}

static void poke(struct victim v, const char *token)
{
	size_t len = strlen(token);
	long word;

	for (size_t at = 0; at < len; at += sizeof(word)) {
		word = 0;
		memcpy(&word, token + at, len - at < sizeof(word) ? len - at : sizeof(word));
		must(ptrace(PTRACE_POKEDATA, v.pid, v.address + at, word), "PTRACE_POKEDATA");
	}
	must(ptrace(PTRACE_DETACH, v.pid, 0, 0), "PTRACE_DETACH");
	must(kill(v.pid, SIGUSR1), "kill");
}

static void attach(const char *token, char **arguments)
{
	struct victim v = victim_at(arguments);

	say_go();
	must(ptrace(PTRACE_ATTACH, v.pid, 0, 0), "PTRACE_ATTACH");
	must(waitpid(v.pid, NULL, __WALL), "waitpid");
	poke(v, token);
}

static void seize(const char *token, char **arguments)
{
	struct victim v = victim_at(arguments);

	say_go();
	must(ptrace(PTRACE_SEIZE, v.pid, 0, 0), "PTRACE_SEIZE");
	must(ptrace(PTRACE_INTERRUPT, v.pid, 0, 0), "PTRACE_INTERRUPT");
	must(waitpid(v.pid, NULL, __WALL), "waitpid");
	poke(v, token);
}

static void writev_into(const char *token, char **arguments)
{
	struct victim v = victim_at(arguments);
	struct iovec here = {(void *)token, strlen(token)};
	struct iovec there = {(void *)v.address, strlen(token)};

	say_go();
	must(process_vm_writev(v.pid, &here, 1, &there, 1, 0), "process_vm_writev");
	must(kill(v.pid, SIGUSR1), "kill");
}

static void memory_file(const char *token, char **arguments)
{
	struct victim v = victim_at(arguments);
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", v.pid);
	say_go();
	int fd = (int)must(open(path, O_RDWR), path);
	must(pwrite(fd, token, strlen(token), (off_t)v.address), "pwrite");
	must(kill(v.pid, SIGUSR1), "kill");
}

static const struct way WAYS[] = {
    {"attach", attach},
    {"seize", seize},
    {"writev", writev_into},
    {"memory", memory_file},
};

ESCAPE_MAIN(WAYS)
