/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <string.h>

#include <utlist.h>
#include "base/macros.h"
#include "base/table.h"

#define EXE_MAX  4096
#define ARGS_MAX 4096
/* The memory that all images may take, on average for a process: living ones pay for theirs in
 * the kernel too, but exited ones would let an agent fill our memory with 4 KiB an exec. A usual
 * command line has some 100 bytes. */
#define IMAGE_BYTES_PER_PROC 256
#define IMAGE_BYTES_MIN      (1u << 20)

/* What an exec loaded; shared by the process and the children that it forks before their exec. */
struct image {
	uint32_t refs;
	size_t bytes;
	char *exe;  /* into data, or NULL */
	char *args; /* into data, or NULL */
	size_t args_len;
	bool args_cut;
	char data[];
};

/* A remembered process is in exactly one of three states: living; exited with living children, in
 * `exited_parents`; exited without, in `exited_leaves`. */
struct node {
	struct ln_proc proc; /* first, so that a struct ln_proc * of ours is the node */
	struct image *image; /* a reference, or NULL */
	struct node *first_child;
	struct node *sibling_prev, *sibling_next; /* list of the parent's remembered children */
	struct node *queue_prev, *queue_next;
	bool newest; /* in by_pid: no younger process has this PID */
	UT_hash_handle hh;
};

struct agent {
	uint32_t id;
	size_t living;
	UT_hash_handle hh;
};

struct ln_tree {
	struct node *by_pid;         /* owned */
	struct node *exited_leaves;  /* owned when not in by_pid; oldest first */
	struct node *exited_parents; /* the same */
	struct agent *agents;        /* owned; those with living processes */
	size_t size, max;
	size_t image_bytes, image_bytes_max;
	uint64_t refused;
};

static struct node *node_of(struct ln_proc *proc)
{
	return (struct node *)proc;
}

static bool is_living(const struct node *node)
{
	return node->proc.exit_ns == 0;
}

static struct node **queue_of(struct ln_tree *t, const struct node *node)
{
	return node->proc.children > 0 ? &t->exited_parents : &t->exited_leaves;
}

static void enqueue(struct ln_tree *t, struct node *node)
{
	struct node **queue = queue_of(t, node);

	DL_APPEND2(*queue, node, queue_prev, queue_next);
}

static void dequeue(struct ln_tree *t, struct node *node)
{
	struct node **queue = queue_of(t, node);

	DL_DELETE2(*queue, node, queue_prev, queue_next);
}

/* A change of the number of living children may move an exited parent to the other queue. */
static void count_children(struct ln_tree *t, struct node *parent, int change)
{
	if (!is_living(parent))
		dequeue(t, parent);
	parent->proc.children += (uint32_t)change;
	if (!is_living(parent))
		enqueue(t, parent);
}

static void drop_image(struct ln_tree *t, struct node *node)
{
	struct image *image = node->image;

	node->image = NULL;
	if (!image || --image->refs > 0)
		return;
	t->image_bytes -= image->bytes;
	free(image);
}

/* Takes the caller's reference. */
static void show_image(struct node *node, struct image *image)
{
	node->image = image;
	node->proc.exe = image ? image->exe : NULL;
	node->proc.args = image ? image->args : NULL;
	node->proc.args_len = image ? image->args_len : 0;
	node->proc.args_cut = image && image->args_cut;
}

static void unlink_from_parent(struct node *node)
{
	if (!node->proc.parent)
		return;
	DL_DELETE2(node_of(node->proc.parent)->first_child, node, sibling_prev, sibling_next);
	node->proc.parent = NULL;
}

/* Forgets an exited process. Each child loses its parent once, so this is O(1) amortised. */
static void evict(struct ln_tree *t, struct node *node)
{
	dequeue(t, node);
	while (node->first_child)
		unlink_from_parent(node->first_child);
	unlink_from_parent(node);
	if (node->newest)
		HASH_DEL(t->by_pid, node);
	drop_image(t, node);
	free(node);
	t->size--;
}

static bool evict_oldest(struct ln_tree *t)
{
	struct node *node = t->exited_leaves ? t->exited_leaves : t->exited_parents;

	if (!node)
		return false;
	evict(t, node);
	return true;
}

static bool count_living(struct ln_tree *t, uint32_t id)
{
	struct agent *agent;

	HASH_FIND(hh, t->agents, &id, sizeof(id), agent);
	if (!agent) {
		agent = calloc(1, sizeof(*agent));
		if (!agent)
			return false;
		agent->id = id;
		HASH_ADD(hh, t->agents, id, sizeof(id), agent);
		if (!agent->hh.tbl) {
			free(agent);
			return false;
		}
	}
	agent->living++;
	return true;
}

static void uncount_living(struct ln_tree *t, uint32_t id)
{
	struct agent *agent;

	HASH_FIND(hh, t->agents, &id, sizeof(id), agent);
	if (--agent->living == 0) {
		HASH_DEL(t->agents, agent);
		free(agent);
	}
}

static void end(struct ln_tree *t, struct node *node, int status, uint64_t now_ns)
{
	node->proc.exit_ns = LN_MAX(now_ns, (uint64_t)1);
	node->proc.exit_status = status;
	uncount_living(t, node->proc.agent);
	enqueue(t, node);
	if (node->proc.parent)
		count_children(t, node_of(node->proc.parent), -1);
}

static struct node *find(struct ln_tree *t, uint32_t pid)
{
	struct node *node;

	HASH_FIND(hh, t->by_pid, &pid, sizeof(pid), node);
	return node;
}

/* Ends what lived under this PID; it stays for its children, but is found no more. */
static void supersede(struct ln_tree *t, uint32_t pid, uint64_t now_ns)
{
	struct node *old = find(t, pid);

	if (!old)
		return;
	if (is_living(old))
		end(t, old, 0, now_ns);
	HASH_DEL(t->by_pid, old);
	old->newest = false;
}

static struct node *new_node(struct ln_tree *t, uint32_t agent, uint32_t pid, uint64_t now_ns)
{
	struct node *node;

	if (t->size >= t->max && !evict_oldest(t))
		return NULL;
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->proc.pid = pid;
	node->proc.agent = agent;
	node->proc.start_ns = now_ns;
	if (!count_living(t, agent)) {
		free(node);
		return NULL;
	}
	HASH_ADD(hh, t->by_pid, proc.pid, sizeof(node->proc.pid), node);
	if (!node->hh.tbl) {
		uncount_living(t, agent);
		free(node);
		return NULL;
	}
	node->newest = true;
	t->size++;
	return node;
}

static struct node *add(struct ln_tree *t, uint32_t agent, uint32_t pid, uint64_t now_ns)
{
	struct node *node;

	supersede(t, pid, now_ns);
	node = new_node(t, agent, pid, now_ns);
	if (!node)
		t->refused++;
	return node;
}

struct ln_tree *ln_tree_new(size_t max)
{
	struct ln_tree *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->max = max;
	t->image_bytes_max = LN_MAX(max * IMAGE_BYTES_PER_PROC, (size_t)IMAGE_BYTES_MIN);
	return t;
}

void ln_tree_free(struct ln_tree **t)
{
	struct node *node, *next;

	if (!*t)
		return;
	HASH_ITER (hh, (*t)->by_pid, node, next) {
		if (is_living(node))
			end(*t, node, 0, 0);
	}
	while (evict_oldest(*t))
		;
	free(*t);
	*t = NULL;
}

struct ln_proc *ln_tree_fork(struct ln_tree *t, uint32_t agent, uint32_t parent_pid, uint32_t pid,
			     uint64_t now_ns)
{
	struct node *node = add(t, agent, pid, now_ns);
	struct node *parent;

	if (!node)
		return NULL;
	/* Only now: making room may have forgotten the parent. */
	parent = parent_pid != 0 && parent_pid != pid ? find(t, parent_pid) : NULL;
	if (!parent)
		return &node->proc;
	node->proc.parent = &parent->proc;
	node->proc.cgroup_id = parent->proc.cgroup_id;
	node->proc.why = parent->proc.why;
	DL_APPEND2(parent->first_child, node, sibling_prev, sibling_next);
	count_children(t, parent, 1);
	if (parent->image) {
		parent->image->refs++;
		show_image(node, parent->image);
		node->proc.inherited = true;
	}
	return &node->proc;
}

static struct image *new_image(struct ln_tree *t, const char *exe, size_t exe_len, const char *args,
			       size_t args_len, bool args_cut)
{
	size_t exe_bytes, bytes;
	struct image *image;
	char *at;

	exe_len = LN_MIN(exe_len, (size_t)EXE_MAX);
	exe_bytes = exe ? exe_len + 1 : 0;
	args_cut |= args && args_len > ARGS_MAX;
	args_len = args ? LN_MIN(args_len, (size_t)ARGS_MAX) : 0;
	bytes = sizeof(*image) + exe_bytes + (args ? args_len + 1 : 0);
	while (t->image_bytes + bytes > t->image_bytes_max && evict_oldest(t))
		;
	if (args && t->image_bytes + bytes > t->image_bytes_max) {
		bytes -= args_len;
		args_len = 0;
		args_cut = true;
	}
	image = calloc(1, bytes);
	if (!image)
		return NULL;
	image->refs = 1;
	image->bytes = bytes;
	at = image->data;
	if (exe) {
		memcpy(at, exe, exe_len);
		image->exe = at;
		at += exe_bytes;
	}
	if (args) {
		memcpy(at, args, args_len);
		image->args = at;
		image->args_len = args_len;
	}
	image->args_cut = args_cut;
	t->image_bytes += bytes;
	return image;
}

struct ln_proc *ln_tree_exec(struct ln_tree *t, uint32_t agent, uint32_t pid, const char *exe,
			     size_t exe_len, const char *args, size_t args_len, bool args_cut,
			     uint64_t now_ns)
{
	struct node *node = find(t, pid);

	/* An exit or a fork that was lost: this is another process under the same PID. */
	if (node && (!is_living(node) || node->proc.agent != agent))
		node = NULL;
	if (!node)
		node = add(t, agent, pid, now_ns);
	if (!node)
		return NULL;
	drop_image(t, node);
	show_image(node, NULL);
	if (exe || args) {
		struct image *image = new_image(t, exe, exe_len, args, args_len, args_cut);

		t->refused += !image;
		show_image(node, image);
	}
	node->proc.exec_ns = LN_MAX(now_ns, (uint64_t)1);
	node->proc.inherited = false;
	return &node->proc;
}

struct ln_proc *ln_tree_exit(struct ln_tree *t, uint32_t pid, int status, uint64_t now_ns)
{
	struct node *node = find(t, pid);

	if (!node || !is_living(node))
		return NULL;
	end(t, node, status, now_ns);
	return &node->proc;
}

struct ln_proc *ln_tree_find(struct ln_tree *t, uint32_t pid)
{
	struct node *node = find(t, pid);

	return node ? &node->proc : NULL;
}

size_t ln_tree_living(const struct ln_tree *t, uint32_t agent)
{
	struct agent *found;

	HASH_FIND(hh, t->agents, &agent, sizeof(agent), found);
	return found ? found->living : 0;
}

size_t ln_tree_pids(const struct ln_tree *t, uint32_t agent, uint64_t since_ns, uint32_t *ret,
		    size_t max)
{
	const struct node *node, *next;
	size_t n = 0;

	HASH_ITER (hh, t->by_pid, node, next) {
		if (n < max && is_living(node) && node->proc.agent == agent &&
		    node->proc.start_ns >= since_ns)
			ret[n++] = node->proc.pid;
	}
	return n;
}

size_t ln_tree_size(const struct ln_tree *t)
{
	return t->size;
}

uint64_t ln_tree_refused(const struct ln_tree *t)
{
	return t->refused;
}
