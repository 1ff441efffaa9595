/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <errno.h>
#include <string.h>
#include "base/macros.h"

/* Pieces with a hole before each but the first. Browsers cut a QUIC hello into a dozen for each of
 * two datagrams, and shuffle them. */
#define RANGES_MAX 32
#define CAP_MIN    512

/* Bytes that are there: [start, end), counted from the first one that was not consumed. */
struct range {
	uint32_t start;
	uint32_t end;
};

struct ln_stream {
	uint8_t *data; /* owned; NULL: nothing is held */
	size_t cap;
	size_t max;
	uint32_t base; /* offset of the first byte that was not consumed */
	bool differed, no_memory;
	size_t n_ranges;
	struct range ranges[RANGES_MAX]; /* sorted, with a hole between any two */
};

struct ln_stream *ln_stream_new(size_t max)
{
	struct ln_stream *s;

	if (max == 0 || max > INT32_MAX) /* half of the offsets are before the window */
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s)
		s->max = max;
	return s;
}

void ln_stream_free(struct ln_stream **s)
{
	if (!*s)
		return;
	free((*s)->data);
	free(*s);
	*s = NULL;
}

static int reserve(struct ln_stream *s, size_t len)
{
	size_t cap;
	uint8_t *data;

	if (len <= s->cap)
		return 0;
	cap = LN_MIN(LN_MAX(LN_MAX(s->cap * 2, len), CAP_MIN), s->max);
	data = realloc(s->data, cap);
	if (!data) {
		s->no_memory = true;
		return -ENOMEM;
	}
	s->data = data;
	s->cap = cap;
	return 0;
}

/* The ranges that touch [start, end): [*ret_first, *ret_last). */
static void find_touching(const struct ln_stream *s, size_t start, size_t end, size_t *ret_first,
			  size_t *ret_last)
{
	size_t first = 0, last;

	while (first < s->n_ranges && s->ranges[first].end < start)
		first++;
	last = first;
	while (last < s->n_ranges && s->ranges[last].start <= end)
		last++;
	*ret_first = first;
	*ret_last = last;
}

/* Copies what is not there yet, compares what is. */
static void fill(struct ln_stream *s, size_t first, size_t last, size_t start, size_t end,
		 const uint8_t *bytes)
{
	size_t at = start;

	for (size_t i = first; i < last && at < end; i++) {
		const struct range *r = &s->ranges[i];

		if (r->end <= at)
			continue;
		if (r->start > at) {
			size_t stop = LN_MIN(r->start, end);

			memcpy(s->data + at, bytes + (at - start), stop - at);
			at = stop;
		}
		if (at < end) {
			size_t stop = LN_MIN(r->end, end);

			if (memcmp(s->data + at, bytes + (at - start), stop - at) != 0)
				s->differed = true;
			at = stop;
		}
	}
	if (at < end)
		memcpy(s->data + at, bytes + (at - start), end - at);
}

static int insert(struct ln_stream *s, size_t start, size_t end, const uint8_t *bytes)
{
	struct range joined = {(uint32_t)start, (uint32_t)end};
	size_t first, last;
	int r;

	find_touching(s, start, end, &first, &last);
	if (first == last && s->n_ranges == RANGES_MAX)
		return -E2BIG;
	r = reserve(s, end);
	if (r < 0)
		return r;
	fill(s, first, last, start, end, bytes);
	if (first < last) {
		joined.start = LN_MIN(joined.start, s->ranges[first].start);
		joined.end = LN_MAX(joined.end, s->ranges[last - 1].end);
	}
	memmove(&s->ranges[first + 1], &s->ranges[last],
		(s->n_ranges - last) * sizeof(s->ranges[0]));
	s->ranges[first] = joined;
	s->n_ranges = s->n_ranges - (last - first) + 1;
	return 0;
}

int ln_stream_put(struct ln_stream *s, uint32_t offset, const uint8_t *bytes, size_t len)
{
	/* Where it begins in the window: less than half of all offsets before or after. */
	int64_t start = (int32_t)(offset - s->base);
	bool beyond = false;
	int r = 0;

	if (len == 0)
		return 0;
	if (start < 0) {
		size_t before = (size_t)-start;

		if (len <= before)
			return 0;
		bytes += before;
		len -= before;
		start = 0;
	}
	if ((size_t)start > s->max || len > s->max - (size_t)start) {
		beyond = true;
		len = (size_t)start < s->max ? s->max - (size_t)start : 0;
	}
	if (len > 0)
		r = insert(s, (size_t)start, (size_t)start + len, bytes);
	return r < 0 ? r : beyond ? -EMSGSIZE : 0;
}

const uint8_t *ln_stream_bytes(const struct ln_stream *s, size_t *ret_len)
{
	*ret_len = s->n_ranges > 0 && s->ranges[0].start == 0 ? s->ranges[0].end : 0;
	return s->data;
}

void ln_stream_consume(struct ln_stream *s, size_t len)
{
	size_t there;

	ln_stream_bytes(s, &there);
	len = LN_MIN(len, there);
	if (len == 0)
		return;
	s->base += (uint32_t)len;
	if (len == there)
		memmove(&s->ranges[0], &s->ranges[1], --s->n_ranges * sizeof(s->ranges[0]));
	for (size_t i = 0; i < s->n_ranges; i++) {
		s->ranges[i].start -= (uint32_t)LN_MIN(len, s->ranges[i].start); /* 0: first */
		s->ranges[i].end -= (uint32_t)len;
	}
	if (s->n_ranges == 0) {
		free(LN_TAKE_PTR(s->data));
		s->cap = 0;
		return;
	}
	memmove(s->data, s->data + len, s->ranges[s->n_ranges - 1].end);
}

bool ln_stream_no_memory(const struct ln_stream *s)
{
	return s->no_memory;
}

bool ln_stream_differed(const struct ln_stream *s)
{
	return s->differed;
}
