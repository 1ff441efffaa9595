/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alerts by POST, one at a time and in their order, through curl's multi interface: its sockets are
 * in one epoll descriptor, its timer is our deadline, names are looked up in a thread of its own.
 * What the server cannot take now is tried again (backoff.h); what waits is bounded.
 */
#include "sinks.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include "backoff.h"
#include "base/clock.h"
#include "curl_api.h"
#include "outbox.h"
#include "webhook_url.h"

#define WAITING_MAX        256
#define BYTES_MAX          (1U << 20)
#define CONNECT_TIMEOUT_MS 5000L
#define TIMEOUT_MS         10000L
#define GRACE_NS           (5 * LN_NS_PER_S)
#define EVENTS_MAX         16

struct webhook {
	struct ln_sink base;
	const struct ln_curl *curl; /* borrowed */
	struct ln_record record;
	struct ln_outbox outbox;
	CURLM *multi;               /* owned */
	CURL *easy;                 /* owned */
	struct curl_slist *headers; /* owned; holds the token */
	int epoll;                  /* owned */
	bool under_way;             /* the first of the outbox */
	unsigned failures;          /* of it */
	uint64_t next_ns;           /* no try before */
	uint64_t timer_ns;          /* curl's; UINT64_MAX none */
};

static struct webhook *webhook_of(struct ln_sink *s)
{
	return (struct webhook *)s;
}

static void on_header(struct ln_sink *s, const struct ln_sink_header *h)
{
	webhook_of(s)->record.netns = h->netns; /* a record then says what differs, as in the log */
}

static void on_finding(struct ln_sink *s, const struct ln_finding *f)
{
	struct webhook *w = webhook_of(s);

	if (f->alert)
		ln_outbox_put_record(&w->outbox, s, &w->record, f);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
	struct webhook *w = user;
	struct epoll_event ev = {
	    .events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0),
	    .data.fd = fd,
	};

	if (what == CURL_POLL_REMOVE)
		epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(w->epoll, EPOLL_CTL_MOD, fd, &ev) < 0 && errno == ENOENT)
		epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev);
	return 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *user)
{
	struct webhook *w = user;

	w->timer_ns =
	    timeout_ms < 0 ? UINT64_MAX : ln_clock_mono_ns() + (uint64_t)timeout_ms * LN_NS_PER_MS;
	return 0;
}

/* What it answers besides the status is not looked at. */
static size_t on_body(char *bytes, size_t size, size_t n, void *user)
{
	return size * n;
}

static void begin_next(struct webhook *w)
{
	const struct ln_message *m = ln_outbox_first(&w->outbox);

	/* Without the line break, and not copied: it stays the first until it is done. */
	w->curl->easy_setopt(w->easy, CURLOPT_POSTFIELDS, m->data);
	w->curl->easy_setopt(w->easy, CURLOPT_POSTFIELDSIZE, (long)(m->len - 1));
	w->under_way = w->curl->multi_add_handle(w->multi, w->easy) == CURLM_OK;
	if (!w->under_way) {
		ln_sink_failed(&w->base, "curl does not take the request");
		w->next_ns = ln_clock_mono_ns() + LN_NS_PER_S;
	}
}

static void message_over(struct webhook *w)
{
	ln_outbox_drop(&w->outbox);
	w->failures = 0;
	w->next_ns = 0;
	ln_outbox_put_owed(&w->outbox, &w->base, &w->record);
}

static void try_again(struct webhook *w)
{
	curl_off_t asked = 0;
	uint32_t random = 0;

	if (++w->failures >= LN_BACKOFF_TRIES) {
		w->base.dropped++;
		message_over(w);
		return;
	}
	w->curl->easy_getinfo(w->easy, CURLINFO_RETRY_AFTER, &asked);
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = UINT32_MAX;
	w->next_ns = ln_clock_mono_ns() +
		     ln_backoff_ns(w->failures, asked > 0 ? (uint64_t)asked : 0, random);
}

static void request_over(struct webhook *w, CURLcode code)
{
	long status = 0;

	w->curl->easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
	w->curl->multi_remove_handle(w->multi, w->easy);
	w->under_way = false;
	if (code != CURLE_OK) {
		ln_sink_failed(&w->base, "%s", w->curl->easy_strerror(code));
		try_again(w);
		return;
	}
	enum ln_answer answer = ln_backoff_answer(status);
	if (answer != LN_ANSWER_DONE)
		ln_sink_failed(&w->base, "it answered %ld%s", status,
			       status >= 300 && status < 400 ? "; redirects are not followed" : "");
	if (answer == LN_ANSWER_AGAIN) {
		try_again(w);
		return;
	}
	if (answer == LN_ANSWER_DONE)
		w->base.written++;
	else
		w->base.dropped++;
	message_over(w);
}

static void take_results(struct webhook *w)
{
	CURLMsg *msg;
	int left;

	while ((msg = w->curl->multi_info_read(w->multi, &left)) != NULL)
		if (msg->msg == CURLMSG_DONE)
			request_over(w, msg->data.result);
}

static void on_dispatch(struct ln_sink *s, uint64_t now_ns)
{
	struct webhook *w = webhook_of(s);
	struct epoll_event events[EVENTS_MAX];
	int running, n = epoll_wait(w->epoll, events, EVENTS_MAX, 0);

	for (int i = 0; i < n; i++) {
		int mask = (events[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
			   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			   (events[i].events & EPOLLERR ? CURL_CSELECT_ERR : 0);
		w->curl->multi_socket_action(w->multi, events[i].data.fd, mask, &running);
	}
	if (now_ns >= w->timer_ns) {
		w->timer_ns = UINT64_MAX; /* before: the call may set it anew */
		w->curl->multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	take_results(w);
	if (!w->under_way && w->outbox.n > 0 && now_ns >= w->next_ns)
		begin_next(w);
}

static int on_fd(struct ln_sink *s)
{
	return webhook_of(s)->epoll;
}

static uint64_t on_deadline(struct ln_sink *s)
{
	const struct webhook *w = webhook_of(s);

	return !w->under_way && w->outbox.n > 0 ? LN_MIN(w->timer_ns, w->next_ns) : w->timer_ns;
}

static size_t on_pending(struct ln_sink *s)
{
	return webhook_of(s)->outbox.n;
}

/* What waits for the end of a pause is tried at once: it is late or never. */
static void on_closing(struct ln_sink *s)
{
	webhook_of(s)->next_ns = 0;
}

static void on_free(struct ln_sink *s)
{
	struct webhook *w = webhook_of(s);

	if (w->under_way)
		w->curl->multi_remove_handle(w->multi, w->easy);
	w->curl->easy_cleanup(w->easy);
	w->curl->multi_cleanup(w->multi);
	for (struct curl_slist *h = w->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	w->curl->slist_free_all(w->headers);
	ln_closep(&w->epoll);
	ln_outbox_done(&w->outbox);
	ln_record_done(&w->record);
	free(w);
}

static bool add_header(struct webhook *w, const char *text)
{
	struct curl_slist *list = w->curl->slist_append(w->headers, text);

	w->headers = list ? list : w->headers;
	return list != NULL;
}

static bool add_token(struct webhook *w, const char *token)
{
	struct ln_buf b = {0};

	ln_buf_addf(&b, "Authorization: Bearer %s", token);
	bool good = !b.failed && add_header(w, ln_buf_text(&b));
	if (b.data)
		explicit_bzero(b.data, b.len);
	ln_buf_done(&b);
	return good;
}

#define SET(option, value) good = good && w->curl->easy_setopt(w->easy, option, value) == CURLE_OK

static bool set_up_request(struct webhook *w, const char *url, bool https)
{
	bool good = true;

	SET(CURLOPT_URL, url);
	SET(CURLOPT_PROTOCOLS_STR, https ? "https" : "http");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, ""); /* not that of the environment */
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTPHEADER, w->headers);
	SET(CURLOPT_USERAGENT, "linnet/" LINNET_VERSION);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	SET(CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* do not join the thread of a resolver that hangs */
	return good;
}

static bool set_up_multi(struct webhook *w)
{
	return w->curl->multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
	       w->curl->multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w) == CURLM_OK &&
	       w->curl->multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
	       w->curl->multi_setopt(w->multi, CURLMOPT_TIMERDATA, w) == CURLM_OK;
}

static int set_up(struct webhook *w, const struct ln_webhook_config *c, bool https,
		  struct ln_error *err)
{
	if (!w->multi || !w->easy || w->epoll < 0 ||
	    !add_header(w, "Content-Type: application/json") || !add_header(w, "Expect:") ||
	    (c->token && !add_token(w, c->token)) ||
	    ln_outbox_init(&w->outbox, WAITING_MAX, BYTES_MAX) < 0)
		return ln_error_set(err, ENOMEM, "webhook: out of memory");
	if (!set_up_multi(w) || !set_up_request(w, c->url, https))
		return ln_error_set(err, ENOTSUP,
				    "webhook: the curl library of this system is not fit for it");
	return 0;
}

/* Whose files of authorities these are was decided when the library was built. */
static void look_at_authorities(struct webhook *w)
{
	const char *file = w->curl->version_info(CURLVERSION_NOW)->cainfo;

	if (file && access(file, R_OK) < 0)
		ln_sink_failed(&w->base, "%s, the certificates of authorities: %s", file,
			       strerror(errno));
}

int ln_sink_webhook_new(const struct ln_webhook_config *c, struct ln_error *err,
			struct ln_sink **ret)
{
	static const struct ln_sink_ops ops = {
	    .name = "webhook",
	    .header = on_header,
	    .finding = on_finding,
	    .fd = on_fd,
	    .deadline = on_deadline,
	    .dispatch = on_dispatch,
	    .pending = on_pending,
	    .closing = on_closing,
	    .grace_ns = GRACE_NS,
	    .free = on_free,
	};
	bool https;

	const struct ln_curl *curl = NULL;
	int r = ln_curl_load(err, &curl);
	if (r < 0)
		return r;
	struct webhook *w = calloc(1, sizeof(*w));
	if (!w)
		return ln_error_set(err, ENOMEM, "out of memory");
	w->base.ops = &ops;
	w->curl = curl;
	w->record.redact.off = c->show_args;
	w->timer_ns = UINT64_MAX;
	w->multi = curl->multi_init();
	w->easy = curl->easy_init();
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = ln_webhook_url_check(c->url, curl, err, w->base.target, &https);
	if (r == 0)
		r = set_up(w, c, https, err);
	if (r < 0) {
		on_free(&w->base);
		return r;
	}
	if (https)
		look_at_authorities(w);
	*ret = &w->base;
	return 0;
}
