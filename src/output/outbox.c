/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox.h"

#include <errno.h>
#include <string.h>
#include "base/clock.h"

int ln_outbox_init(struct ln_outbox *o, size_t max, size_t max_bytes)
{
	*o = (struct ln_outbox){.max = max, .max_bytes = max_bytes};
	o->ring = calloc(max, sizeof(*o->ring));
	return o->ring ? 0 : -ENOMEM;
}

void ln_outbox_done(struct ln_outbox *o)
{
	while (o->n > 0)
		ln_outbox_drop(o);
	free(o->ring);
	o->ring = NULL;
}

static bool keep(struct ln_outbox *o, const void *bytes, size_t len)
{
	if (o->n == o->max || len > o->max_bytes - o->bytes)
		return false;
	char *copy = malloc(len + 1);
	if (!copy)
		return false;
	memcpy(copy, bytes, len);
	copy[len] = '\0';
	o->ring[(o->first + o->n) % o->max] = (struct ln_message){.data = copy, .len = len};
	o->n++;
	o->bytes += len;
	return true;
}

bool ln_outbox_put(struct ln_outbox *o, struct ln_sink *s, const void *bytes, size_t len)
{
	if (keep(o, bytes, len))
		return true;
	o->refused++;
	s->dropped++;
	ln_sink_failed(s, "too many at once: %zu alerts wait already", o->n);
	return false;
}

const struct ln_message *ln_outbox_first(const struct ln_outbox *o)
{
	return o->n > 0 ? &o->ring[o->first] : NULL;
}

struct ln_message ln_outbox_take(struct ln_outbox *o)
{
	struct ln_message m = o->ring[o->first];

	o->first = (o->first + 1) % o->max;
	o->n--;
	o->bytes -= m.len;
	return m;
}

void ln_outbox_drop(struct ln_outbox *o)
{
	free(ln_outbox_take(o).data);
}

uint64_t ln_outbox_owed(struct ln_outbox *o)
{
	uint64_t owed = o->refused;

	if (owed == 0 || o->n > o->max / 2 || o->bytes > o->max_bytes / 2)
		return 0;
	o->refused = 0;
	return owed;
}

void ln_outbox_put_record(struct ln_outbox *o, struct ln_sink *s, struct ln_record *r,
			  const struct ln_finding *f)
{
	ln_buf_reset(&r->text);
	ln_record_finding(r, f);
	ln_outbox_put(o, s, r->text.data, r->text.failed ? o->max_bytes + 1 : r->text.len);
}

void ln_outbox_put_owed(struct ln_outbox *o, struct ln_sink *s, struct ln_record *r)
{
	uint64_t owed = ln_outbox_owed(o);

	if (owed == 0)
		return;
	ln_buf_reset(&r->text);
	ln_record_dropped(r, ln_clock_wall_ns(), owed);
	ln_outbox_put(o, s, r->text.data, r->text.len);
}
