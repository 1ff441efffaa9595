/* SPDX-License-Identifier: Apache-2.0 */
/* The connection log: JSON records, one line each. To a file, the records of one look at the events
 * go in one write, and an alert's at once with all that came before it. */
#include "sink.h"

#include <errno.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "record.h"
#include "writer.h"

#define BATCH_BYTES (64 << 10)

struct jsonl {
	struct ln_sink base;
	struct ln_writer writer;
	struct ln_record record; /* its text: what is to be written */
	size_t n_records;        /* in it */
	size_t begun_at;         /* where the present one begins */
	uint64_t gap;            /* how many it says are missing */
	bool deleted;            /* the file has no name any more: what is written goes nowhere */
};

static struct jsonl *jsonl_of(struct ln_sink *s)
{
	return (struct jsonl *)s;
}

/* Records that were dropped are told where they are missing, together with the next one. */
static void begin(struct jsonl *j, uint64_t wall_ns)
{
	uint64_t missing = j->writer.unreported - j->gap;

	if (missing > 0)
		ln_record_gap(&j->record, wall_ns, missing, j->base.error);
	j->gap += missing;
	j->begun_at = j->record.text.len;
}

static void write_records(struct jsonl *j)
{
	if (j->deleted)
		j->base.dropped += j->n_records;
	else if (j->n_records > 0 &&
		 ln_writer_put(&j->writer, &j->base, &j->record.text, j->n_records))
		j->writer.unreported = 0;
	ln_buf_reset(&j->record.text);
	j->n_records = 0;
	j->gap = 0;
}

static void end(struct jsonl *j, bool at_once)
{
	struct ln_buf *text = &j->record.text;

	if (text->failed) { /* this one only */
		text->len = j->begun_at;
		text->failed = false;
		ln_writer_lose(&j->writer, &j->base, EMSGSIZE, 1);
	} else {
		j->n_records++;
	}
	if (at_once || !j->writer.file || text->len >= BATCH_BYTES)
		write_records(j);
}

static void on_header(struct ln_sink *s, const struct ln_sink_header *h)
{
	struct jsonl *j = jsonl_of(s);

	begin(j, h->wall_ns);
	ln_record_header(&j->record, h);
	end(j, true);
}

static void on_finding(struct ln_sink *s, const struct ln_finding *f)
{
	struct jsonl *j = jsonl_of(s);

	begin(j, f->wall_ns);
	ln_record_finding(&j->record, f);
	end(j, f->alert);
}

static void on_summary(struct ln_sink *s, const struct ln_sink_summary *sum)
{
	struct jsonl *j = jsonl_of(s);
	uint64_t now = ln_clock_wall_ns();

	write_records(j); /* the summary says how many were lost */
	begin(j, now);
	ln_record_summary(&j->record, now, sum, s->dropped);
	end(j, true);
}

/* Whoever may write the log's directory can take the log away. All of it is lost then. */
static void look_for_file(struct jsonl *j)
{
	struct stat st;

	if (j->deleted || fstat(j->writer.fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 0)
		return;
	j->deleted = true;
	j->base.error = ENOENT;
	j->base.dropped += j->base.written;
	j->base.written = 0;
}

static void on_flush(struct ln_sink *s)
{
	write_records(jsonl_of(s));
	ln_writer_flush(&jsonl_of(s)->writer);
	look_for_file(jsonl_of(s));
}

static void on_free(struct ln_sink *s)
{
	struct jsonl *j = jsonl_of(s);

	write_records(j);
	ln_writer_done(&j->writer);
	ln_record_done(&j->record);
	free(j);
}

int ln_sink_jsonl_new(const struct ln_jsonl_config *config, struct ln_sink **ret)
{
	static const struct ln_sink_ops ops = {
	    .name = "log",
	    .header = on_header,
	    .finding = on_finding,
	    .summary = on_summary,
	    .flush = on_flush,
	    .free = on_free,
	};
	struct jsonl *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->base.ops = &ops;
	j->record.redact.off = config->show_args;
	ln_writer_init(&j->writer, config->fd, true);
	*ret = &j->base;
	return 0;
}
