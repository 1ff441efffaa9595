/* SPDX-License-Identifier: Apache-2.0 */
/* The workloads. Each tells one JSON object: `n` things done in `ns`, `made` with the warm-up.
 *
 *   work connect PORT COUNT PROCESSES PLACES RATE [hold]
 *       connect and close; PLACES addresses in turn; RATE a second (0: as fast as it goes); with
 *       hold it then stays until standard input ends
 *   work udp PORT COUNT CPU [hold]                    round trips of one datagram; `p50_ns`
 *   work pingpong PORT COUNT CPU                      round trips of one byte by TCP; `p50_ns`
 *   work stream PORT MIB CPU                          as fast as it goes, to the last byte read
 *   work request PORT COUNT CPU                       look-up, connect, HTTP request, response;
 *                                                     `p50_ns`
 *   work getppid COUNT
 *   work forkexec COUNT
 *   work children PORT COUNT [named]                  short children, one connect each; named: each
 *                                                     looks up a name of its own and goes there
 *   work latency PORT COUNT BURST GAP_US              connects to COUNT new places, stamped
 *   work knock PORT                                   one connection, open until standard input
 * ends work wait                                         until standard input ends
 */
#include "asking.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PROCESSES_MAX 16
#define ELSEWHERE     0x7f010000u /* 127.1.0.0 and on: the places of a flood */
#define KNOCKED       0x7f630001u /* 127.99.0.1 */
#define NEW_PLACES    0x7f400000u /* 127.64.0.0 and on: each is met once */

struct shared {
	pthread_barrier_t start;
	uint64_t start_ns[PROCESSES_MAX], end_ns[PROCESSES_MAX];
};

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*end != '\0' || end == text)
		errx(2, "%s is no number", text);
	return n;
}

static int connected_to(uint32_t ip, uint16_t port)
{
	struct sockaddr_in to = endpoint(ip, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		err(1, "connect");
	return fd;
}

static void connect_once(uint32_t ip, uint16_t port)
{
	close(connected_to(ip, port));
}

/* Keeping a rate, it catches up after each pause that was too long: one pause a millisecond. */
static void connect_many(uint16_t port, uint64_t count, uint64_t places, uint64_t first,
			 uint64_t rate)
{
	uint64_t start = now_ns(), step = rate < 1000 ? 1 : rate / 1000;

	for (uint64_t i = 0; i < count; i++) {
		if (rate > 0 && i % step == 0)
			sleep_until(start + i * 1000000000 / rate);
		connect_once(places == 1 ? HOME : ELSEWHERE + (uint32_t)((first + i) % places),
			     port);
	}
}

static void report(uint64_t n, uint64_t made, uint64_t ns)
{
	printf("{\"n\": %" PRIu64 ", \"made\": %" PRIu64 ", \"ns\": %" PRIu64 "}\n", n, made, ns);
	fflush(stdout);
}

/* The processes begin together after a warm-up of a tenth; the time is that of the slowest. */
static void run_connect(uint16_t port, uint64_t count, unsigned int processes, uint64_t places,
			uint64_t rate)
{
	struct shared *s =
	    mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t share = count / processes, warm = share / 10, first = UINT64_MAX, last = 0;
	pthread_barrierattr_t attr;

	if (s == MAP_FAILED || processes > PROCESSES_MAX)
		errx(2, "too many processes");
	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&s->start, &attr, processes);
	for (unsigned int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid > 0)
			continue;
		connect_many(port, warm, places, i * places / processes, rate / processes);
		pthread_barrier_wait(&s->start);
		s->start_ns[i] = now_ns();
		connect_many(port, share, places, i * places / processes + warm, rate / processes);
		s->end_ns[i] = now_ns();
		_exit(0);
	}
	for (unsigned int i = 0; i < processes; i++) {
		int status;

		if (wait(&status) < 0 || status != 0)
			errx(1, "a process failed");
	}
	for (unsigned int i = 0; i < processes; i++) {
		first = s->start_ns[i] < first ? s->start_ns[i] : first;
		last = s->end_ns[i] > last ? s->end_ns[i] : last;
	}
	report(share * processes, (share + warm) * processes, last - first);
}

static int connected(uint16_t port)
{
	int on = 1, fd = connected_to(HOME, port);

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		err(1, "connect");
	return fd;
}

/* Each datagram names its destination; TCP is connected. */
static void run_round_trips(int type, uint16_t port, uint64_t count, int cpu)
{
	struct sockaddr_in to = endpoint(HOME, port);
	const struct sockaddr *name = type == SOCK_DGRAM ? (struct sockaddr *)&to : NULL;
	uint64_t *took = calloc(count, sizeof(*took)), begin;
	int fd = name ? socket(AF_INET, type | SOCK_CLOEXEC, 0) : connected(port);
	char byte = 0;

	if (!took || fd < 0)
		err(1, "socket");
	pin_to(cpu);
	begin = now_ns();
	for (uint64_t i = 0; i < count; i++) {
		uint64_t sent_ns = now_ns();

		if (sendto(fd, &byte, 1, 0, name, name ? sizeof(to) : 0) != 1 ||
		    recv(fd, &byte, 1, 0) != 1)
			err(1, "round trip");
		took[i] = now_ns() - sent_ns;
	}
	report_p50(took, count, now_ns() - begin);
	free(took);
}

static void request_once(uint16_t id, uint16_t port)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: api.bench.test\r\n"
				      "User-Agent: work\r\nAccept: */*\r\n\r\n";
	struct sockaddr_in to = endpoint(0, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr = look_up(id, "\3api");
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		err(1, "request");
	wait_for_eof(fd);
	close(fd);
}

static void run_requests(uint16_t port, uint64_t count, int cpu)
{
	uint64_t *took = calloc(count, sizeof(*took)), begin;

	if (!took)
		err(1, "calloc");
	pin_to(cpu);
	request_once(0, port);
	begin = now_ns();
	for (uint64_t i = 0; i < count; i++) {
		uint64_t start = now_ns();

		request_once((uint16_t)i, port);
		took[i] = now_ns() - start;
	}
	report_p50(took, count, now_ns() - begin);
	free(took);
}

static void run_stream(uint16_t port, uint64_t mib, int cpu)
{
	static char piece[1 << 16];
	uint64_t left = mib << 20, begin;
	int fd = connected(port);

	pin_to(cpu);
	begin = now_ns();
	while (left > 0) {
		ssize_t n = write(fd, piece, left < sizeof(piece) ? left : sizeof(piece));

		if (n < 0)
			err(1, "write");
		left -= (uint64_t)n;
	}
	shutdown(fd, SHUT_WR);
	wait_for_eof(fd);
	report(mib << 10, mib << 10, now_ns() - begin);
	close(fd);
}

static void run_getppid(uint64_t count)
{
	uint64_t begin = now_ns();

	for (uint64_t i = 0; i < count; i++)
		syscall(SYS_getppid);
	report(count, count, now_ns() - begin);
}

static pid_t start_self(const char *what, const char *port, const char *index, const char *named)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/proc/self/exe", "work", what, port, index, named, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		err(1, "vfork");
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		errx(1, "a child failed");
}

static void run_forkexec(uint64_t count)
{
	uint64_t begin = now_ns();

	for (uint64_t i = 0; i < count; i++)
		reap(start_self("nothing", NULL, NULL, NULL));
	report(count, count, now_ns() - begin);
}

static void run_named_child(uint16_t port, uint16_t index)
{
	char label[8];

	snprintf(label, sizeof(label), CHILD_LABEL, index);
	connect_once(ntohl(look_up(index, label).s_addr), port);
}

/* Who the children were and how long each lived. */
static void run_children(const char *port, uint64_t count, const char *named)
{
	char index[24];

	printf("{\"children\": [");
	for (uint64_t i = 0; i < count; i++) {
		uint64_t begin = now_ns();

		snprintf(index, sizeof(index), "%" PRIu64, i);
		pid_t pid = start_self("child", port, index, named);
		reap(pid);
		printf("%s[%d, %" PRIu64 "]", i ? ", " : "", pid, now_ns() - begin);
	}
	puts("]}");
}

/* Bursts begin a gap apart; each connect is stamped just before its call. */
static void run_latency(uint16_t port, uint64_t count, uint64_t burst, uint64_t gap_us)
{
	uint64_t *at = calloc(count, sizeof(*at));

	if (!at || burst == 0)
		errx(2, "no room, or no burst");
	for (uint64_t i = 0; i < count; i++) {
		if (i % burst == 0)
			sleep_until(now_ns() + gap_us * 1000);
		at[i] = now_ns();
		connect_once(NEW_PLACES + (uint32_t)i, port);
	}
	printf("{\"stamps\": {");
	for (uint64_t i = 0; i < count; i++) {
		struct in_addr ip = {.s_addr = htonl(NEW_PLACES + (uint32_t)i)};

		printf("%s\"%s:%u\": %" PRIu64, i ? ", " : "", inet_ntoa(ip), port, at[i]);
	}
	puts("}}");
	free(at);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint16_t port = argc > 2 ? (uint16_t)strtoul(argv[2], NULL, 10) : 0;

	if (strcmp(what, "connect") == 0 && argc >= 7) {
		run_connect(port, number(argv[3]), (unsigned int)number(argv[4]), number(argv[5]),
			    number(argv[6]));
		if (argc > 7)
			wait_for_eof(STDIN_FILENO);
	} else if (strcmp(what, "udp") == 0 && argc >= 5) {
		run_round_trips(SOCK_DGRAM, port, number(argv[3]), (int)number(argv[4]));
		if (argc > 5)
			wait_for_eof(STDIN_FILENO);
	} else if (strcmp(what, "pingpong") == 0 && argc == 5) {
		run_round_trips(SOCK_STREAM, port, number(argv[3]), (int)number(argv[4]));
	} else if (strcmp(what, "stream") == 0 && argc == 5) {
		run_stream(port, number(argv[3]), (int)number(argv[4]));
	} else if (strcmp(what, "request") == 0 && argc == 5) {
		run_requests(port, number(argv[3]), (int)number(argv[4]));
	} else if (strcmp(what, "getppid") == 0 && argc == 3) {
		run_getppid(number(argv[2]));
	} else if (strcmp(what, "forkexec") == 0 && argc == 3) {
		run_forkexec(number(argv[2]));
	} else if (strcmp(what, "children") == 0 && argc >= 4) {
		run_children(argv[2], number(argv[3]), argv[4]);
	} else if (strcmp(what, "child") == 0 && argc == 4) {
		connect_once(HOME, port);
	} else if (strcmp(what, "child") == 0 && argc == 5) {
		run_named_child(port, (uint16_t)number(argv[3]));
	} else if (strcmp(what, "latency") == 0 && argc == 6) {
		run_latency(port, number(argv[3]), number(argv[4]), number(argv[5]));
	} else if (strcmp(what, "knock") == 0 && argc == 3) {
		int fd = connected_to(KNOCKED, port);

		wait_for_eof(STDIN_FILENO);
		close(fd);
	} else if (strcmp(what, "wait") == 0) {
		puts("READY");
		fflush(stdout);
		wait_for_eof(STDIN_FILENO);
	} else if (strcmp(what, "nothing") != 0) {
		errx(2, "unknown workload, or wrong arguments");
	}
	return 0;
}
