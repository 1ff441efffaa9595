/* SPDX-License-Identifier: Apache-2.0 */
/* Own look-ups against a real dnsmasq on 127.0.0.1, and against a resolver that keeps silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "base/clock.h"
#include "base/macros.h"
#include "sensor/lookup.h"

#define DEADLINE_MS 10000
#define EVENTS_MAX  1024

struct server {
	char dir[64];
	char hosts[80];
	uint16_t port;
	pid_t pid;
	int log_fd; /* dnsmasq's standard error */
};

struct events {
	size_t n, n_looked;
	struct {
		uint64_t ticket, time_ns;
		bool failed;
	} looked[16];
	struct ln_event list[EVENTS_MAX];
	char chains[EVENTS_MAX][LN_NAME_MAX];
};

static struct server server;
static struct events events;

static uint64_t deadline(void)
{
	return ln_clock_mono_ns() + DEADLINE_MS * LN_NS_PER_MS;
}

static int wait_readable(int fd, uint64_t until_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now_ns = ln_clock_mono_ns();

	return poll(&p, 1, now_ns < until_ns ? (int)((until_ns - now_ns) / LN_NS_PER_MS) + 1 : 0);
}

static int loopback_socket(int type, uint16_t port, uint16_t *ret_port)
{
	LN_AUTO_CLOSE int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(port)};
	socklen_t len = sizeof(sa);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return -1;
	*ret_port = ntohs(sa.sin_port);
	return LN_TAKE_FD(fd);
}

/* A port that is free for both UDP and TCP. */
static uint16_t free_port(void)
{
	uint16_t port, same;

	for (int i = 0; i < 20; i++) {
		LN_AUTO_CLOSE int udp = loopback_socket(SOCK_DGRAM, 0, &port);
		LN_AUTO_CLOSE int tcp = loopback_socket(SOCK_STREAM, port, &same);

		if (udp >= 0 && tcp >= 0)
			return port;
	}
	fail_msg("no free port on 127.0.0.1");
	return 0;
}

static void write_hosts(const char *text)
{
	FILE *f = fopen(server.hosts, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Reads dnsmasq's messages until one holds `text`; false when it ends or keeps silent. */
static bool await_message(const char *text)
{
	char log[8192];
	size_t len = 0;
	uint64_t until_ns = deadline();

	while (len < sizeof(log) - 1 && wait_readable(server.log_fd, until_ns) > 0) {
		ssize_t r = read(server.log_fd, log + len, sizeof(log) - 1 - len);

		if (r <= 0)
			break;
		len += (size_t)r;
		log[len] = '\0';
		if (strstr(log, text))
			return true;
	}
	fprintf(stderr, "dnsmasq did not say '%s': %.*s\n", text, (int)len, log);
	return false;
}

static void exec_dnsmasq(int log_fd)
{
	char port[32], hosts[128];

	snprintf(port, sizeof(port), "--port=%u", server.port);
	snprintf(hosts, sizeof(hosts), "--addn-hosts=%s", server.hosts);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log_fd, STDERR_FILENO);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	execlp(
	    "dnsmasq", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv",
	    "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces", port, hosts,
	    "--local-ttl=30", "--local=/test/", "--address=/many.test/192.0.2.50",
	    "--address=/many.test/2001:db8::50", "--host-record=api.test,192.0.2.1,2001:db8::1,300",
	    "--host-record=short.test,192.0.2.2,1", "--host-record=long.test,192.0.2.3,100000",
	    "--host-record=edge.test,192.0.2.4,300", "--cname=www.test,edge.test,20",
	    "--host-record=loopback.test,127.0.0.1,::1", "--host-record=zero.test,0.0.0.0", NULL);
	_exit(127);
}

static void start_server(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid == 0)
		exec_dnsmasq(fds[1]);
	close(fds[1]);
	server.log_fd = fds[0];
}

static void stop_server(void)
{
	if (server.pid > 0) {
		kill(server.pid, SIGTERM);
		waitpid(server.pid, NULL, 0);
	}
	server.pid = 0;
	ln_closep(&server.log_fd);
}

static void collect(const struct ln_event *ev, void *user)
{
	struct events *e = user;

	if (ev->kind == LN_EVENT_LOOKED) {
		assert_true(e->n_looked < LN_ARRAY_SIZE(e->looked));
		e->looked[e->n_looked].ticket = ev->looked.ticket;
		e->looked[e->n_looked].time_ns = ev->time_ns;
		e->looked[e->n_looked++].failed = ev->looked.failed;
		return;
	}
	assert_true(e->n < EVENTS_MAX);
	e->list[e->n] = *ev;
	snprintf(e->chains[e->n], sizeof(e->chains[0]), "%s", ev->name.evidence.chain);
	e->list[e->n].name.evidence.chain = e->chains[e->n];
	e->n++;
}

static struct ln_lookup *new_lookup(const char *const *names, size_t n, uint16_t port)
{
	struct ln_lookup *l = NULL;
	struct ln_endpoint resolver = {.port = port};
	struct ln_error err = {0};

	events.n = events.n_looked = 0;
	assert_true(ln_addr_parse("127.0.0.1", &resolver.addr));
	assert_int_equal(ln_lookup_new(names, n, &resolver, 1, &err, &l), 0);
	return l;
}

/* Dispatches until `n` events are there; false when the time is over. */
static bool run_until_events(struct ln_lookup *l, size_t n)
{
	uint64_t until_ns = deadline();

	while (events.n < n) {
		if (wait_readable(ln_lookup_fd(l), until_ns) != 1)
			return false;
		assert_int_equal(ln_lookup_dispatch(l, collect, &events), 0);
	}
	return true;
}

static bool run_until_failures(struct ln_lookup *l, uint64_t n)
{
	uint64_t until_ns = deadline();

	while (ln_lookup_failures(l) < n) {
		if (wait_readable(ln_lookup_fd(l), until_ns) != 1)
			return false;
		assert_int_equal(ln_lookup_dispatch(l, collect, &events), 0);
	}
	return true;
}

static const struct ln_event *find_event(const char *addr)
{
	struct ln_addr a;

	assert_true(ln_addr_parse(addr, &a));
	for (size_t i = 0; i < events.n; i++) {
		if (ln_addr_equal(&events.list[i].name.addr, &a))
			return &events.list[i];
	}
	return NULL;
}

static void answer_becomes_evidence_that_grants(void **state)
{
	static const char *const names[] = {"api.test"};
	uint64_t before_ns = ln_clock_mono_ns(), before_wall_ns = ln_clock_wall_ns();
	struct ln_lookup *l = new_lookup(names, 1, server.port);

	assert_int_equal(ln_lookup_unanswered(l), 1);
	assert_true(run_until_events(l, 2));
	assert_non_null(find_event("192.0.2.1"));
	assert_non_null(find_event("2001:db8::1"));
	for (size_t i = 0; i < 2; i++) {
		const struct ln_event *ev = &events.list[i];
		const struct ln_name_evidence *e = &ev->name.evidence;

		assert_int_equal(ev->kind, LN_EVENT_NAME);
		assert_int_equal(ev->agent, 0);
		assert_int_equal(ev->pid, 0);
		assert_true(ev->time_ns >= before_ns && ev->time_ns <= ln_clock_mono_ns());
		assert_true(ev->wall_ns >= before_wall_ns && ev->wall_ns <= ln_clock_wall_ns());
		assert_string_equal(e->name, "api.test");
		assert_string_equal(e->chain, "");
		assert_int_equal(e->source, LN_NAME_OWN_LOOKUP);
		assert_true(e->grants);
		assert_int_equal(e->pid, 0);
		assert_int_equal(e->ttl_s, 300);
		assert_int_equal(e->seen_ns, ev->time_ns);
		assert_int_equal(e->expires_ns, ev->time_ns + 300 * LN_NS_PER_S);
	}
	assert_int_equal(ln_lookup_unanswered(l), 0);
	assert_int_equal(ln_lookup_failures(l), 0);
	ln_lookup_free(&l);
	assert_null(l);
}

static void ttl_is_clamped(void **state)
{
	static const char *const names[] = {"short.test", "long.test"};
	struct ln_lookup *l = new_lookup(names, 2, server.port);

	assert_true(run_until_events(l, 2));
	assert_int_equal(find_event("192.0.2.2")->name.evidence.ttl_s, 5);
	assert_int_equal(find_event("192.0.2.3")->name.evidence.ttl_s, 3600);
	ln_lookup_free(&l);
}

static void cname_chain_gives_its_smallest_ttl(void **state)
{
	static const char *const names[] = {"www.test"};
	struct ln_lookup *l = new_lookup(names, 1, server.port);

	assert_true(run_until_events(l, 1));
	assert_string_equal(events.list[0].name.evidence.name, "www.test");
	assert_string_equal(events.list[0].name.evidence.chain, "edge.test");
	assert_int_equal(events.list[0].name.evidence.ttl_s, 20);
	ln_lookup_free(&l);
}

/* Ninety addresses do not fit a datagram: the answer comes over TCP. */
static void large_pool_is_read_up_to_the_bound(void **state)
{
	static const char *const names[] = {"pool.test"};
	struct ln_lookup *l = new_lookup(names, 1, server.port);

	assert_true(run_until_events(l, 64));
	assert_int_equal(events.n, 64);
	for (size_t i = 0; i < 64; i++)
		assert_string_equal(events.list[i].name.evidence.name, "pool.test");
	ln_lookup_free(&l);
}

static void loopback_and_zero_are_answers_but_no_evidence(void **state)
{
	static const char *const names[] = {"loopback.test", "zero.test"};
	struct ln_lookup *l = new_lookup(names, 2, server.port);
	uint64_t until_ns = deadline();

	while (ln_lookup_unanswered(l) > 0) {
		assert_int_equal(wait_readable(ln_lookup_fd(l), until_ns), 1);
		assert_int_equal(ln_lookup_dispatch(l, collect, &events), 0);
	}
	assert_int_equal(events.n, 0);
	ln_lookup_free(&l);
}

static void name_is_asked_again_when_its_ttl_is_over(void **state)
{
	static const char *const names[] = {"moving.test"};
	struct ln_lookup *l = new_lookup(names, 1, server.port);
	uint64_t first_ns;

	ln_lookup_set_ttl_limits(l, 1, 1);
	assert_true(run_until_events(l, 1));
	assert_non_null(find_event("192.0.2.10"));
	first_ns = events.list[0].time_ns;

	write_hosts("192.0.2.11 moving.test\n");
	assert_int_equal(kill(server.pid, SIGHUP), 0);
	assert_true(await_message("read /"));
	assert_true(run_until_events(l, 2));
	assert_non_null(find_event("192.0.2.11"));
	assert_true(events.list[1].time_ns - first_ns >= LN_NS_PER_S);
	assert_int_equal(events.list[1].name.evidence.ttl_s, 1);
	ln_lookup_free(&l);
}

static void name_that_nobody_knows_is_counted(void **state)
{
	static const char *const names[] = {"nobody.test", "api.test"};
	struct ln_lookup *l = new_lookup(names, 2, server.port);

	assert_true(run_until_failures(l, 2)); /* A and AAAA */
	assert_true(run_until_events(l, 2));
	assert_int_equal(ln_lookup_unanswered(l), 1);
	assert_int_equal(ln_lookup_failures(l), 2);
	assert_int_equal(wait_readable(ln_lookup_fd(l), 0), 0); /* backs off */
	ln_lookup_free(&l);
}

static void nothing_wakes_up_while_all_is_known(void **state)
{
	static const char *const names[] = {"api.test"};
	struct ln_lookup *l = new_lookup(names, 1, server.port);

	assert_true(run_until_events(l, 2));
	assert_int_equal(wait_readable(ln_lookup_fd(l), 0), 0);
	ln_lookup_free(&l);
}

static void more_names_than_questions_at_once(void **state)
{
	static char texts[300][32];
	static const char *names[300];
	struct ln_lookup *l;

	for (size_t i = 0; i < LN_ARRAY_SIZE(names); i++) {
		snprintf(texts[i], sizeof(texts[i]), "n%zu.many.test", i);
		names[i] = texts[i];
	}
	l = new_lookup(names, LN_ARRAY_SIZE(names), server.port);
	assert_true(run_until_events(l, 2 * LN_ARRAY_SIZE(names))); /* A and AAAA */
	assert_int_equal(ln_lookup_unanswered(l), 0);
	assert_int_equal(ln_lookup_failures(l), 0);
	ln_lookup_free(&l);
}

static size_t datagrams(int fd)
{
	char bytes[2048];
	size_t n = 0;

	while (recv(fd, bytes, sizeof(bytes), 0) >= 0)
		n++;
	return n;
}

static void questions_under_way_are_bounded(void **state)
{
	static char texts[100][32];
	static const char *names[100];
	uint16_t port;
	LN_AUTO_CLOSE int silent = loopback_socket(SOCK_DGRAM, 0, &port);
	struct ln_lookup *l;

	assert_true(silent >= 0);
	for (size_t i = 0; i < LN_ARRAY_SIZE(names); i++) {
		snprintf(texts[i], sizeof(texts[i]), "n%zu.many.test", i);
		names[i] = texts[i];
	}
	l = new_lookup(names, LN_ARRAY_SIZE(names), port);
	assert_int_equal(datagrams(silent), 0); /* nothing before the first dispatch … */
	assert_int_equal(wait_readable(ln_lookup_fd(l), 0), 1); /* … which is due at once */
	assert_int_equal(ln_lookup_dispatch(l, collect, &events), 0);
	assert_int_equal(datagrams(silent), 64);
	assert_int_equal(wait_readable(ln_lookup_fd(l), 0), 0); /* waits for the resolver */
	ln_lookup_free(&l);                                     /* with 64 questions under way */
}

static void resolver_that_comes_late_is_found(void **state)
{
	static const char *const names[] = {"api.test"};
	struct ln_lookup *l;

	stop_server();
	l = new_lookup(names, 1, server.port);
	ln_lookup_set_ttl_limits(l, 1, 1);
	assert_true(run_until_failures(l, 2));
	assert_int_equal(ln_lookup_unanswered(l), 1);
	assert_int_equal(wait_readable(ln_lookup_fd(l), 0), 0);

	start_server();
	assert_true(await_message("started"));
	assert_true(run_until_events(l, 2));
	assert_int_equal(ln_lookup_unanswered(l), 0);
	ln_lookup_free(&l);
}

static void run_until_looked(struct ln_lookup *l, size_t n)
{
	uint64_t until_ns = deadline();

	while (events.n_looked < n) {
		assert_int_equal(wait_readable(ln_lookup_fd(l), until_ns), 1);
		assert_int_equal(ln_lookup_dispatch(l, collect, &events), 0);
	}
}

static void names_are_asked_when_somebody_waits(void **state)
{
	static const char *const names[] = {"api.test", "long.test", "nobody.test"};
	static const char *const known[] = {"long.test", "elsewhere.test", "nobody.test"};
	struct ln_lookup *l = new_lookup(names, 3, server.port);

	assert_true(run_until_events(l, 3));
	assert_true(run_until_failures(l, 2));
	assert_int_equal(wait_readable(ln_lookup_fd(l), 0), 0);
	events.n = 0;
	assert_int_equal(ln_lookup_ask(l, 7, known, 3), 0);
	run_until_looked(l, 1);
	assert_int_equal(events.looked[0].ticket, 7);
	assert_false(events.looked[0].failed); /* that there is no such name is an answer */
	assert_int_equal(events.n, 1);
	assert_non_null(find_event("192.0.2.3"));
	assert_int_equal(ln_lookup_ask(l, 8, &known[1], 1), -ENOENT);
	assert_int_equal(wait_readable(ln_lookup_fd(l), 0), 0);
	ln_lookup_free(&l);
}

static void asking_often_is_paced_and_shared(void **state)
{
	static const char *const names[] = {"edge.test"};
	struct ln_lookup *l = new_lookup(names, 1, server.port);
	uint64_t start_ns = ln_clock_mono_ns(); /* answers may be late, questions not early */

	assert_int_equal(ln_lookup_ask(l, 1, names, 1), 0); /* due already */
	run_until_looked(l, 1);
	assert_int_equal(events.n, 1);
	assert_int_equal(ln_lookup_ask(l, 2, names, 1), 0);
	assert_int_equal(ln_lookup_ask(l, 3, names, 1), 0);
	run_until_looked(l, 3);
	assert_int_equal(events.n, 2);
	assert_true(events.looked[1].time_ns - start_ns >= 19 * LN_NS_PER_MS);
	ln_lookup_free(&l);
}

static void who_waits_is_bounded_and_hears_of_failures(void **state)
{
	static const char *const names[] = {"api.test"};
	uint16_t port;
	LN_AUTO_CLOSE int silent = loopback_socket(SOCK_DGRAM, 0, &port);
	struct ln_lookup *l = new_lookup(names, 1, port);

	for (uint64_t i = 1; i <= 256; i++)
		assert_int_equal(ln_lookup_ask(l, i, names, 1), 0);
	assert_int_equal(ln_lookup_ask(l, 257, names, 1), -EBUSY);
	assert_int_equal(ln_lookup_dispatch(l, collect, &events), 0);
	assert_int_equal(datagrams(silent), 2); /* A and AAAA, once */
	ln_lookup_free(&l);                     /* with all of them waiting */
	ln_closep(&silent);
	l = new_lookup(names, 1, port); /* where nobody listens now */
	assert_int_equal(ln_lookup_ask(l, 1, names, 1), 0);
	run_until_looked(l, 1);
	assert_true(events.looked[0].failed);
	ln_lookup_free(&l);
}

static void doubles_and_localhost_are_not_asked(void **state)
{
	static const char *const names[] = {"api.test", "localhost", "db.localhost", "api.test"};
	struct ln_lookup *l = new_lookup(names, 4, server.port);

	assert_int_equal(ln_lookup_unanswered(l), 1);
	assert_true(run_until_events(l, 2));
	ln_lookup_free(&l);

	l = new_lookup(NULL, 0, server.port);
	assert_int_equal(ln_lookup_unanswered(l), 0);
	assert_int_equal(wait_readable(ln_lookup_fd(l), 0), 0);
	ln_lookup_free(&l);
}

static void no_resolver_is_an_error(void **state)
{
	static const char *const names[] = {"api.test"};
	struct ln_lookup *l = NULL;
	struct ln_error err = {0};

	assert_int_equal(ln_lookup_new(names, 1, NULL, 0, &err, &l), -EINVAL);
	assert_null(l);
	assert_int_equal(err.code, EINVAL);
	assert_non_null(strstr(err.text, "resolver"));
}

static int set_up(void **state)
{
	char text[4096];
	size_t len;

	server.log_fd = -1;
	strcpy(server.dir, "/tmp/linnet-test-lookup-XXXXXX");
	if (!mkdtemp(server.dir))
		return -1;
	snprintf(server.hosts, sizeof(server.hosts), "%s/hosts", server.dir);
	len = (size_t)sprintf(text, "192.0.2.10 moving.test\n");
	for (int i = 0; i < 90; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "198.51.100.%d pool.test\n",
					i);
	write_hosts(text);
	server.port = free_port();
	start_server();
	return await_message("started") ? 0 : -1;
}

static int tear_down(void **state)
{
	stop_server();
	unlink(server.hosts);
	return rmdir(server.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answer_becomes_evidence_that_grants),
	    cmocka_unit_test(ttl_is_clamped),
	    cmocka_unit_test(cname_chain_gives_its_smallest_ttl),
	    cmocka_unit_test(large_pool_is_read_up_to_the_bound),
	    cmocka_unit_test(loopback_and_zero_are_answers_but_no_evidence),
	    cmocka_unit_test(name_is_asked_again_when_its_ttl_is_over),
	    cmocka_unit_test(name_that_nobody_knows_is_counted),
	    cmocka_unit_test(nothing_wakes_up_while_all_is_known),
	    cmocka_unit_test(more_names_than_questions_at_once),
	    cmocka_unit_test(questions_under_way_are_bounded),
	    cmocka_unit_test(resolver_that_comes_late_is_found),
	    cmocka_unit_test(names_are_asked_when_somebody_waits),
	    cmocka_unit_test(asking_often_is_paced_and_shared),
	    cmocka_unit_test(who_waits_is_bounded_and_hears_of_failures),
	    cmocka_unit_test(doubles_and_localhost_are_not_asked),
	    cmocka_unit_test(no_resolver_is_an_error),
	};

	return cmocka_run_group_tests_name("lookup", tests, set_up, tear_down);
}
