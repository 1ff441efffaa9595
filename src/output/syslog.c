/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts as syslog messages (RFC 5424) to a datagram socket: the system's own, another path, or UDP
 * (RFC 5426). A name of a UDP receiver is looked up once, when the sink is made. */
#include "sinks.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include "base/clock.h"
#include "base/text.h"
#include "datagrams.h"
#include "rfc5424.h"

#define DEV_LOG "/dev/log"
#define PORT    "514"

struct syslog {
	struct ln_datagrams out;
	struct ln_rfc5424 message;
};

static struct syslog *syslog_of(struct ln_datagrams *d)
{
	return (struct syslog *)d;
}

static void add_line(struct syslog *y, const char *name, const char *label)
{
	size_t len;
	const char *value = ln_brief_field(&y->out.brief, label, &len);

	if (value)
		ln_rfc5424_param(&y->message, name, value, len);
}

static const struct ln_buf *tell_dropped(struct ln_datagrams *d, const char *text)
{
	struct syslog *y = syslog_of(d);

	ln_rfc5424_begin(&y->message, LN_SEVERITY_ERROR, ln_clock_wall_ns(), "alerts-dropped");
	ln_rfc5424_end(&y->message, text, strlen(text));
	return &y->message.text;
}

static const struct ln_buf *tell_alert(struct ln_datagrams *d, const struct ln_finding *f)
{
	struct syslog *y = syslog_of(d);
	const char *verdict = ln_verdict_text(f->verdict);
	struct ln_buf agent = {0};
	char pid[16];

	ln_rfc5424_begin(&y->message, y->out.brief.severity, f->wall_ns,
			 ln_finding_kind_text(f->kind));
	if (f->agent_name) {
		ln_text_escape(&agent, f->agent_name, strlen(f->agent_name));
		ln_rfc5424_param(&y->message, "agent", agent.data, agent.len);
		ln_buf_done(&agent);
	}
	snprintf(pid, sizeof(pid), "%u", f->pid);
	ln_rfc5424_param(&y->message, "pid", pid, strlen(pid));
	add_line(y, "command", "Command");
	add_line(y, "destination", "Destination");
	ln_rfc5424_param(&y->message, "verdict", verdict, strlen(verdict));
	add_line(y, "action", "Action");
	ln_rfc5424_end(&y->message, y->out.brief.line.data, y->out.brief.line.len);
	return &y->message.text;
}

static void on_free(struct ln_sink *s)
{
	struct syslog *y = (struct syslog *)s;

	ln_datagrams_done(&y->out);
	ln_buf_done(&y->message.text);
	free(y);
}

/* "host:port", "[::1]:port"; the port may be missing. False: too long, or nothing. */
static bool split_host(const char *text, char host[256], char port[16])
{
	bool literal = text[0] == '[';
	const char *end = literal ? strchr(text, ']') : text + strcspn(text, ":");

	text += literal;
	if (!end || end == text || end - text >= 256)
		return false;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	end += literal;
	if (*end != ':' && *end != '\0')
		return false;
	return (size_t)snprintf(port, 16, "%s", *end ? end + 1 : PORT) < 16 && port[0] != '\0';
}

/* A name that is not known now stays unknown: said at the start, and each alert is counted. */
static int to_udp(struct syslog *y, const char *text, struct ln_error *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_protocol = IPPROTO_UDP};
	struct addrinfo *found = NULL;
	char host[256], port[16];

	if (!split_host(text, host, port))
		return ln_error_set(err, EINVAL, "syslog: \"udp://%s\" is not udp://host:port",
				    text);
	int r = getaddrinfo(host, port, &hints, &found);
	if (r != 0) {
		ln_sink_failed(&y->out.base, "%s: %s", host, gai_strerror(r));
		return 0;
	}
	memcpy(&y->out.to, found->ai_addr, found->ai_addrlen);
	y->out.to_len = found->ai_addrlen;
	y->out.fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	freeaddrinfo(found);
	if (y->out.fd < 0)
		return ln_error_set(err, errno, "syslog: %s", strerror(errno));
	r = ln_datagrams_probe(&y->out);
	if (r < 0)
		ln_sink_failed(&y->out.base, "%s", strerror(-r));
	return 0;
}

static int to_path(struct syslog *y, const char *path, struct ln_error *err)
{
	int r = ln_datagrams_to_path(&y->out, path);

	if (r < 0)
		return ln_error_set(err, -r, "syslog: %s: %s", path, strerror(-r));
	r = ln_datagrams_probe(&y->out);
	if (r < 0)
		ln_sink_failed(&y->out.base, "%s", strerror(-r));
	return 0;
}

static int find_receiver(struct syslog *y, const char *address, struct ln_error *err)
{
	if (!address)
		return to_path(y, DEV_LOG, err);
	if (address[0] == '/')
		return to_path(y, address, err);
	if (strncmp(address, "unix:/", 6) == 0)
		return to_path(y, address + 5, err);
	if (strncmp(address, "udp://", 6) == 0)
		return to_udp(y, address + 6, err);
	return ln_error_set(err, EINVAL, "syslog: \"%s\" is neither udp://host:port nor unix:/path",
			    address);
}

int ln_sink_syslog_new(const struct ln_syslog_config *c, struct ln_error *err, struct ln_sink **ret)
{
	static const struct ln_datagrams_words words = {tell_alert, tell_dropped};
	static const struct ln_sink_ops ops = {
	    .name = "syslog",
	    LN_DATAGRAMS_OPS,
	    .free = on_free,
	};
	struct syslog *y = calloc(1, sizeof(*y));

	if (!y)
		return ln_error_set(err, ENOMEM, "out of memory");
	int r = ln_datagrams_init(&y->out, &ops, &words);
	y->out.brief.alert.redact.off = c->show_args;
	snprintf(y->out.base.target, sizeof(y->out.base.target), "%s",
		 c->address ? c->address : DEV_LOG);
	ln_rfc5424_init(&y->message);
	if (r < 0)
		r = ln_error_set(err, -r, "out of memory");
	else
		r = find_receiver(y, c->address, err);
	if (r < 0) {
		on_free(&y->out.base);
		return r;
	}
	*ret = &y->out.base;
	return 0;
}
