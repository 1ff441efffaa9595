/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "base/table.h"
#include "poll_tree.h"

#define OTHERS_MAX 262144

struct member {
	struct ln_poll_proc p; /* first: the public part */
	struct member *next_reused;
	UT_hash_handle hh;
};

/* A process that is not ours, or (fresh) of which that is not known yet. */
struct other {
	uint32_t pid, ppid, session;
	uint64_t start_ticks;
	uint64_t ino; /* of /proc/PID: changes when the PID is reused */
	unsigned int seen;
	bool fresh;
	bool early; /* known before: not an orphan of the tree, if it is a child of linnet */
	UT_hash_handle hh;
};

/* A session whose leader is, or was, in the tree: only its descendants can be in it. */
struct session {
	uint32_t sid, agent;
	unsigned int seen;
	UT_hash_handle hh;
};

struct ln_poll_tree {
	size_t max;
	uint32_t self;
	unsigned int scan_no;
	struct member *members, *reused; /* owned */
	struct other *others;            /* owned */
	struct session *sessions;        /* owned */
	uint32_t *fresh;                 /* owned: PIDs to decide in this scan */
	size_t n_fresh, fresh_cap;
	bool made_subreaper;
	uint32_t orphan_agent, orphan_root; /* whose the orphans are: the first tracked; 0 none */
	uint32_t adopting;                  /* agent; 0 none */
	uint64_t refused;
	struct ln_poll_reader reader;
};

static struct member *find_member(struct ln_poll_tree *t, uint32_t pid)
{
	struct member *m;

	HASH_FIND(hh, t->members, &pid, sizeof(pid), m);
	return m;
}

static struct other *find_other(struct ln_poll_tree *t, uint32_t pid)
{
	struct other *o;

	HASH_FIND(hh, t->others, &pid, sizeof(pid), o);
	return o;
}

static struct session *find_session(struct ln_poll_tree *t, uint32_t sid)
{
	struct session *s;

	HASH_FIND(hh, t->sessions, &sid, sizeof(sid), s);
	return s;
}

/* Takes orphans off the list of zombies, as the subreaper that linnet is has to. */
static int wait_status(const struct member *m)
{
	siginfo_t info = {0};

	if (waitid(P_PID, m->p.pid, &info, WEXITED | WNOHANG | (m->p.root ? WNOWAIT : 0)) < 0 ||
	    info.si_pid != (pid_t)m->p.pid)
		return 0;
	switch (info.si_code) {
	case CLD_EXITED:
		return (info.si_status & 0xff) << 8;
	case CLD_DUMPED:
		return info.si_status | 0x80;
	default:
		return info.si_status;
	}
}

static void keep_session(struct ln_poll_tree *t, const struct ln_poll_proc *p)
{
	struct session *s = find_session(t, p->session);

	if (!s && p->session == p->pid) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return;
		s->sid = p->session;
		s->agent = p->agent;
		HASH_ADD(hh, t->sessions, sid, sizeof(s->sid), s);
		if (!s->hh.tbl) {
			free(s);
			return;
		}
	}
	if (s)
		s->seen = t->scan_no;
}

/* False: the PID is another process by now. */
static bool refresh(struct ln_poll_tree *t, struct member *m)
{
	struct ln_poll_proc *p = &m->p;
	struct ln_proc_stat st;

	if (p->gone)
		return true;
	if (!ln_poll_proc_stat(&t->reader, p->pid, &st)) {
		p->gone = true;
		return true;
	}
	if (st.start_ticks != p->start_ticks) {
		p->gone = true;
		return false;
	}
	p->thread =
	    st.state == 'Z' || st.state == 'X' ? ln_poll_proc_thread(&t->reader, p->pid) : 0;
	p->ppid = st.ppid;
	if ((st.state == 'Z' || st.state == 'X') && !p->thread) {
		p->gone = true;
		p->status = st.ppid == t->self ? wait_status(m) : 0;
		return true;
	}
	p->session = st.session;
	keep_session(t, p);
	ln_poll_proc_image(&t->reader, p);
	ln_poll_proc_netns(&t->reader, p);
	return true;
}

static struct member *add_member(struct ln_poll_tree *t, uint32_t agent, uint32_t pid,
				 uint32_t parent, uint64_t start_ticks)
{
	struct member *m = NULL, *from = find_member(t, parent);

	if (HASH_COUNT(t->members) < t->max)
		m = calloc(1, sizeof(*m));
	if (!m)
		goto refused;
	m->p.pid = pid;
	m->p.agent = agent;
	m->p.parent = parent;
	m->p.start_ticks = start_ticks;
	HASH_ADD(hh, t->members, p.pid, sizeof(m->p.pid), m);
	if (!m->hh.tbl)
		goto refused;
	refresh(t, m);
	m->p.adopted = t->adopting == agent;
	m->p.execed = !m->p.adopted && m->p.image &&
		      (!from || from->p.execed || !ln_poll_proc_same_image(&m->p, &from->p));
	return m;
refused:
	free(m);
	t->refused++;
	return NULL;
}

static void drop_other(struct ln_poll_tree *t, struct other *o)
{
	HASH_DELETE(hh, t->others, o);
	free(o);
}

/* Notes an unknown PID, to be decided in this scan. */
static void note(struct ln_poll_tree *t, uint32_t pid, uint64_t ino)
{
	struct other *o = find_other(t, pid);
	struct ln_proc_stat st;
	bool known;

	if (!ln_poll_proc_stat(&t->reader, pid, &st))
		return;
	known = o && o->start_ticks == st.start_ticks;
	if (!o) {
		if (HASH_COUNT(t->others) < OTHERS_MAX)
			o = calloc(1, sizeof(*o));
		if (!o) {
			t->refused++;
			return;
		}
		o->pid = pid;
		HASH_ADD(hh, t->others, pid, sizeof(o->pid), o);
		if (!o->hh.tbl) {
			free(o);
			t->refused++;
			return;
		}
	}
	o->seen = t->scan_no;
	o->ino = ino;
	if (known && !o->fresh && !t->adopting)
		return;
	o->early = known && !o->fresh;
	o->fresh = true;
	o->ppid = st.ppid;
	o->session = st.session;
	o->start_ticks = st.start_ticks;
	if (t->n_fresh == t->fresh_cap) {
		size_t cap = t->fresh_cap ? t->fresh_cap * 2 : 256;
		uint32_t *fresh = reallocarray(t->fresh, cap, sizeof(*fresh));

		if (!fresh)
			return; /* it is fresh in the next scan, too */
		t->fresh = fresh;
		t->fresh_cap = cap;
	}
	t->fresh[t->n_fresh++] = pid;
}

static int read_proc(struct ln_poll_tree *t)
{
	struct ln_poll_walk w = ln_poll_walk(&t->reader, t->reader.proc_fd);
	uint32_t pid;
	uint64_t ino;

	if (lseek(t->reader.proc_fd, 0, SEEK_SET) < 0)
		return -errno;
	while (ln_poll_walk_next(&w, &pid, &ino)) {
		struct other *o;

		if (find_member(t, pid))
			continue;
		o = find_other(t, pid);
		if (o && o->ino == ino && !o->fresh && !t->adopting)
			o->seen = t->scan_no;
		else
			note(t, pid, ino);
	}
	return w.len < 0 ? -ENOENT : 0;
}

/* Whose it is: 0 nobody's. */
static uint32_t owner_of(struct ln_poll_tree *t, const struct other *o, uint32_t *ret_parent)
{
	const struct member *m = find_member(t, o->ppid);
	const struct session *s;

	if (m && m->p.start_ticks <= o->start_ticks) {
		*ret_parent = m->p.pid;
		return m->p.agent;
	}
	s = o->session == o->pid ? NULL : find_session(t, o->session);
	if (s) {
		*ret_parent = s->sid;
		return s->agent;
	}
	if (t->orphan_agent && o->ppid == t->self && !o->early) {
		*ret_parent = t->orphan_root;
		return t->orphan_agent;
	}
	return 0;
}

static bool promote(struct ln_poll_tree *t, struct other *o, uint32_t agent, uint32_t parent)
{
	uint32_t pid = o->pid;
	uint64_t start_ticks = o->start_ticks;

	if (HASH_COUNT(t->members) >= t->max) {
		o->fresh = false; /* counted once, and never asked again */
		t->refused++;
		return false;
	}
	drop_other(t, o);
	return add_member(t, agent, pid, parent, start_ticks) != NULL;
}

/* One round over the undecided; true when it was worth another one. */
static bool decide_round(struct ln_poll_tree *t)
{
	bool progress = false;
	size_t n = t->n_fresh;

	for (size_t i = 0; i < n; i++) {
		struct other *o = find_other(t, t->fresh[i]);
		uint32_t parent = 0, agent;

		if (!o || !o->fresh)
			continue;
		agent = owner_of(t, o, &parent);
		if (agent) {
			progress |= promote(t, o, agent, parent);
		} else if (o->ppid && !find_member(t, o->ppid) && !find_other(t, o->ppid)) {
			/* A parent that was born behind the back of the directory walk */
			note(t, o->ppid, 0);
			progress |= find_other(t, o->ppid) != NULL;
		}
	}
	return progress;
}

static void decide(struct ln_poll_tree *t)
{
	while (decide_round(t))
		;
	for (size_t i = 0; i < t->n_fresh; i++) {
		struct other *o = find_other(t, t->fresh[i]);

		/* A parent that is gone by now: who inherited the child shows in the next scan. */
		if (o && (!o->ppid || find_other(t, o->ppid) || find_member(t, o->ppid)))
			o->fresh = false;
	}
	t->n_fresh = 0;
}

static void forget_unseen(struct ln_poll_tree *t)
{
	struct other *o, *o_next;
	struct session *s, *s_next;

	HASH_ITER (hh, t->others, o, o_next)
		if (o->seen != t->scan_no)
			drop_other(t, o);
	HASH_ITER (hh, t->sessions, s, s_next) {
		if (s->seen == t->scan_no)
			continue;
		HASH_DELETE(hh, t->sessions, s);
		free(s);
	}
}

int ln_poll_tree_scan(struct ln_poll_tree *t)
{
	struct member *m, *next;
	int r;

	t->scan_no++;
	HASH_ITER (hh, t->members, m, next) {
		if (refresh(t, m))
			continue;
		HASH_DELETE(hh, t->members, m);
		m->next_reused = t->reused;
		t->reused = m;
	}
	r = read_proc(t);
	if (r < 0)
		return r;
	decide(t);
	forget_unseen(t);
	return 0;
}

int ln_poll_tree_new(size_t max, struct ln_error *err, struct ln_poll_tree **ret)
{
	struct ln_poll_tree *t = calloc(1, sizeof(*t));

	if (!t)
		return ln_error_set(err, ENOMEM, "out of memory");
	t->max = max;
	t->self = getpid();
	t->reader.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->reader.proc_fd < 0) {
		int code = errno;

		ln_poll_tree_free(&t);
		return ln_error_set(err, code, "cannot open /proc: %s; mount it", strerror(code));
	}
	*ret = t;
	return 0;
}

static void free_reused(struct ln_poll_tree *t)
{
	while (t->reused) {
		struct member *m = t->reused;

		t->reused = m->next_reused;
		free(m->p.image);
		free(m);
	}
}

static void drop_member(struct ln_poll_tree *t, struct member *m)
{
	HASH_DELETE(hh, t->members, m);
	free(m->p.image);
	free(m);
}

void ln_poll_tree_free(struct ln_poll_tree **tree)
{
	struct ln_poll_tree *t = LN_TAKE_PTR(*tree);
	struct member *m, *m_next;
	struct other *o, *o_next;

	if (!t)
		return;
	if (t->made_subreaper)
		prctl(PR_SET_CHILD_SUBREAPER, 0);
	HASH_ITER (hh, t->members, m, m_next)
		drop_member(t, m);
	HASH_ITER (hh, t->others, o, o_next)
		drop_other(t, o);
	t->scan_no++;
	forget_unseen(t);
	free_reused(t);
	free(t->fresh);
	ln_closep(&t->reader.proc_fd);
	free(t);
}

static int add_root(struct ln_poll_tree *t, uint32_t agent, uint32_t pid, struct ln_error *err)
{
	struct ln_proc_stat st;
	struct other *o;
	struct member *m = find_member(t, pid);

	if (m && !m->p.gone)
		return ln_error_set(err, EEXIST, "process %u is watched already", pid);
	if (m || !ln_poll_proc_stat(&t->reader, pid, &st) || st.state == 'X' ||
	    (st.state == 'Z' && !ln_poll_proc_thread(&t->reader, pid)))
		return ln_error_set(
		    err, ESRCH, "process %u does not live; give the PID of a running process", pid);
	o = find_other(t, pid);
	if (o)
		drop_other(t, o);
	m = add_member(t, agent, pid, 0, st.start_ticks);
	if (!m)
		return ln_error_set(err, ENOSPC, "no room to watch process %u", pid);
	m->p.root = true;
	return 0;
}

int ln_poll_tree_track(struct ln_poll_tree *t, uint32_t agent, uint32_t pid, struct ln_error *err)
{
	int was = 0, r;

	if (prctl(PR_GET_CHILD_SUBREAPER, &was) < 0 ||
	    (!was && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0))
		return ln_error_set(err, errno, "cannot become a child subreaper: %s",
				    strerror(errno));
	t->made_subreaper |= !was;
	r = add_root(t, agent, pid, err);
	if (r < 0)
		return r;
	/* It still is a copy of linnet: what it runs counts from its first exec. */
	find_member(t, pid)->p.execed = false;
	r = ln_poll_tree_scan(t);
	if (r < 0)
		return ln_error_set(err, -r, "cannot read /proc: %s", strerror(-r));
	if (!t->orphan_agent) {
		t->orphan_agent = agent;
		t->orphan_root = pid;
	}
	return 0;
}

int ln_poll_tree_adopt(struct ln_poll_tree *t, uint32_t agent, uint32_t pid, struct ln_error *err)
{
	int r;

	t->adopting = agent;
	r = add_root(t, agent, pid, err);
	if (r == 0) {
		r = ln_poll_tree_scan(t);
		if (r < 0)
			ln_error_set(err, -r, "cannot read /proc: %s", strerror(-r));
	}
	t->adopting = 0;
	return r;
}

void ln_poll_tree_settle(struct ln_poll_tree *t)
{
	struct member *m, *next;

	HASH_ITER (hh, t->members, m, next) {
		m->p.told = true;
		m->p.execed = false;
		if (m->p.gone)
			drop_member(t, m);
	}
	free_reused(t);
}

struct ln_poll_proc *ln_poll_tree_next(struct ln_poll_tree *t, const struct ln_poll_proc *p)
{
	struct member *m = p ? ((const struct member *)p)->hh.next : t->members;

	return m ? &m->p : NULL;
}

struct ln_poll_proc *ln_poll_tree_next_reused(struct ln_poll_tree *t, const struct ln_poll_proc *p)
{
	struct member *m = p ? ((const struct member *)p)->next_reused : t->reused;

	return m ? &m->p : NULL;
}

size_t ln_poll_tree_size(const struct ln_poll_tree *t)
{
	return HASH_COUNT(t->members);
}

size_t ln_poll_tree_living(struct ln_poll_tree *t, uint32_t agent)
{
	size_t n = 0;

	for (struct ln_poll_proc *p = NULL; (p = ln_poll_tree_next(t, p));)
		n += p->agent == agent && !p->gone;
	return n;
}

bool ln_poll_tree_lives(struct ln_poll_tree *t, uint32_t pid)
{
	const struct member *m = find_member(t, pid);

	return m && !m->p.gone;
}

uint64_t ln_poll_tree_refused(const struct ln_poll_tree *t)
{
	return t->refused;
}

struct ln_poll_reader *ln_poll_tree_reader(struct ln_poll_tree *t)
{
	return &t->reader;
}
