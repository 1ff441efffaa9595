/* SPDX-License-Identifier: Apache-2.0 */
#include "decode.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static const char *const lost_texts[LN_ABI_LOST_COUNT] = {
    [LN_ABI_LOST_RING] = "the event buffer was full",
    [LN_ABI_LOST_TASKS] = "too many processes: a child is not watched",
    [LN_ABI_LOST_SOCKETS] = "no memory for a socket's owner: flows without end or counts",
    [LN_ABI_LOST_DNS] = "a DNS message was too long or could not be read",
    [LN_ABI_LOST_VERDICTS] = "the wake-up table refused an entry: alerts may be late",
    [LN_ABI_LOST_LINEAGE] = "attach: a family too large to follow: a child may not be watched",
    [LN_ABI_LOST_BYTES] = "what a flow says was too much or could not be read",
    [LN_ABI_LOST_STRANGERS] = "DNS answers that nobody asked for: too many",
    [LN_ABI_LOST_MARKS] = "no memory to mark a socket: received ones are not told",
    [LN_ABI_LOST_PERMITS] = "block mode: what a name permits was not kept: it may be refused",
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
    [LN_ABI_OUTCOME_BLOCKED] = LN_OUTCOME_BLOCKED,
};

static const enum ln_how hows[LN_ABI_HOW_COUNT] = {
    [LN_ABI_BY_TASK] = LN_HOW_TASK,
    [LN_ABI_BY_SOCKET] = LN_HOW_SOCKET,
    [LN_ABI_BY_CGROUP] = LN_HOW_CGROUP,
    [LN_ABI_AMBIGUOUS] = LN_HOW_AMBIGUOUS,
};

static const enum ln_wire_why wire_whys[LN_ABI_WIRE_COUNT] = {
    [LN_ABI_WIRE_CHANGED] = LN_WIRE_CHANGED,
    [LN_ABI_WIRE_ROUTED] = LN_WIRE_ROUTED,
    [LN_ABI_WIRE_SUBFLOW] = LN_WIRE_SUBFLOW,
};

static const enum ln_channel_kind channels[LN_ABI_CHANNEL_COUNT] = {
    [LN_ABI_RAW_SOCKET] = LN_CHANNEL_RAW_SOCKET,
    [LN_ABI_PACKET_SOCKET] = LN_CHANNEL_PACKET_SOCKET,
    [LN_ABI_OTHER_SOCKET] = LN_CHANNEL_OTHER_SOCKET,
    [LN_ABI_TUNNEL_DEVICE] = LN_CHANNEL_TUNNEL_DEVICE,
    [LN_ABI_UNIX_SOCKET] = LN_CHANNEL_UNIX_SOCKET,
    [LN_ABI_SOCKET_RECEIVED] = LN_CHANNEL_SOCKET_RECEIVED,
    [LN_ABI_RING_RECEIVED] = LN_CHANNEL_RING_RECEIVED,
    [LN_ABI_LISTEN] = LN_CHANNEL_LISTEN,
    [LN_ABI_PRIVILEGE] = LN_CHANNEL_PRIVILEGE,
    [LN_ABI_INJECTION] = LN_CHANNEL_INJECTION,
    [LN_ABI_ATTACK] = LN_CHANNEL_ATTACK,
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
	ev->exec.ns_pid = raw->ns_pid;
	ev->exec.cgroup_id = raw->cgroup_id;
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
	    .received = raw->flags & LN_ABI_FLOW_RECEIVED,
	    .passed = raw->flags & LN_ABI_FLOW_PASSED,
	    .inbound = raw->flags & LN_ABI_FLOW_INBOUND,
	    .refused = raw->flags & LN_ABI_FLOW_REFUSED,
	    .would_refuse = raw->flags & LN_ABI_FLOW_WOULD_REFUSE,
	    .remote = {.addr = ln_addr_make(raw->family, raw->remote), .port = raw->remote_port},
	    .netns = raw->netns,
	};
	if (raw->local_port) {
		ret->local.addr = ln_addr_make(raw->family, raw->local);
		ret->local.port = raw->local_port;
	}
	return 0;
}

static void decode_party(const struct ln_abi_party *raw, struct ln_party *ret)
{
	_Static_assert(sizeof(ret->comm) == sizeof(raw->comm), "one length of names");

	ret->pid = raw->pid;
	memcpy(ret->comm, raw->comm, sizeof(ret->comm));
	ret->comm[sizeof(ret->comm) - 1] = '\0';
}

static int decode_open(const void *record, size_t len, struct ln_event *ev)
{
	const struct ln_abi_flow_open *raw = record;
	struct ln_flow *flow = &ev->flow.flow;
	int r;

	if (len < sizeof(*raw) || raw->how >= LN_ABI_HOW_COUNT)
		return -EBADMSG;
	ev->kind = LN_EVENT_FLOW_OPEN;
	r = decode_flow(&raw->flow, flow);
	flow->how = hows[raw->how];
	decode_party(&raw->listener, &flow->listener);
	decode_party(&raw->other, &flow->other);
	return r;
}

static int decode_wire(const void *record, size_t len, struct ln_event *ev)
{
	const struct ln_abi_flow_wire *raw = record;
	int r;

	if (len < sizeof(*raw) || raw->why >= LN_ABI_WIRE_COUNT || raw->how >= LN_ABI_HOW_COUNT ||
	    (raw->wire_family != 4 && raw->wire_family != 6))
		return -EBADMSG;
	ev->kind = LN_EVENT_WIRE;
	r = decode_flow(&raw->flow, &ev->wire.flow);
	ev->wire.flow.how = hows[raw->how];
	ev->wire.why = wire_whys[raw->why];
	ev->wire.wire.addr = ln_addr_make(raw->wire_family, raw->wire);
	ev->wire.wire.port = raw->wire_port;
	return r;
}

static int decode_channel(struct ln_decoder *d, const void *record, size_t len, struct ln_event *ev)
{
	const struct ln_abi_channel_event *raw = record;
	struct ln_channel *c = &ev->channel;
	int r = 0;

	if (len < sizeof(*raw) || raw->channel == 0 || raw->channel >= LN_ABI_CHANNEL_COUNT ||
	    raw->how >= LN_ABI_HOW_COUNT || raw->path_len > LN_ABI_UNIX_MAX)
		return -EBADMSG;
	ev->kind = LN_EVENT_CHANNEL;
	c->kind = channels[raw->channel];
	c->how = hows[raw->how];
	c->family = raw->family;
	c->type = raw->type;
	c->number = raw->number;
	c->held_back = raw->held_back;
	c->syscall = raw->syscall ? ln_decode_syscall_text(raw->syscall - 1) : NULL;
	c->own_ns = raw->flags & LN_ABI_CHANNEL_OWN_NS;
	c->same_tree = raw->flags & LN_ABI_CHANNEL_SAME_TREE;
	c->abstract = raw->flags & LN_ABI_CHANNEL_ABSTRACT;
	c->refused = raw->flags & LN_ABI_CHANNEL_REFUSED;
	c->would_refuse = raw->flags & LN_ABI_CHANNEL_WOULD_REFUSE;
	c->existing = raw->flags & LN_ABI_CHANNEL_EXISTING;
	c->read_only = raw->flags & LN_ABI_CHANNEL_READ;
	c->cookie = raw->cookie;
	decode_party(&raw->other, &c->other);
	if (raw->flow.family != 0) {
		r = decode_flow(&raw->flow, &d->flow);
		/* A listener without a port has an address all the same. */
		d->flow.local.addr = ln_addr_make(raw->flow.family, raw->flow.local);
		c->flow = &d->flow;
	}
	c->path = raw->path_len ? raw->path : NULL;
	c->path_len = raw->path_len;
	return r;
}

static int decode_cgroup(struct ln_decoder *d, const void *record, size_t len, struct ln_event *ev)
{
	const struct ln_abi_cgroup *raw = record;
	const char *data = (const char *)(raw + 1);

	if (len < sizeof(*raw) || raw->len > LN_ABI_CGROUP_MAX || len < sizeof(*raw) + raw->len ||
	    (raw->len && data[raw->len - 1]))
		return -EBADMSG;
	ev->kind = LN_EVENT_CGROUP;
	ev->cgroup.id = raw->id;
	ev->cgroup.path = d->exe;
	ev->cgroup.path_len = join_path(data, raw->len, raw->h.flags & LN_ABI_CGROUP_CUT, d->exe);
	/* The root has no name. */
	if (raw->len == 0 && ev->cgroup.path_len == 0)
		ev->cgroup.path_len = join_path("", 1, false, d->exe);
	ev->cgroup.moved = raw->h.flags & LN_ABI_CGROUP_MOVED;
	ev->cgroup.uncovered = raw->h.flags & LN_ABI_CGROUP_UNCOVERED;
	return 0;
}

static int decode_close(const void *record, size_t len, struct ln_event *ev)
{
	const struct ln_abi_flow_close *raw = record;

	/* The log is read back with signed numbers. */
	if (len < sizeof(*raw) || raw->outcome >= LN_ABI_OUTCOME_COUNT ||
	    (raw->tx_bytes | raw->rx_bytes | raw->tx_packets | raw->rx_packets) > INT64_MAX)
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
	ev->dns.stranger = raw->h.flags & LN_ABI_DNS_STRANGER;
	ev->dns.question = raw->question;
	ev->dns.bytes = (const uint8_t *)(raw + 1);
	ev->dns.len = raw->len;
	return decode_flow(&raw->flow, &ev->dns.flow);
}

/* Nothing at all is only told to say that something is missing. */
static int decode_bytes(const void *record, size_t len, struct ln_event *ev)
{
	const struct ln_abi_bytes *raw = record;

	if (len < sizeof(*raw) || raw->len > LN_ABI_BYTES_MAX || len < sizeof(*raw) + raw->len ||
	    raw->h.flags & ~(LN_ABI_BYTES_IN | LN_ABI_BYTES_CUT) ||
	    (raw->len == 0 && !(raw->h.flags & LN_ABI_BYTES_CUT)))
		return -EBADMSG;
	if (raw->flow.proto != IPPROTO_TCP &&
	    (raw->flow.proto != IPPROTO_UDP || raw->offset >= LN_ABI_FIRST_PACKETS))
		return -EBADMSG;
	ev->kind = LN_EVENT_BYTES;
	ev->bytes.inbound = raw->h.flags & LN_ABI_BYTES_IN;
	ev->bytes.cut = raw->h.flags & LN_ABI_BYTES_CUT;
	ev->bytes.offset = raw->offset;
	ev->bytes.bytes = (const uint8_t *)(raw + 1);
	ev->bytes.len = raw->len;
	return decode_flow(&raw->flow, &ev->bytes.flow);
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
		ev.fork.child_ns_pid = ((const struct ln_abi_fork *)record)->child_ns_pid;
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
	case LN_ABI_FLOW_PROGRESS:
		r = decode_close(record, len, &ev);
		ev.kind = LN_EVENT_FLOW_PROGRESS;
		break;
	case LN_ABI_DNS:
		r = decode_dns(record, len, &ev);
		break;
	case LN_ABI_FLOW_WIRE:
		r = decode_wire(record, len, &ev);
		break;
	case LN_ABI_CHANNEL:
		r = decode_channel(d, record, len, &ev);
		break;
	case LN_ABI_CGROUP:
		r = decode_cgroup(d, record, len, &ev);
		break;
	case LN_ABI_BYTES:
		r = decode_bytes(record, len, &ev);
		break;
	default:
		return -EBADMSG;
	}
	if (r < 0)
		return r;
	*ret = ev;
	return 0;
}
