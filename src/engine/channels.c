/* SPDX-License-Identifier: Apache-2.0 */
/* Ways out that are no flow, and what prepares them. Each kind has a judge; what is told is told
 * first at once and then counted, as with flows. */
#include "internal.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include "daemons.h"
#include "places.h"
#include "policy/pattern.h"
#include "words.h"

#define PORT_MDNS 5353

/* It writes the subject (e->subject) and what makes another one the same (e->same), and sets
 * verdict, title and reason. Verdict NONE, no title: only logged. */
typedef void (*judge_fn)(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f);

static void tell(struct ln_finding *f, const char *title, const char *reason)
{
	f->verdict = LN_VERDICT_UNEXPECTED;
	f->title = title;
	f->reason = reason;
}

static void add_number(struct ln_buf *out, const char *name, uint32_t number)
{
	if (name)
		ln_buf_adds(out, name);
	else
		ln_buf_addf(out, "%u", number);
}

/* The protocol of an IP socket; some have no number that fits into a packet. */
static void add_protocol(struct ln_buf *out, uint32_t number)
{
	if (number == IPPROTO_MPTCP)
		ln_buf_adds(out, "MPTCP");
	else
		add_number(out, number <= UINT8_MAX ? ln_proto_name((uint8_t)number) : NULL,
			   number);
}

/* "PID 812 ssh" */
static void add_party(struct ln_buf *out, const struct ln_party *p)
{
	if (p->pid != 0)
		ln_buf_addf(out, "PID %u", p->pid);
	else
		ln_buf_adds(out, "an unknown process");
	if (p->comm[0] != '\0')
		ln_buf_addf(out, " %s", p->comm);
}

/* What one program does is not what another does. */
static void add_exe(struct ln_engine *e, const struct ln_finding *f)
{
	if (f->proc && f->proc->exe)
		ln_buf_adds(&e->same, f->proc->exe);
}

static void judge_raw(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	ln_buf_addf(&e->subject, "raw %s socket, protocol ",
		    c->family == AF_INET6 ? "IPv6" : "IPv4");
	add_protocol(&e->subject, c->number);
	ln_buf_addf(&e->same, "%u %u ", c->family, c->number);
	add_exe(e, f);
	tell(f, "RAW SOCKET", "Raw sockets send what no rule can allow.");
}

static void judge_packet(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	const char *type = ln_socktype_text(c->type);

	add_number(&e->subject, ln_family_text(c->family), c->family);
	ln_buf_addf(&e->subject, " socket%s%s", type ? ", " : "", type ? type : "");
	ln_buf_addf(&e->same, "%u ", c->family);
	add_exe(e, f);
	tell(f, "PACKET SOCKET", "Packet sockets send past every rule.");
}

static void judge_other(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	bool ip = c->family == AF_INET || c->family == AF_INET6;

	if (ip) {
		add_protocol(&e->subject, c->number);
		ln_buf_addf(&e->subject, " socket over %s", c->family == AF_INET ? "IPv4" : "IPv6");
	} else {
		add_number(&e->subject, ln_family_text(c->family), c->family);
		ln_buf_addf(&e->subject, " socket, protocol %u", c->number);
	}
	ln_buf_addf(&e->same, "%u %u ", c->family, c->number);
	add_exe(e, f);
	tell(f, "UNFOLLOWED SOCKET",
	     c->refused ? "No rule can allow traffic of this kind."
			: "Traffic of this kind is not followed.");
}

static void judge_tunnel(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	ln_buf_adds(&e->subject, "/dev/net/tun");
	add_exe(e, f);
	tell(f, "TUNNEL DEVICE", "What goes through a tunnel is not judged.");
}

/* NULs inside an abstract name are shown as "@", as /proc/net/unix does. */
static void add_path(struct ln_buf *out, const struct ln_channel *c)
{
	size_t len = c->path_len;

	if (c->abstract)
		ln_buf_addc(out, '@');
	else if (c->path)
		len = strnlen(c->path, len);
	for (size_t i = 0; i < len; i++)
		ln_buf_addc(out, c->path[i] ? c->path[i] : '@');
	if (len == 0 && !c->abstract)
		ln_buf_adds(out, "UNIX socket without a name");
}

/* However it is spelled. */
static void add_same_path(struct ln_buf *out, const struct ln_channel *c)
{
	struct ln_socket_name name;

	if (ln_socket_name_make(c->path, c->path_len, c->abstract, &name))
		ln_buf_add(out, name.text, name.len);
	else if (c->path)
		ln_buf_add(out, c->path, c->path_len);
}

static void judge_unix_rules(struct ln_engine *e, const struct ln_channel *c,
			     const struct ln_daemon *daemon, struct ln_finding *f)
{
	if (daemon)
		tell(f, "PROXYING DAEMON",
		     "This daemon acts for whoever asks, and is not in expected_unix.");
	else if (ln_policy_polices_unix(e->policy))
		tell(f, "UNEXPECTED UNIX SOCKET", "UNIX socket not in expected_unix.");
	else
		f->reason = "outside the tree; the policy has no expected_unix";
}

static void judge_unix(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	const struct ln_daemon *daemon = c->same_tree ? NULL : ln_daemon_find(c);
	const struct ln_rule *over;

	add_path(&e->subject, c);
	if (daemon || c->other.pid != 0) {
		ln_buf_adds(&e->subject, " (");
		if (daemon)
			ln_buf_adds(&e->subject, daemon->name);
		if (daemon && c->other.pid != 0)
			ln_buf_adds(&e->subject, ", ");
		if (c->other.pid != 0)
			add_party(&e->subject, &c->other);
		ln_buf_addc(&e->subject, ')');
	}
	add_same_path(&e->same, c);
	if (c->same_tree) {
		f->verdict = LN_VERDICT_INTERNAL;
		f->reason = "to a process of the same agent";
		return;
	}
	f->rule =
	    ln_policy_match_unix(e->policy, c->path, c->path_len, c->abstract, ln_engine_wall_s(e));
	if (f->rule) {
		f->verdict = LN_VERDICT_EXPECTED;
		return;
	}
	judge_unix_rules(e, c, daemon, f);
	over = ln_policy_match_unix(e->policy, c->path, c->path_len, c->abstract, 0);
	if (f->title && over)
		f->reason = ln_judge_over_reason(e, over);
	if (f->title)
		f->hint = ln_hint_unix(e, c, daemon ? daemon->does : NULL);
}

static void add_endpoints(struct ln_buf *out, const struct ln_flow *flow)
{
	char text[LN_ENDPOINT_TEXT_MAX];

	if (flow->local.port != 0)
		ln_buf_addf(out, ", from %s", ln_endpoint_format(&flow->local, text));
	if (flow->remote.port != 0)
		ln_buf_addf(out, ", to %s", ln_endpoint_format(&flow->remote, text));
}

/* A UNIX socket for input and output is what a service manager gives: who is at the other end is
 * told when it is a daemon that acts for others. */
static void judge_received(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	if (c->flow)
		add_protocol(&e->subject, c->flow->proto);
	else
		add_number(&e->subject, ln_family_text(c->family), c->family);
	ln_buf_adds(&e->subject, " socket of ");
	add_party(&e->subject, &c->other);
	if (c->flow)
		add_endpoints(&e->subject, c->flow);
	ln_buf_addf(&e->same, "%u %u", c->family, c->other.pid);
	if (c->family == AF_UNIX && !ln_daemon_find(c))
		f->reason = "a UNIX socket from outside the tree";
	else
		tell(f, LN_TITLE_RECEIVED, LN_REASON_RECEIVED);
}

static void judge_ring(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	ln_buf_adds(&e->subject, "io_uring of ");
	add_party(&e->subject, &c->other);
	ln_buf_addf(&e->same, "%u", c->other.pid);
	tell(f, "RING RECEIVED", "Ring was made outside the agent, which can send through it.");
}

static void judge_listen(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	const struct ln_flow none = {0}, *flow = c->flow ? c->flow : &none;
	const struct ln_endpoint *local = &flow->local;
	const struct ln_rule *over;
	bool dns = local->port == LN_PORT_DNS &&
		   (flow->proto == IPPROTO_UDP || flow->proto == IPPROTO_TCP);
	char text[LN_ENDPOINT_TEXT_MAX];

	ln_buf_addf(&e->subject, "listening on %s/", ln_endpoint_format(local, text));
	add_protocol(&e->subject, flow->proto);
	ln_buf_adds(&e->same, ln_buf_text(&e->subject));
	if (!dns && ln_addr_is_loopback(&local->addr)) {
		f->reason = "listens on loopback only";
		return;
	}
	f->rule =
	    ln_policy_match_inbound(e->policy, flow->proto, local->port, NULL, ln_engine_wall_s(e));
	if (f->rule) {
		f->verdict = LN_VERDICT_EXPECTED;
		return;
	}
	if (flow->proto == IPPROTO_UDP && local->port == PORT_MDNS) {
		f->reason = "mDNS: libraries listen there for names of the local network";
		return;
	}
	if (dns)
		tell(f, "DNS SERVER", "Agent can answer its own questions for names.");
	else
		tell(f, LN_TITLE_INBOUND, "Listening port not in expected_inbound.");
	over = ln_policy_match_inbound(e->policy, flow->proto, local->port, NULL, 0);
	if (over)
		f->reason = ln_judge_over_reason(e, over);
	f->hint = ln_hint_inbound(e, flow->proto, local->port, NULL);
}

static void judge_privilege(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	const char *name = ln_capability_text(c->number);

	if (!name)
		ln_buf_adds(&e->subject, "capability ");
	add_number(&e->subject, name, c->number);
	if (c->syscall)
		ln_buf_addf(&e->subject, " by %s(2)", c->syscall);
	ln_buf_addf(&e->same, "%u ", c->number);
	add_exe(e, f);
	if (c->own_ns)
		f->reason = "in a user namespace that the agent made: it reaches no other";
	else if (c->read_only)
		f->reason = "only to look: by a system call that changes nothing";
	else
		tell(f, "PRIVILEGE USED", "Capability that opens ways past every rule.");
}

static void judge_injection(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	add_party(&e->subject, &c->other);
	if (c->syscall)
		ln_buf_addf(&e->subject, ", by %s(2)", c->syscall);
	ln_buf_addf(&e->same, "%u", c->other.pid);
	tell(f, "INJECTION",
	     "Process outside the agent was taken over; it is watched from now on.");
}

static void judge_attack(struct ln_engine *e, const struct ln_channel *c, struct ln_finding *f)
{
	const char *name = sigabbrev_np((int)c->number);

	ln_buf_adds(&e->subject, "linnet itself");
	if (c->number != 0)
		ln_buf_addf(&e->subject, ", by signal %u%s%s", c->number, name ? " SIG" : "",
			    name ? name : "");
	if (c->syscall)
		ln_buf_addf(&e->subject, "%s %s(2)", c->number != 0 ? " of" : ", by", c->syscall);
	ln_buf_addf(&e->same, "%u %s", c->number, c->syscall ? c->syscall : "");
	tell(f, "LINNET ATTACKED", "Agent reaches for the watch itself.");
}

void ln_channels_take(struct ln_engine *e, const struct ln_event *ev)
{
	static const judge_fn judges[] = {
	    [LN_CHANNEL_RAW_SOCKET] = judge_raw,      [LN_CHANNEL_PACKET_SOCKET] = judge_packet,
	    [LN_CHANNEL_OTHER_SOCKET] = judge_other,  [LN_CHANNEL_TUNNEL_DEVICE] = judge_tunnel,
	    [LN_CHANNEL_UNIX_SOCKET] = judge_unix,    [LN_CHANNEL_SOCKET_RECEIVED] = judge_received,
	    [LN_CHANNEL_RING_RECEIVED] = judge_ring,  [LN_CHANNEL_LISTEN] = judge_listen,
	    [LN_CHANNEL_PRIVILEGE] = judge_privilege, [LN_CHANNEL_INJECTION] = judge_injection,
	    [LN_CHANNEL_ATTACK] = judge_attack,
	};
	_Static_assert(LN_ARRAY_SIZE(judges) == LN_CHANNEL_COUNT, "a judge for each kind");
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_CHANNEL);

	f.channel = &ev->channel;
	f.flow = ev->channel.flow;
	ln_buf_reset(&e->subject);
	ln_buf_reset(&e->same);
	judges[f.channel->kind](e, f.channel, &f);
	f.subject = ln_buf_text(&e->subject);
	if (f.flow && f.flow->remote.port != 0)
		f.place = ln_place_text(&f.flow->remote.addr);
	e->sum.channels++;
	if (f.rule) {
		e->rule_hits[f.rule->id]++;
		f.reason = ln_judge_reason(
		    e, NULL, &(struct ln_judgement){.verdict = f.verdict, .match.rule = f.rule});
	}
	if (f.title) {
		e->sum.channels_unexpected++;
		ln_repeats_take(e, &f);
	}
	if (f.repeat_of != 0)
		f.hint = NULL;
	ln_engine_emit(e, &f);
}
