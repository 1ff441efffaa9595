/* SPDX-License-Identifier: Apache-2.0 */
/* What the BPF sensor says of a command's bytes: `tap [-d DNSPORT] COMMAND…`. One JSON object a
 * line for each DNS message, each piece of what a flow carries, each listener and each loss, until
 * the command has ended. The command's own output goes to standard error. Needs root. */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/cgroup.h"
#include "sensor/sensor.h"

#define AGENT       1
#define END_WAIT_MS 2000

static void print_hex(const uint8_t *bytes, size_t len)
{
	printf(", \"hex\": \"");
	for (size_t i = 0; i < len; i++)
		printf("%02x", bytes[i]);
	puts("\"}");
}

static void print_flow(const char *kind, const struct ln_flow *flow)
{
	char remote[LN_ENDPOINT_TEXT_MAX], local[LN_ENDPOINT_TEXT_MAX];

	printf("{\"kind\": \"%s\", \"flow\": %" PRIu64 ", \"proto\": %u, \"remote\": \"%s\", "
	       "\"local\": \"%s\"",
	       kind, flow->id, flow->proto, ln_endpoint_format(&flow->remote, remote),
	       ln_endpoint_format(&flow->local, local));
}

static const char *truth(bool is)
{
	return is ? "true" : "false";
}

static void on_event(const struct ln_event *ev, void *user)
{
	if (ev->kind == LN_EVENT_BYTES) {
		print_flow("bytes", &ev->bytes.flow);
		printf(", \"pid\": %u, \"in\": %s, \"cut\": %s, \"offset\": %u", ev->pid,
		       truth(ev->bytes.inbound), truth(ev->bytes.cut), ev->bytes.offset);
		print_hex(ev->bytes.bytes, ev->bytes.len);
	} else if (ev->kind == LN_EVENT_DNS) {
		print_flow("dns", &ev->dns.flow);
		printf(", \"answer\": %s, \"stranger\": %s", truth(ev->dns.answer),
		       truth(ev->dns.stranger));
		print_hex(ev->dns.bytes, ev->dns.len);
	} else if (ev->kind == LN_EVENT_FLOW_OPEN) {
		print_flow("open", &ev->flow.flow);
		puts("}");
	} else if (ev->kind == LN_EVENT_CHANNEL && ev->channel.kind == LN_CHANNEL_LISTEN) {
		print_flow("listen", ev->channel.flow);
		puts("}");
	} else if (ev->kind == LN_EVENT_LOST) {
		printf("{\"kind\": \"lost\", \"reason\": \"%s\", \"count\": %" PRIu64 "}\n",
		       ev->lost.reason, ev->lost.count);
	}
}

/* Waits for a byte before it becomes the command. */
static pid_t start_agent(char **command, int *ret_go)
{
	int go[2];
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		err(1, "pipe");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		char byte;

		close(go[1]);
		if (read(go[0], &byte, 1) != 1 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
			_exit(126);
		execvp(command[0], command);
		_exit(127);
	}
	close(go[0]);
	*ret_go = go[1];
	return pid;
}

/* Until the process of `pidfd` has ended, and all is told. */
static void listen_to(struct ln_sensor *s, int pidfd)
{
	struct pollfd p[] = {{.fd = s->ops->fd(s), .events = POLLIN},
			     {.fd = pidfd, .events = POLLIN}};

	while (!p[1].revents) {
		if (poll(p, 2, -1) < 0)
			err(1, "poll");
		if (p[0].revents && s->ops->dispatch(s, on_event, NULL) < 0)
			errx(1, "the sensor failed");
	}
	if (s->ops->drain(s, on_event, NULL) < 0)
		errx(1, "the sensor failed");
}

int main(int argc, char **argv)
{
	struct ln_cgroup cgroup = LN_CGROUP_NONE;
	struct ln_sensor_config config = {0};
	struct ln_sensor *s = NULL;
	struct ln_error error = {0};
	uint16_t port;
	int root, go, status, pidfd;

	if (argc > 3 && !strcmp(argv[1], "-d")) {
		port = (uint16_t)strtoul(argv[2], NULL, 10);
		config.dns_ports = &port;
		config.n_dns_ports = 1;
		argv += 2;
	}
	if (argc < 2)
		errx(2, "usage: tap [-d DNSPORT] COMMAND…");
	pid_t pid = start_agent(argv + 1, &go);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		err(1, "pidfd_open");
	if (ln_cgroup_root(&error, &root) < 0 || ln_cgroup_make(getpid(), &error, &cgroup) < 0 ||
	    ln_cgroup_enter(&cgroup, pid, &error) < 0 ||
	    ln_sensor_bpf_new(root, &config, &error, &s) < 0 ||
	    s->ops->track(s, AGENT, (uint32_t)pid, cgroup.fd, &error) < 0)
		errx(1, "%s", error.text);
	if (write(go, "g", 1) != 1)
		err(1, "write");
	listen_to(s, pidfd);
	waitpid(pid, &status, 0);
	ln_sensor_free(&s);
	ln_cgroup_remove(&cgroup, END_WAIT_MS);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
