/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kill and freeze, the monitor's side. It may signal nobody: it asks the launcher by one byte,
 * with descriptors of processes where the agent has no cgroup of its own, or where some are outside
 * of it. What was asked for is answered before the violation is told; the answer is awaited for
 * ANSWER_MS at most, and meanwhile events wait in the kernel's ring. What is forked while single
 * processes are signalled is looked for until the kernel counts none (kill), or until PURSUITS
 * looks found nobody new (freeze).
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "loop.h"
#include "watch_impl.h"

#define ANSWER_MS      250
#define FDS_A_MESSAGE  64
#define PURSUITS       20
#define PURSUIT_MIN_NS (2 * LN_NS_PER_MS)
#define PURSUIT_MAX_NS (500 * LN_NS_PER_MS)

/* A policy's file is not taken here: it is asked for once more. */
static void keep(struct ln_watch *w, char message)
{
	struct ln_enforcement *en = &w->enforce;

	if (message == LN_CTL_POLICY)
		message = LN_CTL_RELOAD;
	if (en->n_kept < sizeof(en->kept))
		en->kept[en->n_kept++] = message;
}

/* An answer that came too late must not be taken for that to the next request. */
static void drop_late_answers(struct ln_watch *w)
{
	char message;

	while (recv(w->c.ctl_fd, &message, 1, MSG_DONTWAIT) == 1)
		if (message != LN_CTL_DONE && message != LN_CTL_NOT_DONE)
			keep(w, message);
}

/* The launcher's next answer. What else it says meanwhile is kept for the loop. */
static int await_answer(struct ln_watch *w, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd p = {.fd = w->c.ctl_fd, .events = POLLIN};
		uint64_t now = ln_clock_mono_ns();
		char message;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((deadline_ns - now) / LN_NS_PER_MS) + 1) <= 0)
			continue;
		ssize_t n = recv(w->c.ctl_fd, &message, 1, MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0)
			continue;
		if (message == LN_CTL_DONE || message == LN_CTL_NOT_DONE)
			return message == LN_CTL_DONE ? 0 : -EPERM;
		keep(w, message);
	}
}

static int ask(struct ln_watch *w, const int *fds, size_t n)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(FDS_A_MESSAGE * sizeof(int))];
	} control = {0};
	char message = w->c.mode == LN_MODE_KILL ? LN_CTL_KILL : LN_CTL_FREEZE;
	struct iovec iov = {.iov_base = &message, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	}
	if (sendmsg(w->c.ctl_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	return 0;
}

/* One that has ended is no failure. */
static bool no_room(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM;
}

/* 0, or how the first message failed that did. */
static int ask_for_processes(struct ln_watch *w, uint64_t since_ns, uint64_t deadline_ns)
{
	size_t n =
	    ln_engine_pids(w->engine, since_ns, w->enforce.pids, LN_ARRAY_SIZE(w->enforce.pids));
	int result = 0;

	for (size_t i = 0; i < n && result == 0;) {
		int fds[FDS_A_MESSAGE];
		size_t k = 0;

		for (; i < n && k < FDS_A_MESSAGE; i++) {
			fds[k] = (int)syscall(SYS_pidfd_open, w->enforce.pids[i], 0);
			if (fds[k] < 0 && no_room(errno))
				break;
			k += fds[k] >= 0;
		}
		/* With little room there are fewer of them in each message. */
		if (k == 0 && i < n)
			return -EMFILE;
		if (k > 0) {
			result = ask(w, fds, k);
			if (result == 0)
				result = await_answer(w, deadline_ns);
		}
		while (k > 0)
			close(fds[--k]);
	}
	return result;
}

static int request(struct ln_watch *w)
{
	uint64_t deadline = ln_clock_mono_ns() + ANSWER_MS * LN_NS_PER_MS;
	int r;

	drop_late_answers(w);
	if (!w->enforce.own_cgroup)
		return ask_for_processes(w, 0, deadline);
	r = ask(w, NULL, 0);
	return r < 0 ? r : await_answer(w, deadline);
}

static const char *why_not(int r)
{
	if (r == -EPIPE || r == -ENOTCONN || r == -ECONNRESET)
		return "the launcher is gone";
	if (r == -EMFILE)
		return "linnet has no descriptor left to name its processes by";
	return r == -ETIMEDOUT ? "the launcher did not confirm it in time"
			       : "the kernel did not let the launcher do it";
}

struct ln_deed ln_watch_act(const struct ln_finding *f, void *user)
{
	struct ln_watch *w = user;
	struct ln_enforcement *en = &w->enforce;
	const enum ln_action done = w->c.mode == LN_MODE_KILL ? LN_ACTION_KILLED : LN_ACTION_FROZEN;

	/* What happened before it stopped needs no second time. */
	if (en->done_ns > 0 && (w->c.mode == LN_MODE_KILL || f->time_ns <= en->done_ns))
		return (struct ln_deed){.action = done};
	en->asked_ns = ln_clock_mono_ns();
	int r = request(w);
	/* A cgroup that is frozen is so as a whole, and signals to stop would outlast it. */
	if (w->c.mode == LN_MODE_KILL || !en->own_cgroup) {
		en->pursuits = PURSUITS;
		en->wait_ns = PURSUIT_MIN_NS;
		en->next_ns = ln_clock_mono_ns() + en->wait_ns;
	}
	if (r < 0)
		return (struct ln_deed){.action = LN_ACTION_LET_THROUGH, .why = why_not(r)};
	en->done_ns = ln_clock_mono_ns();
	return (struct ln_deed){.action = done, .news = true};
}

static size_t living(const struct ln_watch *w)
{
	uint64_t n;

	return ln_watch_living_now(w, &n) ? n : ln_engine_living(w->engine);
}

/* Who was forked meanwhile, or is outside of the cgroup. */
void ln_watch_pursue(struct ln_watch *w)
{
	struct ln_enforcement *en = &w->enforce;
	bool kills = w->c.mode == LN_MODE_KILL;

	if (en->next_ns == 0 || ln_clock_mono_ns() < en->next_ns)
		return;
	en->next_ns = 0;
	ln_watch_drain(w);
	if (living(w) == 0 || (!kills && en->pursuits == 0))
		return;
	/* Those from before are stopped, or let go on by a person. */
	ask_for_processes(w, kills ? 0 : en->asked_ns,
			  ln_clock_mono_ns() + ANSWER_MS * LN_NS_PER_MS);
	if (en->pursuits > 0)
		en->pursuits--;
	else
		en->wait_ns = LN_MIN(2 * en->wait_ns, PURSUIT_MAX_NS);
	en->next_ns = ln_clock_mono_ns() + en->wait_ns;
}

size_t ln_watch_take_kept(struct ln_watch *w, char *ret, size_t max)
{
	size_t n = LN_MIN(w->enforce.n_kept, max);

	memcpy(ret, w->enforce.kept, n);
	w->enforce.n_kept = 0;
	return n;
}
