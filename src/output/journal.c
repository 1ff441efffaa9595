/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alerts to the journal, in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). Not by
 * sd_journal_send: that waits while a journald that is stopped does not read, and answers 0 when
 * there is none.
 */
#include "sinks.h"

#include <errno.h>
#include <string.h>
#include "base/text.h"
#include "datagrams.h"

#define JOURNAL "/run/systemd/journal/socket"
/* A larger one would not fit into every datagram, and stays in the log. */
#define RECORD_MAX 65536

/* Fixed for ever, and documented in linnet-events(5). */
static const char *const message_ids[LN_FINDING_COUNT] = {
    [LN_FINDING_FLOW_OPEN] = "d17b4ee055673fdd5718bd9da258b2df",
    [LN_FINDING_DNS_QUERY] = "7c60c4abadd17bc153e2497e14614279",
    [LN_FINDING_DNS_ANSWER] = "4b14ca0c2d42c81190e5db6ebfb3e1e2",
    [LN_FINDING_WIRE] = "17fd5fa5d6ba160c4b68d4a757d245b1",
    [LN_FINDING_CHANNEL] = "4f1e819bb76f5a165cbd8d17281f6cd4",
    [LN_FINDING_CLAIM] = "d23db3d4da1c4535104d9ffd43b5cdf0",
    [LN_FINDING_VERDICT] = "9ca89666ee324bd2b6adcf70225f4262",
    [LN_FINDING_LIMIT] = "5f9345b87c6c4a4dbb4bd4e075a966cd",
    [LN_FINDING_TAMPER] = "46e4b5378da0b82d4ec525da462b0f6b",
    [LN_FINDING_REPEATS] = "a465a31d8da00e2031484cd3140c8ba8",
    [LN_FINDING_LOST] = "a9df5fb62cac03aef2bf70ff96069463",
};
#define OTHER_ID   "0dd57f4a20e259907a775d207677ac36"
#define DROPPED_ID "3d9991b09cc54896c44f7202963053af"

struct journal {
	struct ln_datagrams out;
	struct ln_record record;
	struct ln_buf text;
};

static struct journal *journal_of(struct ln_datagrams *d)
{
	return (struct journal *)d;
}

/* The value has no line break: all of it comes from where text is escaped. */
static void add_field(struct journal *j, const char *name, const char *value, size_t len)
{
	ln_buf_addf(&j->text, "%s=", name);
	ln_buf_add(&j->text, value, len);
	ln_buf_addc(&j->text, '\n');
}

static void add_line(struct journal *j, const char *name, const char *label)
{
	size_t len;
	const char *value = ln_brief_field(&j->out.brief, label, &len);

	if (value)
		add_field(j, name, value, len);
}

static void begin(struct journal *j, enum ln_severity severity, const char *message_id)
{
	ln_buf_reset(&j->text);
	ln_buf_addf(&j->text,
		    "SYSLOG_IDENTIFIER=linnet\nSYSLOG_FACILITY=10\nPRIORITY=%d\nMESSAGE_ID=%s\n",
		    (int)severity, message_id);
}

static const struct ln_buf *tell_dropped(struct ln_datagrams *d, const char *text)
{
	struct journal *j = journal_of(d);

	begin(j, LN_SEVERITY_ERROR, DROPPED_ID);
	add_field(j, "MESSAGE", text, strlen(text));
	return &j->text;
}

static void add_record(struct journal *j, const struct ln_finding *f)
{
	ln_buf_reset(&j->record.text);
	ln_record_finding(&j->record, f);
	size_t len = j->record.text.len;
	if (!j->record.text.failed && len > 0 && len <= RECORD_MAX)
		add_field(j, "LINNET_RECORD", j->record.text.data, len - 1);
}

static const struct ln_buf *tell_alert(struct ln_datagrams *d, const struct ln_finding *f)
{
	struct journal *j = journal_of(d);
	const char *id = message_ids[f->kind];

	begin(j, j->out.brief.severity, id ? id : OTHER_ID);
	add_field(j, "MESSAGE", j->out.brief.line.data, j->out.brief.line.len);
	if (f->agent_name) {
		ln_buf_adds(&j->text, "LINNET_AGENT=");
		ln_text_escape(&j->text, f->agent_name, strlen(f->agent_name));
		ln_buf_addc(&j->text, '\n');
	}
	ln_buf_addf(&j->text, "LINNET_PID=%u\nLINNET_VERDICT=%s\n", f->pid,
		    ln_verdict_text(f->verdict));
	add_line(j, "LINNET_DESTINATION", "Destination");
	add_line(j, "LINNET_ACTION", "Action");
	add_record(j, f);
	return &j->text;
}

static void on_header(struct ln_sink *s, const struct ln_sink_header *h)
{
	struct journal *j = (struct journal *)s;

	j->record.netns = h->netns; /* a record then says what differs, as in the log */
}

static void on_free(struct ln_sink *s)
{
	struct journal *j = (struct journal *)s;

	ln_datagrams_done(&j->out);
	ln_record_done(&j->record);
	ln_buf_done(&j->text);
	free(j);
}

int ln_sink_journal_new(const struct ln_journal_config *c, struct ln_error *err,
			struct ln_sink **ret)
{
	static const struct ln_datagrams_words words = {tell_alert, tell_dropped};
	static const struct ln_sink_ops ops = {
	    .name = "journal",
	    .header = on_header,
	    LN_DATAGRAMS_OPS,
	    .free = on_free,
	};
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return ln_error_set(err, ENOMEM, "out of memory");
	int r = ln_datagrams_init(&j->out, &ops, &words);
	j->record.redact.off = j->out.brief.alert.redact.off = c->show_args;
	if (r == 0)
		r = ln_datagrams_to_path(&j->out, c->path ? c->path : JOURNAL);
	if (r < 0) {
		on_free(&j->out.base);
		return ln_error_set(err, -r, "journal: %s", strerror(-r));
	}
	r = ln_datagrams_probe(&j->out);
	if (r < 0)
		ln_sink_failed(&j->out.base, "%s: %s", c->path ? c->path : JOURNAL, strerror(-r));
	*ret = &j->out.base;
	return 0;
}
