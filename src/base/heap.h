/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap, smallest key first, of nodes that lie inside the caller's own structs. It owns
 * only the array of pointers. Every call is O(log n), ln_heap_top and _reserve (amortised) O(1). */
#ifndef LINNET_BASE_HEAP_H
#define LINNET_BASE_HEAP_H

#include <errno.h>
#include <stdint.h>
#include "macros.h"

struct ln_heap_node {
	uint64_t key;
	size_t at; /* position; the heap's own */
};

struct ln_heap {
	struct ln_heap_node **nodes; /* owned; what it points to is borrowed */
	size_t n, cap;
};

#define LN_HEAP_ITEM(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

static inline void ln_heap_done(struct ln_heap *h)
{
	free(h->nodes);
	*h = (struct ln_heap){0};
}

/* Room for one more node: after it the next ln_heap_push cannot fail. */
static inline int ln_heap_reserve(struct ln_heap *h)
{
	size_t cap = h->cap ? 2 * h->cap : 16;
	struct ln_heap_node **nodes;

	if (h->n < h->cap)
		return 0;
	nodes = reallocarray(h->nodes, cap, sizeof(struct ln_heap_node *));
	if (!nodes)
		return -ENOMEM;
	h->nodes = nodes;
	h->cap = cap;
	return 0;
}

static inline struct ln_heap_node *ln_heap_top(const struct ln_heap *h)
{
	return h->n ? h->nodes[0] : NULL;
}

static inline void ln_heap_put_(struct ln_heap *h, struct ln_heap_node *node, size_t at)
{
	h->nodes[at] = node;
	node->at = at;
}

/* Moves the node to where its key belongs, after the key was changed in place. */
static inline void ln_heap_moved(struct ln_heap *h, struct ln_heap_node *node)
{
	size_t at = node->at;

	while (at > 0 && h->nodes[(at - 1) / 2]->key > node->key) {
		ln_heap_put_(h, h->nodes[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < h->n && h->nodes[child + 1]->key < h->nodes[child]->key)
			child++;
		if (child >= h->n || h->nodes[child]->key >= node->key)
			break;
		ln_heap_put_(h, h->nodes[child], at);
		at = child;
	}
	ln_heap_put_(h, node, at);
}

static inline void ln_heap_push(struct ln_heap *h, struct ln_heap_node *node)
{
	ln_heap_put_(h, node, h->n++);
	ln_heap_moved(h, node);
}

static inline void ln_heap_remove(struct ln_heap *h, struct ln_heap_node *node)
{
	struct ln_heap_node *last = h->nodes[--h->n];

	if (last == node)
		return;
	ln_heap_put_(h, last, node->at);
	ln_heap_moved(h, last);
}

#endif
