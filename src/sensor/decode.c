/* SPDX-License-Identifier: Apache-2.0 */
#include "decode.h"

#include <errno.h>
#include <string.h>

static const char *const lost_texts[LN_ABI_LOST_COUNT] = {
    [LN_ABI_LOST_RING] = "the event buffer was full",
    [LN_ABI_LOST_TASKS] = "too many processes: a child is not watched",
    [LN_ABI_LOST_SOCKETS] = "no memory for a socket's owner: flows without end or counts",
    [LN_ABI_LOST_DNS] = "a DNS message was too long or could not be read",
    [LN_ABI_LOST_VERDICTS] = "the wake-up table refused an entry: alerts may be late",
};
_Static_assert(LN_ARRAY_SIZE(lost_texts) == LN_ABI_LOST_COUNT, "a text for each reason");

static const enum ln_outcome outcomes[LN_ABI_OUTCOME_COUNT] = {
    [LN_ABI_OUTCOME_NONE] = LN_OUTCOME_NONE,
    [LN_ABI_OUTCOME_CONNECTED] = LN_OUTCOME_CONNECTED,
    [LN_ABI_OUTCOME_REFUSED] = LN_OUTCOME_REFUSED,
    [LN_ABI_OUTCOME_TIMED_OUT] = LN_OUTCOME_TIMED_OUT,
    [LN_ABI_OUTCOME_RESET] = LN_OUTCOME_RESET,
    [LN_ABI_OUTCOME_UNREACHABLE] = LN_OUTCOME_UNREACHABLE,
    [LN_ABI_OUTCOME_ABORTED] = LN_OUTCOME_ABORTED,
};

const char *ln_decode_lost_text(enum ln_abi_lost why)
{
	return why < LN_ABI_LOST_COUNT ? lost_texts[why] : "unknown";
}

/* "python3\0bin\0usr\0" → "/usr/bin/python3". A single component is a file without a directory
 * (memfd:x) and stays as it is when it is not at the root: nobody can tell the two apart here, and
 * a leading slash does no harm. Returns the length. */
static size_t join_path(const char *parts, size_t len, bool cut, char *ret)
{
	size_t end = len, n = 0;

	if (cut) {
		memcpy(ret, "…", 3);
		n = 3;
	}
	while (end > 0) {
		size_t start = end - 1; /* the NUL of this component */

		while (start > 0 && parts[start - 1])
			start--;
		ret[n++] = '/';
		memcpy(ret + n, parts + start, end - 1 - start);
		n += end - 1 - start;
		end = start;
	}
	ret[n] = '\0';
	return n;
}

static int decode_exec(struct ln_decoder *d, const void *record, size_t len, struct ln_event *ev)
{
	const struct ln_abi_exec *raw = record;
	const char *data = (const char *)(raw + 1);

	if (len < sizeof(*raw) || raw->exe_len > 2 * LN_ABI_EXE_MAX - 4 ||
	    raw->args_len > LN_ABI_ARGS_MAX || len < sizeof(*raw) + raw->exe_len + raw->args_len)
		return -EBADMSG;
	if (raw->exe_len && data[raw->exe_len - 1])
		return -EBADMSG;
	ev->kind = LN_EVENT_EXEC;
	ev->exec.exe = d->exe;
	ev->exec.exe_len =
	    join_path(data, raw->exe_len, raw->h.flags & LN_ABI_EXEC_EXE_CUT, d->exe);
	ev->exec.args = data + raw->exe_len;
	ev->exec.args_len = raw->args_len;
	ev->exec.cut = raw->h.flags & (LN_ABI_EXEC_ARGS_CUT | LN_ABI_EXEC_ARGS_BAD);
	return 0;
}

static int decode_flow(const struct ln_abi_flow *raw, struct ln_flow *ret)
{
	if (raw->family != 4 && raw->family != 6)
		return -EBADMSG;
	*ret = (struct ln_flow){
	    .id = raw->id,
	    .proto = raw->proto,
	    .existing = raw->flags & LN_ABI_FLOW_EXISTING,
	    .same_tree = raw->flags & LN_ABI_FLOW_SAME_TREE,
	    .mptcp = raw->flags & LN_ABI_FLOW_MPTCP,
	    .uncounted = raw->flags & LN_ABI_FLOW_UNCOUNTED,
	    .remote = {.addr = ln_addr_make(raw->family, raw->remote), .port = raw->remote_port},
	    .netns = raw->netns,
	};
	if (raw->local_port) {
		ret->local.addr = ln_addr_make(raw->family, raw->local);
		ret->local.port = raw->local_port;
	}
	return 0;
}

static int decode_open(const void *record, size_t len, struct ln_event *ev)
{
	const struct ln_abi_flow_open *raw = record;

	if (len < sizeof(*raw))
		return -EBADMSG;
	ev->kind = LN_EVENT_FLOW_OPEN;
	return decode_flow(&raw->flow, &ev->flow.flow);
}

static int decode_close(const void *record, size_t len, struct ln_event *ev)
{
	const struct ln_abi_flow_close *raw = record;

	if (len < sizeof(*raw) || raw->outcome >= LN_ABI_OUTCOME_COUNT)
		return -EBADMSG;
	ev->kind = LN_EVENT_FLOW_CLOSE;
	ev->flow.end = (struct ln_flow_end){
	    .open_ns = raw->open_ns,
	    .tx_bytes = raw->tx_bytes,
	    .rx_bytes = raw->rx_bytes,
	    .tx_packets = raw->tx_packets,
	    .rx_packets = raw->rx_packets,
	    .outcome = outcomes[raw->outcome],
	    .evicted = raw->flow.flags & LN_ABI_FLOW_EVICTED,
	};
	return decode_flow(&raw->flow, &ev->flow.flow);
}

static int decode_dns(const void *record, size_t len, struct ln_event *ev)
{
	const struct ln_abi_dns *raw = record;

	if (len < sizeof(*raw) || raw->len > LN_ABI_DNS_MAX || len < sizeof(*raw) + raw->len)
		return -EBADMSG;
	ev->kind = LN_EVENT_DNS;
	ev->dns.answer = raw->h.flags & LN_ABI_DNS_ANSWER;
	ev->dns.cut = raw->h.flags & LN_ABI_DNS_CUT;
	ev->dns.bytes = (const uint8_t *)(raw + 1);
	ev->dns.len = raw->len;
	return decode_flow(&raw->flow, &ev->dns.flow);
}

int ln_decode(struct ln_decoder *d, const void *record, size_t len, struct ln_event *ret)
{
	const struct ln_abi_header *h = record;
	struct ln_event ev = {0};
	int r = 0;

	if (len < sizeof(*h))
		return -EBADMSG;
	ev.time_ns = h->time_ns;
	ev.wall_ns = h->time_ns + (uint64_t)d->wall_offset_ns;
	ev.agent = h->agent;
	ev.pid = h->pid;
	ev.tid = h->tid;
	switch (h->kind) {
	case LN_ABI_FORK:
		if (len < sizeof(struct ln_abi_fork))
			return -EBADMSG;
		ev.kind = LN_EVENT_FORK;
		ev.fork.child = ((const struct ln_abi_fork *)record)->child;
		break;
	case LN_ABI_EXEC:
		r = decode_exec(d, record, len, &ev);
		break;
	case LN_ABI_EXIT:
		if (len < sizeof(struct ln_abi_exit))
			return -EBADMSG;
		ev.kind = LN_EVENT_EXIT;
		ev.exit.status = (int)((const struct ln_abi_exit *)record)->code;
		break;
	case LN_ABI_FLOW_OPEN:
		r = decode_open(record, len, &ev);
		break;
	case LN_ABI_FLOW_CLOSE:
		r = decode_close(record, len, &ev);
		break;
	case LN_ABI_DNS:
		r = decode_dns(record, len, &ev);
		break;
	default:
		return -EBADMSG;
	}
	if (r < 0)
		return r;
	*ret = ev;
	return 0;
}
