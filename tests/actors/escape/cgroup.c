/* SPDX-License-Identifier: Apache-2.0 */
/* Another cgroup: `cgroup born|moved TOKEN FOLDER COMMAND…` runs the command there. `cgroup rewrite
 * TOKEN FOLDER IP PORT IP`: a program of the agent's own on the cgroup FOLDER, which this makes and
 * removes, turns connections of that cgroup to the last address. `cgroup rewrite-root`: on a cgroup
 * that is there. FOLDER is absolute, or below the
 * cgroup of this process when it starts with "+", then the mount: "+/sys/fs/cgroup". */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "escape.h"

static char home[4096], folder[4200];

/* Fills home and folder. */
static void find_folder(const char *argument)
{
	char line[4000] = "";
	FILE *own;

	snprintf(folder, sizeof(folder), "%s", argument);
	if (argument[0] != '+')
		return;
	own = fopen("/proc/self/cgroup", "r");
	while (own && fgets(line, sizeof(line), own) && strncmp(line, "0::", 3) != 0)
		;
	if (!own || strncmp(line, "0::", 3) != 0)
		errx(1, "no cgroup v2");
	fclose(own);
	line[strcspn(line, "\n")] = '\0';
	snprintf(home, sizeof(home), "%s%s", argument + 1, line + 3);
	snprintf(folder, sizeof(folder), "%.4000s/inner", home);
}

static void move_to(const char *cgroup)
{
	char path[4300];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	int fd = (int)must(open(path, O_WRONLY), path);
	must(write(fd, "0", 1), "move");
	close(fd);
}

static void run(char **command)
{
	execv(command[0], command);
	err(127, "%s", command[0]);
}

static void moved(const char *token, char **arguments)
{
	need(arguments, 1);
	find_folder(arguments[0]);
	move_to(folder);
	run(arguments + 1);
}

static void born(const char *token, char **arguments)
{
	need(arguments, 1);
	find_folder(arguments[0]);
	int cgroup = (int)must(open(folder, O_PATH | O_DIRECTORY), folder);
	struct clone_args how = {
	    .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned long)cgroup};
	if (must(syscall(SYS_clone3, &how, sizeof(how)), "clone3") == 0)
		run(arguments + 1);
	int status;
	must(wait(&status), "wait");
	if (status != 0)
		errx(1, "the child ended with %d", status);
}

static int bpf(int command, union bpf_attr *attr)
{
	return (int)must(syscall(SYS_bpf, command, attr, sizeof(*attr)), "bpf");
}

/* if (ctx->user_ip4 == named) ctx->user_ip4 = address; return 1 */
static int load(struct in_addr named, struct in_addr address)
{
	struct bpf_insn code[] = {
	    {.code = BPF_LDX | BPF_MEM | BPF_W,
	     .dst_reg = 2,
	     .src_reg = 1,
	     .off = offsetof(struct bpf_sock_addr, user_ip4)},
	    {.code = BPF_JMP32 | BPF_JNE | BPF_K, .dst_reg = 2, .imm = (int)named.s_addr, .off = 2},
	    {.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = 2, .imm = (int)address.s_addr},
	    {.code = BPF_STX | BPF_MEM | BPF_W,
	     .dst_reg = 1,
	     .src_reg = 2,
	     .off = offsetof(struct bpf_sock_addr, user_ip4)},
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
			       .expected_attach_type = BPF_CGROUP_INET4_CONNECT,
			       .insns = (unsigned long)code,
			       .insn_cnt = sizeof(code) / sizeof(code[0]),
			       .license = (unsigned long)"GPL"};

	return bpf(BPF_PROG_LOAD, &attr);
}

/* Connects while the program is there. By a link, or it would stay when this process is killed. */
static void connect_below(const char *token, char **arguments)
{
	struct in_addr address;
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 1, &to);

	if (inet_pton(AF_INET, need(arguments, 3), &address) != 1)
		errx(2, "%s is no IPv4 address", arguments[3]);
	int cgroup = (int)must(open(folder, O_RDONLY | O_DIRECTORY), folder);
	union bpf_attr attr = {.link_create = {.prog_fd = (unsigned)load(to.v4.sin_addr, address),
					       .target_fd = (unsigned)cgroup,
					       .attach_type = BPF_CGROUP_INET4_CONNECT}};
	int link = bpf(BPF_LINK_CREATE, &attr);
	int fd = (int)must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	say_go();
	must(connect(fd, &to.any, len), "connect");
	close(link);
	must(send(fd, token, strlen(token), MSG_NOSIGNAL), "send");
	tcp_exchange(fd, 0);
}

static void rewrite(const char *token, char **arguments)
{
	find_folder(need(arguments, 0));
	must(mkdir(folder, 0755), folder);
	move_to(folder);
	connect_below(token, arguments);
	move_to(home);
	must(rmdir(folder), "rmdir");
}

/* The address that is rewritten is one for documents: nobody else connects to it meanwhile. */
static void rewrite_root(const char *token, char **arguments)
{
	find_folder(need(arguments, 0));
	connect_below(token, arguments);
}

static const struct way WAYS[] = {
    {"born", born}, {"moved", moved}, {"rewrite", rewrite}, {"rewrite-root", rewrite_root}};

ESCAPE_MAIN(WAYS)
