/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd-resolved's monitor says, and who listens to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/macros.h"
#include "dns/resolved_result.h"
#include "sensor/resolved.h"

/* As systemd-resolved 252 sent them; A of weather.service.com is 203.0.113.20, 60 s. */
#define KEY(t, n) "{\"class\":1,\"type\":" #t ",\"name\":\"" n "\"}"
#define WEATHER                                                                                    \
	"{\"rr\":{\"key\":" KEY(1, "weather.service.com") ",\"address\":[203,0,113,20]},"          \
							  "\"raw\":\"B3dlYXRoZXIHc2VydmljZQNjb20A" \
							  "AAEAAQAAADwABMsAcRQ=\",\"ifindex\":2}"
/* cdn.example.net A 192.0.2.7, 30 s; www.example.org CNAME cdn.example.net, 20 s */
#define CDN   "{\"raw\":\"A2NkbgdleGFtcGxlA25ldAAAAQABAAAAHgAEwAACBw==\"}"
#define ALIAS "{\"raw\":\"A3d3dwdleGFtcGxlA29yZwAABQABAAAAFAARA2NkbgdleGFtcGxlA25ldAA=\"}"
/* box.corp.example A 192.0.2.8 */
#define BOX                                                                                        \
	"{\"rr\":{\"key\":" KEY(                                                                   \
	    1, "box.corp.example") "},\"raw\":\"A2JveARjb3JwB2V4YW1wbGUAAAEAAQAAAB4ABMAAAgg=\"}"
#define SUCCESS(more) "{\"parameters\":{\"state\":\"success\"," more "},\"continues\":true}"

static struct {
	size_t n;
	char names[16][LN_NAME_MAX];
	struct ln_dns_addr first[16];
	char chain[LN_NAME_MAX];
} told;

static void note(const struct ln_dns_message *msg, void *user)
{
	memcpy(told.names[told.n], msg->qname, LN_NAME_MAX);
	told.first[told.n++] = msg->addrs[0];
	snprintf(told.chain, sizeof(told.chain), "%s", msg->n_chain ? msg->chain[0] : "");
}

static int read_text(const char *text)
{
	memset(&told, 0, sizeof(told));
	return ln_resolved_result_read(text, strlen(text), note, NULL);
}

static void assert_told(size_t i, const char *name, const char *addr, uint32_t ttl_s)
{
	struct ln_addr a;

	assert_true(i < told.n);
	assert_true(ln_addr_parse(addr, &a));
	assert_string_equal(told.names[i], name);
	assert_true(ln_addr_equal(&told.first[i].addr, &a));
	assert_int_equal(told.first[i].ttl_s, ttl_s);
}

static void test_an_answer(void **state)
{
	assert_int_equal(read_text(SUCCESS("\"question\":[" KEY(1, "weather.service.com") "," KEY(
			     28, "weather.service.com") "],\"answer\":[" WEATHER "]")),
			 0);
	assert_int_equal(told.n, 1);
	assert_told(0, "weather.service.com", "203.0.113.20", 60);
}

static void test_only_what_the_question_leads_to(void **state)
{
	assert_int_equal(read_text(SUCCESS("\"question\":[" KEY(
			     1, "www.example.org") "],\"answer\":[" WEATHER "," ALIAS "," CDN "]")),
			 0);
	assert_int_equal(told.n, 1);
	assert_told(0, "www.example.org", "192.0.2.7", 20);
	assert_string_equal(told.chain, "cdn.example.net");
	assert_int_equal(read_text(SUCCESS("\"question\":[" KEY(
			     1, "www.example.org") "],\"answer\":[" WEATHER "]")),
			 0);
	assert_int_equal(told.n, 0);
}

/* Resolved follows a CNAME by asking again: the names on the way are told along. */
static void test_names_that_led_to_the_question(void **state)
{
	assert_int_equal(
	    read_text(
		SUCCESS("\"question\":[" KEY(1, "cdn.example.net") "],\"collectedQuestions\":[" KEY(
		    1, "www.example."
		       "org") "," KEY(28, "www.example.org") "],\"answer\":[" CDN "]")),
	    0);
	assert_int_equal(told.n, 2);
	assert_told(0, "cdn.example.net", "192.0.2.7", 30);
	assert_told(1, "www.example.org", "192.0.2.7", 30);
}

static void test_a_single_label_under_a_search_domain(void **state)
{
	assert_int_equal(
	    read_text(SUCCESS("\"question\":[" KEY(1, "box") "],\"answer\":[" BOX "]")), 0);
	assert_int_equal(told.n, 1);
	assert_told(0, "box.corp.example", "192.0.2.8", 30);
	assert_int_equal(read_text(SUCCESS("\"question\":[" KEY(1, "bo") "],\"answer\":[" BOX "]")),
			 0);
	assert_int_equal(told.n, 0);
}

static void test_what_is_no_answer(void **state)
{
	assert_int_equal(read_text("{\"parameters\":{\"ready\":true},\"continues\":true}"), 0);
	assert_int_equal(read_text("{\"parameters\":{\"state\":\"rcode-failure\",\"rcode\":3,"
				   "\"question\":[" KEY(1, "a.example") "]}}"),
			 0);
	assert_int_equal(read_text(SUCCESS("\"question\":[" KEY(1, "a.example") "]")), 0);
	assert_int_equal(told.n, 0);
	assert_int_equal(read_text("{\"error\":\"org.varlink.service.MethodNotFound\"}"), -EBADMSG);
	assert_int_equal(read_text("[]"), -EBADMSG);
	assert_int_equal(read_text(""), -EBADMSG);
	assert_int_equal(read_text(SUCCESS("\"question\":[" KEY(
			     1, "a.example") "],\"answer\":[{\"raw\":\"%%%\"}]")),
			 -EBADMSG);
}

static void test_what_anybody_on_the_link_could_answer(void **state)
{
	assert_true(ln_resolved_result_trusted("api.example.com"));
	assert_false(ln_resolved_result_trusted("printer"));
	assert_false(ln_resolved_result_trusted("printer.local"));
	assert_false(ln_resolved_result_trusted("local"));
	assert_true(ln_resolved_result_trusted("notlocal.example"));
}

/* A server in its place, for one client. */
struct server {
	char dir[64], path[96];
	int fd, client;
};

static struct server serve(bool grants, struct ln_resolved **ret)
{
	struct server s = {.dir = "/tmp/linnet-test-resolved-XXXXXX"};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char call[256];

	assert_non_null(mkdtemp(s.dir));
	snprintf(s.path, sizeof(s.path), "%s/socket", s.dir);
	memcpy(sa.sun_path, s.path, strlen(s.path));
	s.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(s.fd, 1), 0);
	assert_int_equal(ln_resolved_new(s.path, grants, ret), 0);
	s.client = accept(s.fd, NULL, NULL);
	assert_true(s.client >= 0);
	assert_true(recv(s.client, call, sizeof(call), 0) > 0);
	assert_non_null(strstr(call, "\"io.systemd.Resolve.Monitor.SubscribeQueryResults\""));
	assert_non_null(strstr(call, "\"more\":true"));
	return s;
}

static void stop(struct server *s, struct ln_resolved **r)
{
	ln_resolved_free(r);
	ln_closep(&s->client);
	ln_closep(&s->fd);
	unlink(s->path);
	rmdir(s->dir);
}

static struct ln_event last;
static size_t events;

static void take(const struct ln_event *ev, void *user)
{
	last = *ev;
	events++;
}

static void test_the_client(void **state)
{
	static const char text[] =
	    SUCCESS("\"question\":[" KEY(1, "weather.service.com") "],\"answer\":[" WEATHER "]");
	struct ln_resolved *r = NULL;
	struct server s = serve(true, &r);

	events = 0;
	assert_int_equal(ln_resolved_dispatch(r, take, NULL), 0);
	/* In two pieces, and one more. */
	assert_int_equal(send(s.client, text, 50, 0), 50);
	assert_int_equal(ln_resolved_dispatch(r, take, NULL), 0);
	assert_int_equal(events, 0);
	assert_int_equal(send(s.client, text + 50, sizeof(text) - 50, 0), sizeof(text) - 50);
	assert_int_equal(send(s.client, text, sizeof(text), 0), sizeof(text));
	assert_int_equal(ln_resolved_dispatch(r, take, NULL), 0);
	assert_int_equal(events, 2);
	assert_int_equal(last.kind, LN_EVENT_NAME);
	assert_int_equal(last.agent, 0);
	assert_int_equal(last.name.evidence.source, LN_NAME_RESOLVED);
	assert_true(last.name.evidence.grants);
	assert_string_equal(last.name.evidence.name, "weather.service.com");
	ln_closep(&s.client);
	assert_int_equal(ln_resolved_dispatch(r, take, NULL), -EPIPE);
	stop(&s, &r);
	assert_int_equal(ln_resolved_new("/nowhere/at/all", true, &r), -ENOENT);
}

static void test_what_must_not_grant_only_names(void **state)
{
	static const char text[] =
	    SUCCESS("\"question\":[" KEY(1, "weather.service.com") "],\"answer\":[" WEATHER "]");
	struct ln_resolved *r = NULL;
	struct server s = serve(false, &r);

	assert_int_equal(send(s.client, text, sizeof(text), 0), sizeof(text));
	assert_int_equal(ln_resolved_dispatch(r, take, NULL), 0);
	assert_false(last.name.evidence.grants);
	stop(&s, &r);
}

static void test_a_message_without_an_end(void **state)
{
	char junk[4096];
	struct ln_resolved *r = NULL;
	struct server s = serve(true, &r);
	int error = 0;

	memset(junk, ' ', sizeof(junk));
	for (int i = 0; i < 1000 && error == 0; i++) {
		assert_int_equal(send(s.client, junk, sizeof(junk), 0), sizeof(junk));
		error = ln_resolved_dispatch(r, take, NULL);
	}
	assert_int_equal(error, -EPIPE);
	stop(&s, &r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_answer),
	    cmocka_unit_test(test_only_what_the_question_leads_to),
	    cmocka_unit_test(test_names_that_led_to_the_question),
	    cmocka_unit_test(test_a_single_label_under_a_search_domain),
	    cmocka_unit_test(test_what_is_no_answer),
	    cmocka_unit_test(test_what_anybody_on_the_link_could_answer),
	    cmocka_unit_test(test_the_client),
	    cmocka_unit_test(test_what_must_not_grant_only_names),
	    cmocka_unit_test(test_a_message_without_an_end),
	};

	return cmocka_run_group_tests_name("resolved", tests, NULL, NULL);
}
