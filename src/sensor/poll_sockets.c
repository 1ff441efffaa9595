/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <netinet/in.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include "poll_sockets.h"

/* From netinet/tcp.h, which cannot be included beside linux/tcp.h. */
enum {
	STATE_ESTABLISHED = 1,
	STATE_SYN_RECV = 3,
	STATE_TIME_WAIT = 6,
	STATE_CLOSE = 7,
	STATE_CLOSE_WAIT = 8,
	STATE_LAST_ACK = 9,
	STATE_CLOSING = 11,
};
#define STATE_BIT(s) (1U << (s))
#define TCP_STATES   (0xfffU & ~(STATE_BIT(STATE_SYN_RECV) | STATE_BIT(STATE_TIME_WAIT) | 1U))
#define UDP_STATES   (STATE_BIT(STATE_ESTABLISHED) | STATE_BIT(STATE_CLOSE))

#define LINE_MAX_BYTES 512 /* the kernel writes 150 to 250 */

struct ln_poll_diag {
	struct mnl_socket *nl; /* owned */
	unsigned int seq;
	char buf[32768] __attribute__((aligned(8)));
};

struct dump {
	struct ln_poll_sockets *out;
	uint64_t netns;
	uint8_t proto;
};

void ln_poll_sockets_done(struct ln_poll_sockets *s)
{
	free(s->rows);
	*s = (struct ln_poll_sockets){0};
}

void ln_poll_sockets_reset(struct ln_poll_sockets *s)
{
	s->n = 0;
}

static void append(struct ln_poll_sockets *s, const struct ln_poll_socket *row)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct ln_poll_socket *rows = NULL;

		if (cap <= LN_POLL_SOCKETS_MAX)
			rows = reallocarray(s->rows, cap, sizeof(*rows));
		if (!rows) {
			s->refused++;
			return;
		}
		s->rows = rows;
		s->cap = cap;
	}
	s->rows[s->n++] = *row;
}

static int by_inode(const void *a, const void *b)
{
	const struct ln_poll_socket *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

void ln_poll_sockets_sort(struct ln_poll_sockets *s)
{
	if (s->n)
		qsort(s->rows, s->n, sizeof(*s->rows), by_inode);
}

struct ln_poll_socket *ln_poll_sockets_find(const struct ln_poll_sockets *s, uint64_t inode)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->rows[mid].inode < inode)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n && s->rows[low].inode == inode ? &s->rows[low] : NULL;
}

int ln_poll_diag_new(struct ln_poll_diag **ret)
{
	struct ln_poll_diag *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!d->nl || mnl_socket_bind(d->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int code = errno;

		ln_poll_diag_free(&d);
		return -code;
	}
	*ret = d;
	return 0;
}

void ln_poll_diag_free(struct ln_poll_diag **d)
{
	if (*d && (*d)->nl)
		mnl_socket_close((*d)->nl);
	free(*d);
	*d = NULL;
}

/* The payload bytes: bytes_acked would count SYN and FIN as one each, and bytes_received counts
 * the peer's FIN (tcp_fin). Fields that an older kernel does not send read as zero. */
static void take_info(const struct nlattr *attr, struct ln_poll_socket *row)
{
	struct tcp_info info = {0};
	size_t len = mnl_attr_get_payload_len(attr);
	bool fin = row->state == STATE_CLOSE_WAIT || row->state == STATE_LAST_ACK ||
		   row->state == STATE_CLOSING;

	memcpy(&info, mnl_attr_get_payload(attr), LN_MIN(len, sizeof(info)));
	if (len >= offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(info.tcpi_bytes_retrans))
		row->tx_bytes = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
	else
		row->tx_bytes = info.tcpi_bytes_acked ? info.tcpi_bytes_acked - 1 : 0;
	row->rx_bytes = info.tcpi_bytes_received;
	if (fin && row->rx_bytes)
		row->rx_bytes--;
	row->tx_packets = info.tcpi_segs_out;
	row->rx_packets = info.tcpi_segs_in;
	row->counted = true;
}

static int on_message(const struct nlmsghdr *nlh, void *data)
{
	struct dump *dump = data;
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	struct ln_poll_socket row = {.netns = dump->netns, .proto = dump->proto};
	uint8_t family;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*msg) || !msg->idiag_inode)
		return MNL_CB_OK;
	family = msg->idiag_family == AF_INET ? 4 : 6;
	row.inode = msg->idiag_inode;
	row.state = msg->idiag_state;
	row.local.addr = ln_addr_make(family, msg->id.idiag_src);
	row.local.port = ntohs(msg->id.idiag_sport);
	row.remote.addr = ln_addr_make(family, msg->id.idiag_dst);
	row.remote.port = ntohs(msg->id.idiag_dport);
	mnl_attr_for_each(attr, nlh, sizeof(*msg))
	{
		if (mnl_attr_get_type(attr) == INET_DIAG_SKV6ONLY &&
		    mnl_attr_get_payload_len(attr) >= sizeof(uint8_t))
			row.v6only = mnl_attr_get_u8(attr);
		else if (mnl_attr_get_type(attr) == INET_DIAG_INFO && dump->proto == IPPROTO_TCP)
			take_info(attr, &row);
	}
	append(dump->out, &row);
	return MNL_CB_OK;
}

/* The older request: it gives both families in one walk over the kernel's table of connections,
 * which is large and costs more than all the rest of a look (kernel: inet_diag_dump_compat). */
static void put_tcp(struct nlmsghdr *nlh)
{
	struct inet_diag_req *req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));

	nlh->nlmsg_type = TCPDIAG_GETSOCK;
	req->idiag_states = TCP_STATES;
	req->idiag_ext = 1 << (INET_DIAG_INFO - 1);
}

static void put_udp(struct nlmsghdr *nlh, uint8_t family)
{
	struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	req->sdiag_family = family;
	req->sdiag_protocol = IPPROTO_UDP;
	req->idiag_states = UDP_STATES;
}

static int dump_one(struct ln_poll_diag *d, uint8_t family, struct dump *dump)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(d->buf);
	unsigned int port = mnl_socket_get_portid(d->nl);
	ssize_t len;
	int r;

	if (dump->proto == IPPROTO_TCP)
		put_tcp(nlh);
	else
		put_udp(nlh, family);
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++d->seq;
	if (mnl_socket_sendto(d->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(d->nl, d->buf, sizeof(d->buf));
		if (len < 0)
			return -errno;
		r = mnl_cb_run(d->buf, len, d->seq, port, on_message, dump);
	} while (r > MNL_CB_STOP);
	return r < 0 ? -errno : 0;
}

int ln_poll_diag_dump(struct ln_poll_diag *d, uint64_t netns, struct ln_poll_sockets *s)
{
	struct dump tcp = {.out = s, .netns = netns, .proto = IPPROTO_TCP};
	struct dump udp = {.out = s, .netns = netns, .proto = IPPROTO_UDP};
	int r = dump_one(d, AF_UNSPEC, &tcp);

	if (r == 0)
		r = dump_one(d, AF_INET, &udp);
	if (r == 0)
		r = dump_one(d, AF_INET6, &udp);
	return r;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

struct cursor {
	const char *p, *end;
};

/* The next word, of at least one byte; blanks before it are skipped. */
static bool next_word(struct cursor *c, const char **ret, size_t *ret_len)
{
	const char *start;

	while (c->p < c->end && *c->p == ' ')
		c->p++;
	start = c->p;
	while (c->p < c->end && *c->p != ' ')
		c->p++;
	*ret = start;
	*ret_len = c->p - start;
	return *ret_len > 0;
}

static bool parse_hex(const char *s, size_t len, uint32_t *ret)
{
	uint32_t value = 0;

	if (!len || len > 8)
		return false;
	for (size_t i = 0; i < len; i++) {
		int digit = hex_digit(s[i]);

		if (digit < 0)
			return false;
		value = value << 4 | digit;
	}
	*ret = value;
	return true;
}

/* "0100007F:1F90": 32-bit words in the byte order of this machine, the port as a number. */
static bool parse_endpoint(const char *s, size_t len, struct ln_endpoint *ret)
{
	uint32_t words[4], port;
	size_t hex = len < 5 ? 0 : len - 5;

	if ((hex != 8 && hex != 32) || s[hex] != ':' || !parse_hex(s + hex + 1, 4, &port))
		return false;
	for (size_t i = 0; i < hex / 8; i++)
		if (!parse_hex(s + i * 8, 8, &words[i]))
			return false;
	ret->addr = ln_addr_make(hex == 8 ? 4 : 6, words);
	ret->port = port;
	return true;
}

static bool parse_inode(const char *s, size_t len, uint64_t *ret)
{
	uint64_t value = 0;

	if (!len || len > 19)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		value = value * 10 + (s[i] - '0');
	}
	*ret = value;
	return true;
}

bool ln_poll_procnet_line(const char *line, size_t len, uint8_t proto, struct ln_poll_socket *ret)
{
	struct cursor c = {line, line + len};
	struct ln_poll_socket row = {.proto = proto};
	const char *word;
	size_t n;
	uint32_t state;

	if (!next_word(&c, &word, &n) || word[n - 1] != ':')
		return false;
	if (!next_word(&c, &word, &n) || !parse_endpoint(word, n, &row.local))
		return false;
	if (!next_word(&c, &word, &n) || !parse_endpoint(word, n, &row.remote))
		return false;
	if (!next_word(&c, &word, &n) || !parse_hex(word, n, &state) || state > 31)
		return false;
	/* queues, timer, retransmits, uid, timeout */
	for (int i = 0; i < 5; i++)
		if (!next_word(&c, &word, &n))
			return false;
	if (!next_word(&c, &word, &n) || !parse_inode(word, n, &row.inode))
		return false;
	row.state = state;
	*ret = row;
	return true;
}

static void take_line(const char *line, size_t len, struct dump *dump)
{
	uint32_t states = dump->proto == IPPROTO_TCP ? TCP_STATES : UDP_STATES;
	struct ln_poll_socket row;

	if (!ln_poll_procnet_line(line, len, dump->proto, &row) || !row.inode ||
	    !(states & STATE_BIT(row.state)))
		return;
	row.netns = dump->netns;
	append(dump->out, &row);
}

static int read_lines(int fd, struct dump *dump)
{
	char buf[16384];
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, buf + have, sizeof(buf) - have)) > 0) {
		char *start = buf, *end;

		have += n;
		while ((end = memchr(start, '\n', buf + have - start))) {
			take_line(start, end - start, dump);
			start = end + 1;
		}
		have -= start - buf;
		if (have > LINE_MAX_BYTES)
			return -EPROTO;
		memmove(buf, start, have);
	}
	return n < 0 ? -errno : 0;
}

int ln_poll_procnet_read(int proc_fd, uint32_t pid, uint64_t netns, struct ln_poll_sockets *s)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} tables[] = {{"tcp", IPPROTO_TCP},
		      {"tcp6", IPPROTO_TCP},
		      {"udp", IPPROTO_UDP},
		      {"udp6", IPPROTO_UDP}};

	for (size_t i = 0; i < LN_ARRAY_SIZE(tables); i++) {
		struct dump dump = {.out = s, .netns = netns, .proto = tables[i].proto};
		char path[48];
		LN_AUTO_CLOSE int fd = -1;
		int r;

		snprintf(path, sizeof(path), "%u/net/%s", pid, tables[i].name);
		fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT && i % 2 == 1)
			continue; /* a kernel without IPv6 */
		if (fd < 0)
			return -errno;
		r = read_lines(fd, &dump);
		if (r < 0)
			return r;
	}
	return 0;
}
