/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "base/clock.h"
#include "cgroup.h"
#include "selftest.h"

/* Written by the processes of the test, read by the one that watches. */
struct shared {
	pid_t agent;
	int error;        /* errno of the listener's preparation */
	bool connect_udp; /* polling sees no datagram that is sent without */
	uint16_t ports[LN_SELFTEST_COUNT];
	uint64_t sent_ns[LN_SELFTEST_COUNT];
};

struct test {
	struct shared *shared;    /* mapped */
	struct ln_engine *engine; /* owned */
	struct ln_cgroup cgroup;
	pid_t listener;
	int go;    /* owned: a byte lets the agent go, the end lets both end */
	int ready; /* owned: the listener's byte */
	struct ln_selftest result;
};

static const uint8_t PROTOCOLS[LN_SELFTEST_COUNT] = {IPPROTO_TCP, IPPROTO_UDP};
static const int TYPES[LN_SELFTEST_COUNT] = {SOCK_STREAM, SOCK_DGRAM};

static int bring_loopback_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	LN_AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static int listen_on(enum ln_selftest_probe probe, uint16_t *ret_port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(sa);

	int fd = socket(AF_INET, TYPES[probe] | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 ||
	    (TYPES[probe] == SOCK_STREAM && listen(fd, 4) < 0) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return -errno;
	*ret_port = ntohs(sa.sin_port);
	return fd;
}

static void send_datagram(int fd, const struct sockaddr_in *to)
{
	/* One that is not sent is one that is not caught: the test fails by itself. */
	(void)!sendto(fd, "linnet", 6, 0, (const struct sockaddr *)to, to ? sizeof(*to) : 0);
}

static void be_agent(struct shared *shared, int go)
{
	char byte;

	if (read(go, &byte, 1) != 1)
		return;
	for (int i = 0; i < LN_SELFTEST_COUNT; i++) {
		const struct sockaddr_in sa = {.sin_family = AF_INET,
					       .sin_port = htons(shared->ports[i]),
					       .sin_addr = {htonl(INADDR_LOOPBACK)}};
		int fd = socket(AF_INET, TYPES[i] | SOCK_CLOEXEC, 0);
		shared->sent_ns[i] = ln_clock_mono_ns();
		bool named = TYPES[i] == SOCK_STREAM || shared->connect_udp;
		if (named && connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
			continue;
		if (TYPES[i] == SOCK_DGRAM)
			send_datagram(fd, named ? NULL : &sa);
	}
	/* Both sockets stay open until the watcher has seen enough: polling needs that. */
	while (read(go, &byte, 1) > 0)
		;
}

/* The process outside the agent's tree. It is the agent's parent only so that both are in one
 * network namespace. */
static void be_listener(struct shared *shared, int go, int ready)
{
	int fds[LN_SELFTEST_COUNT] = {-1, -1};
	int flags = CLONE_NEWNET | (geteuid() == 0 ? 0 : CLONE_NEWUSER);
	int r = unshare(flags) < 0 ? -errno : bring_loopback_up();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < LN_SELFTEST_COUNT && r >= 0; i++)
		r = fds[i] = listen_on((enum ln_selftest_probe)i, &shared->ports[i]);
	pid_t agent = r < 0 ? -1 : fork();
	if (agent == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < LN_SELFTEST_COUNT; i++)
			close(fds[i]);
		be_agent(shared, go);
		_exit(0);
	}
	close(go);
	shared->error = r < 0 ? -r : agent < 0 ? errno : 0;
	shared->agent = agent;
	if (write(ready, "r", 1) == 1 && agent > 0)
		waitpid(agent, NULL, 0);
}

static int start_processes(struct test *t, struct ln_error *err)
{
	int go[2] = {-1, -1}, ready[2] = {-1, -1};
	char byte;

	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0) {
		ln_closep(&go[0]);
		ln_closep(&go[1]);
		return ln_error_set(err, errno, "no pipe can be made: %s", strerror(errno));
	}
	t->listener = fork();
	if (t->listener == 0) {
		close(go[1]);
		close(ready[0]);
		be_listener(t->shared, go[0], ready[1]);
		_exit(0);
	}
	close(go[0]);
	close(ready[1]);
	t->go = go[1];
	t->ready = ready[0];
	if (t->listener < 0)
		return ln_error_set(err, errno, "no process can be made: %s", strerror(errno));
	if (read(t->ready, &byte, 1) != 1)
		return ln_error_set(err, EIO, "the test's listener ended");
	if (t->shared->error)
		return ln_error_set(err, t->shared->error,
				    "no private network namespace can be made: %s",
				    strerror(t->shared->error));
	return 0;
}

static void on_finding(const struct ln_finding *f, void *user)
{
	struct test *t = user;

	if (f->kind != LN_FINDING_FLOW_OPEN || f->verdict != LN_VERDICT_UNEXPECTED ||
	    f->pid != (uint32_t)t->shared->agent)
		return;
	for (int i = 0; i < LN_SELFTEST_COUNT; i++) {
		if (f->flow->proto != PROTOCOLS[i] || f->flow->remote.port != t->shared->ports[i] ||
		    t->result.probes[i].caught)
			continue;
		t->result.probes[i].caught = true;
		t->result.probes[i].latency_ns = ln_clock_mono_ns() - t->shared->sent_ns[i];
	}
}

static void on_event(const struct ln_event *ev, void *user)
{
	ln_engine_feed(user, ev);
}

static int track(struct test *t, struct ln_sensor *s, const struct ln_sensor_kind *kind,
		 struct ln_error *err)
{
	if (kind->cgroup) {
		int r = ln_cgroup_make(getpid(), err, &t->cgroup);
		if (r == 0)
			r = ln_cgroup_enter(&t->cgroup, t->shared->agent, err);
		if (r < 0)
			return r;
	}
	return s->ops->track(s, 1, (uint32_t)t->shared->agent, t->cgroup.fd, err);
}

static bool all_caught(const struct test *t)
{
	return t->result.probes[LN_SELFTEST_TCP].caught && t->result.probes[LN_SELFTEST_UDP].caught;
}

static int watch(struct test *t, struct ln_sensor *s, struct ln_error *err)
{
	const uint64_t deadline = ln_clock_mono_ns() + LN_SELFTEST_TIMEOUT_MS * LN_NS_PER_MS;
	struct pollfd p = {.fd = s->ops->fd(s), .events = POLLIN};

	if (write(t->go, "g", 1) != 1)
		return ln_error_set(err, EPIPE, "the test's process ended");
	for (;;) {
		uint64_t now = ln_clock_mono_ns();
		if (all_caught(t) || now >= deadline)
			return 0;
		int n = poll(&p, 1, (int)((deadline - now) / LN_NS_PER_MS) + 1);
		if (n < 0 && errno != EINTR)
			return ln_error_set(err, errno, "cannot wait: %s", strerror(errno));
		int r = n > 0 ? s->ops->dispatch(s, on_event, t->engine) : 0;
		if (r < 0)
			return ln_error_set(err, -r, "the sensor failed: %s", strerror(-r));
	}
}

int ln_selftest_run(struct ln_sensor *s, const struct ln_sensor_kind *kind, struct ln_error *err,
		    struct ln_selftest *ret)
{
	struct test t = {.go = -1, .ready = -1, .listener = -1, .cgroup = LN_CGROUP_NONE};
	struct ln_policy *policy = ln_policy_new_empty("self-test");
	const struct ln_engine_config config = {
	    .policy = policy, .agent = 1, .on_finding = on_finding, .user = &t};
	int r = -ENOMEM;

	t.shared = mmap(NULL, sizeof(*t.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (policy && t.shared != MAP_FAILED)
		r = ln_engine_new(&config, &t.engine);
	if (r < 0)
		r = ln_error_set(err, -r, "out of memory");
	if (r == 0) {
		t.shared->connect_udp = !kind->root;
		r = start_processes(&t, err);
	}
	if (r == 0)
		r = track(&t, s, kind, err);
	if (r == 0)
		r = watch(&t, s, err);
	ln_closep(&t.go);
	if (t.listener > 0)
		waitpid(t.listener, NULL, 0);
	ln_closep(&t.ready);
	ln_cgroup_remove(&t.cgroup, LN_SELFTEST_TIMEOUT_MS);
	ln_engine_free(&t.engine);
	ln_policy_free(&policy);
	if (t.shared != MAP_FAILED)
		munmap(t.shared, sizeof(*t.shared));
	if (r == 0)
		*ret = t.result;
	return r;
}
