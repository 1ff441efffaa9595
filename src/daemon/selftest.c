/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
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
	int error; /* errno: the place for the test could not be made */
	struct ln_probe_slot slots[LN_PROBES_MAX];
};

/* The ends of pipes that the processes of the test hold. */
struct pipes {
	int go;    /* a byte lets the agent act, the end lets all of them end */
	int ready; /* a byte: the place is made; then one more for each action that is over */
	int knock; /* to the process outside: the number of a probe that wants an answer */
};

struct test {
	const struct ln_probe *probes;
	struct shared *shared;    /* mapped */
	struct ln_engine *engine; /* owned */
	struct ln_cgroup cgroup;
	pid_t outside;
	int go, ready; /* owned: the other ends; -1 none */
	bool refusals;
	struct ln_selftest result;
};

static int bring_loopback_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	LN_AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static void wait_for_end(int go)
{
	char byte;

	while (read(go, &byte, 1) > 0)
		;
}

/* One probe, in a process of its own: what it does is told of this one. */
static void be_probe(const struct ln_probe *p, uint8_t number, struct ln_probe_slot *s,
		     const struct pipes *pipes)
{
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	s->pid = getpid();
	r = p->act(s);
	if (r < 0)
		s->error = -r;
	/* Without a reader the test is over anyhow. */
	if (r >= 0 && p->answer)
		(void)!write(pipes->knock, &number, 1);
	(void)!write(pipes->ready, "d", 1);
	wait_for_end(pipes->go);
}

static void be_agent(const struct test *t, const struct pipes *pipes)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	t->shared->agent = getpid();
	if (write(pipes->ready, "r", 1) != 1 || read(pipes->go, &byte, 1) != 1)
		return;
	for (uint8_t i = 0; i < t->result.n; i++) {
		struct ln_probe_slot *s = &t->shared->slots[i];
		pid_t pid;

		if (!s->wanted || s->error)
			continue;
		pid = fork();
		if (pid == 0) {
			be_probe(&t->probes[i], i, s, pipes);
			_exit(0);
		}
		if (pid < 0)
			s->error = errno;
	}
	wait_for_end(pipes->go);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* Descriptors that the probes need outside; -1 none. */
static void prepare_probes(const struct test *t, int fds[LN_PROBES_MAX])
{
	for (size_t i = 0; i < t->result.n; i++) {
		struct ln_probe_slot *s = &t->shared->slots[i];

		fds[i] = -1;
		if (!s->wanted || !t->probes[i].prepare)
			continue;
		s->error = -t->probes[i].prepare(s, &fds[i]);
	}
}

static void end_victims(const struct test *t)
{
	for (size_t i = 0; i < t->result.n; i++) {
		pid_t victim = t->shared->slots[i].victim;

		if (victim > 0 && kill(victim, SIGKILL) == 0)
			waitpid(victim, NULL, __WALL);
	}
}

/* The process outside the agent's tree. It is the agent's parent only so that both are in one
 * network namespace. */
static void be_outside(const struct test *t, struct pipes *pipes)
{
	int flags = CLONE_NEWNET | (geteuid() == 0 ? 0 : CLONE_NEWUSER);
	int fds[LN_PROBES_MAX], knock[2];
	pid_t agent = -1;
	uint8_t number;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int r = unshare(flags) < 0 ? -errno : bring_loopback_up();
	if (r == 0) {
		prepare_probes(t, fds);
		/* Not before: what the probes start would hold its end open. */
		agent = pipe2(knock, O_CLOEXEC) < 0 ? -1 : fork();
		r = agent < 0 ? -errno : 0;
	}
	if (agent == 0) {
		/* Before it is looked at: what it holds is the tree's. */
		for (size_t i = 0; i < t->result.n; i++)
			ln_closep(&fds[i]);
		close(knock[0]);
		pipes->knock = knock[1];
		be_agent(t, pipes);
		_exit(0);
	}
	close(pipes->go);
	if (r < 0) {
		t->shared->error = -r;
		(void)!write(pipes->ready, "r", 1);
	} else {
		/* The agent's end of the pipe is the agent's end. */
		close(knock[1]);
		while (read(knock[0], &number, 1) == 1)
			t->probes[number].answer(&t->shared->slots[number]);
		waitpid(agent, NULL, 0);
	}
	end_victims(t);
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
	t->outside = fork();
	if (t->outside == 0) {
		struct pipes pipes = {.go = go[0], .ready = ready[1], .knock = -1};
		close(go[1]);
		close(ready[0]);
		be_outside(t, &pipes);
		_exit(0);
	}
	close(go[0]);
	close(ready[1]);
	t->go = go[1];
	t->ready = ready[0];
	if (t->outside < 0)
		return ln_error_set(err, errno, "no process can be made: %s", strerror(errno));
	if (read(t->ready, &byte, 1) != 1)
		return ln_error_set(err, EIO, "the test's process outside the tree ended");
	if (t->shared->error)
		return ln_error_set(err, t->shared->error,
				    "no private network namespace can be made: %s",
				    strerror(t->shared->error));
	return 0;
}

static void on_finding(const struct ln_finding *f, void *user)
{
	struct test *t = user;

	for (size_t i = 0; i < t->result.n; i++) {
		const struct ln_probe_slot *s = &t->shared->slots[i];
		struct ln_probe_result *r = &t->result.results[i];

		if (t->refusals || r->end != LN_PROBE_MISSED || s->pid == 0 ||
		    f->pid != (uint32_t)s->pid || !t->probes[i].caught(s, f))
			continue;
		r->end = LN_PROBE_CAUGHT;
		r->latency_ns = ln_clock_mono_ns() - s->sent_ns;
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

/* Every probe has ended: was caught, or could not be tried. */
static bool is_over(struct test *t)
{
	bool over = true;

	for (size_t i = 0; i < t->result.n; i++) {
		struct ln_probe_result *r = &t->result.results[i];

		if (r->end != LN_PROBE_MISSED)
			continue;
		r->error = t->shared->slots[i].error;
		if (r->error)
			r->end =
			    t->refusals && r->error == EPERM ? LN_PROBE_CAUGHT : LN_PROBE_UNTRIED;
		else
			over = false;
	}
	return over;
}

static int watch(struct test *t, struct ln_sensor *s, struct ln_error *err)
{
	const uint64_t deadline = ln_clock_mono_ns() + LN_SELFTEST_TIMEOUT_MS * LN_NS_PER_MS;
	struct pollfd p[] = {{.fd = s->ops->fd(s), .events = POLLIN},
			     {.fd = t->ready, .events = POLLIN}};
	char bytes[LN_PROBES_MAX];

	if (write(t->go, "g", 1) != 1)
		return ln_error_set(err, EPIPE, "the test's process ended");
	for (;;) {
		uint64_t now = ln_clock_mono_ns();
		if (is_over(t) || now >= deadline)
			return 0;
		int n = poll(p, LN_ARRAY_SIZE(p), (int)((deadline - now) / LN_NS_PER_MS) + 1);
		if (n < 0 && errno != EINTR)
			return ln_error_set(err, errno, "cannot wait: %s", strerror(errno));
		if (n > 0 && p[1].revents && read(t->ready, bytes, sizeof(bytes)) <= 0)
			return ln_error_set(err, EIO, "the test's processes ended");
		int r = n > 0 && p[0].revents ? s->ops->dispatch(s, on_event, t->engine) : 0;
		if (r < 0)
			return ln_error_set(err, -r, "the sensor failed: %s", strerror(-r));
	}
}

static const struct ln_channel_fact *find_channel(struct ln_sensor *s, const struct ln_probe *p)
{
	const struct ln_channel_fact *rows;
	size_t n = s->ops->channels(s, &rows);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].name, p->channel) ||
		    (p->poll_channel && !strcmp(rows[i].name, p->poll_channel)))
			return &rows[i];
	return NULL;
}

static void choose_probes(struct test *t, struct ln_sensor *s)
{
	t->result.n = ln_probes(&t->probes);
	for (size_t i = 0; i < t->result.n; i++) {
		const struct ln_channel_fact *row = find_channel(s, &t->probes[i]);
		bool blind = !row || (t->refusals ? !row->refusable : row->sight == LN_SIGHT_BLIND);

		t->result.results[i] = (struct ln_probe_result){
		    .name = t->probes[i].name,
		    .channel = row ? row->name : NULL,
		    .end = blind ? LN_PROBE_BLIND : LN_PROBE_MISSED,
		};
		t->shared->slots[i].wanted = !blind;
	}
}

/* One that hangs is killed, and those below it go with it. */
static void end_processes(struct test *t)
{
	struct pollfd p = {.fd = t->ready, .events = POLLIN};
	char bytes[LN_PROBES_MAX];

	ln_closep(&t->go);
	/* The end of the pipe is the end of all of them. */
	while (t->outside > 0 && poll(&p, 1, LN_SELFTEST_TIMEOUT_MS) > 0 &&
	       read(t->ready, bytes, sizeof(bytes)) > 0)
		;
	if (t->outside > 0) {
		kill(t->outside, SIGKILL);
		waitpid(t->outside, NULL, 0);
	}
	ln_closep(&t->ready);
}

int ln_selftest_run(struct ln_sensor *s, const struct ln_sensor_kind *kind, bool refusals,
		    struct ln_error *err, struct ln_selftest *ret)
{
	struct test t = {
	    .go = -1, .ready = -1, .outside = -1, .cgroup = LN_CGROUP_NONE, .refusals = refusals};
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
		choose_probes(&t, s);
		r = start_processes(&t, err);
	}
	if (r == 0)
		r = track(&t, s, kind, err);
	if (r == 0)
		r = watch(&t, s, err);
	end_processes(&t);
	ln_cgroup_remove(&t.cgroup, LN_SELFTEST_TIMEOUT_MS);
	ln_engine_free(&t.engine);
	ln_policy_free(&policy);
	if (t.shared != MAP_FAILED)
		munmap(t.shared, sizeof(*t.shared));
	if (r == 0)
		*ret = t.result;
	return r;
}
