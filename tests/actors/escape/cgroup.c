/* SPDX-License-Identifier: Apache-2.0 */
/* Another cgroup: `cgroup born|moved TOKEN FOLDER COMMAND…` runs the command there. `cgroup rewrite
 * TOKEN FOLDER IP PORT IP`: a program of the agent's own on the cgroup FOLDER, which this makes and
 * removes, turns connections of that cgroup to the last address; `cgroup rewrite-datagram`: what is
 * sent there by UDP. IPv6 addresses may differ in their last 32 bits. `cgroup rewrite-root`: on a
 * cgroup that is there. FOLDER is absolute, or below the cgroup of this process when it starts with
 * "+", then the mount: "+/sys/fs/cgroup". */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
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
	/* Before Linux 5.11 what is loaded counts as locked memory. Later it may fail. */
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

	setrlimit(RLIMIT_MEMLOCK, &none);
	return (int)must(syscall(SYS_bpf, command, attr, sizeof(*attr)), "bpf");
}

/* What a program rewrites: an IPv4 address, or the last word of an IPv6 one. */
struct word {
	enum bpf_attach_type hook;
	short at; /* in its context */
	in_addr_t named, address;
};

/* if (ctx->word == named) ctx->word = address; return 1 */
static int load(const struct word *w)
{
	struct bpf_insn code[] = {
	    {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = w->at},
	    {.code = BPF_JMP32 | BPF_JNE | BPF_K, .dst_reg = 2, .imm = (int)w->named, .off = 2},
	    {.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = 2, .imm = (int)w->address},
	    {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 2, .off = w->at},
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
			       .expected_attach_type = w->hook,
			       .insns = (unsigned long)code,
			       .insn_cnt = sizeof(code) / sizeof(code[0]),
			       .license = (unsigned long)"GPL"};

	return bpf(BPF_PROG_LOAD, &attr);
}

static struct word word_of(bool datagram, const union endpoint *to, const union endpoint *real)
{
	struct word w = {.hook = datagram ? BPF_CGROUP_UDP4_SENDMSG : BPF_CGROUP_INET4_CONNECT,
			 .at = offsetof(struct bpf_sock_addr, user_ip4),
			 .named = to->v4.sin_addr.s_addr,
			 .address = real->v4.sin_addr.s_addr};

	if (to->any.sa_family != real->any.sa_family)
		errx(2, "addresses of two families");
	if (to->any.sa_family == AF_INET)
		return w;
	w.hook = datagram ? BPF_CGROUP_UDP6_SENDMSG : BPF_CGROUP_INET6_CONNECT;
	w.at = offsetof(struct bpf_sock_addr, user_ip6) + 12;
	w.named = to->v6.sin6_addr.s6_addr32[3];
	w.address = real->v6.sin6_addr.s6_addr32[3];
	return w;
}

/* Sends while the program is there. By a link, or it would stay when this process is killed. */
static void send_below(bool datagram, const char *token, char **arguments)
{
	union endpoint to, real;
	socklen_t len = endpoint_at(arguments, 1, &to);

	endpoint_parse(need(arguments, 3), "0", 0, &real);
	struct word w = word_of(datagram, &to, &real);
	int cgroup = (int)must(open(folder, O_RDONLY | O_DIRECTORY), folder);
	union bpf_attr attr = {.link_create = {.prog_fd = (unsigned)load(&w),
					       .target_fd = (unsigned)cgroup,
					       .attach_type = w.hook}};
	int link = bpf(BPF_LINK_CREATE, &attr);
	int type = datagram ? SOCK_DGRAM : SOCK_STREAM;
	int fd = (int)must(socket(to.any.sa_family, type, 0), "socket");
	say_go();
	if (datagram) {
		must(sendto(fd, token, strlen(token), 0, &to.any, len), "sendto");
		close(link);
		return;
	}
	must(connect(fd, &to.any, len), "connect");
	close(link);
	must(send(fd, token, strlen(token), MSG_NOSIGNAL), "send");
	tcp_exchange(fd, 0);
}

static void send_from_inner(bool datagram, const char *token, char **arguments)
{
	find_folder(need(arguments, 0));
	must(mkdir(folder, 0755), folder);
	move_to(folder);
	send_below(datagram, token, arguments);
	move_to(home);
	must(rmdir(folder), "rmdir");
}

static void rewrite(const char *token, char **arguments)
{
	send_from_inner(false, token, arguments);
}

static void rewrite_datagram(const char *token, char **arguments)
{
	send_from_inner(true, token, arguments);
}

/* The address that is rewritten is one for documents: nobody else connects to it meanwhile. */
static void rewrite_root(const char *token, char **arguments)
{
	find_folder(need(arguments, 0));
	send_below(false, token, arguments);
}

static const struct way WAYS[] = {{"born", born},
				  {"moved", moved},
				  {"rewrite", rewrite},
				  {"rewrite-datagram", rewrite_datagram},
				  {"rewrite-root", rewrite_root}};

ESCAPE_MAIN(WAYS)
