/* SPDX-License-Identifier: Apache-2.0 */
/* One connection whose packets change their name, version or keys. */
#include "quic_checks.h"

struct halves {
	struct wire first, second; /* frames */
};

static struct halves two_halves(const char *name)
{
	struct wire hello = {.len = 0};
	struct halves h = {.first = {.len = 0}};

	put_hello(&hello, name, 32);
	put_crypto(&h.first, &hello, 0, 60);
	put_crypto(&h.second, &hello, 60, hello.len - 60);
	return h;
}

/* The server may choose another ID for itself; the keys stay. */
static void keys_stay_when_the_server_is_renamed(void **state)
{
	struct halves h = two_halves(NAME);
	struct seal how = plain;
	struct wire w[2];

	w[0] = datagram(&how, &h.second);
	how.key_dcid = DCID;
	how.dcid = OTHER_DCID;
	how.number = 1;
	w[1] = datagram(&how, &h.first);
	assert_known_after(w, 2);
}

static void both_sides_agree_on_version_2(void **state)
{
	struct halves h = two_halves(NAME);
	struct seal how = plain;
	struct wire w[2];

	w[0] = datagram(&how, &h.first);
	how.version = V2;
	how.key_dcid = DCID;
	how.dcid = OTHER_DCID;
	how.number = 1;
	w[1] = datagram(&how, &h.second);
	assert_known_after(w, 2);
}

static void retry(void **state)
{
	struct halves before = two_halves("old.example.net"), after = two_halves(NAME);
	struct seal how = plain;
	struct wire w[3];

	w[0] = datagram(&how, &before.first);
	how.dcid = OTHER_DCID;
	how.token_len = 40;
	how.number = 1;
	w[1] = datagram(&how, &after.second);
	how.number = 2;
	w[2] = datagram(&how, &after.first);
	assert_known_after(w, 3);
}

/* A watch that begins in the middle: the keys of the first packet are not known. */
static void packets_of_unknown_keys_are_passed_over(void **state)
{
	struct wire frames = whole_hello();
	struct seal how = plain;
	struct wire w[2];

	how.key_dcid = OTHER_DCID;
	w[0] = datagram(&how, &frames);
	w[1] = datagram(&plain, &frames);
	assert_known_after(w, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_stay_when_the_server_is_renamed),
	    cmocka_unit_test(both_sides_agree_on_version_2),
	    cmocka_unit_test(retry),
	    cmocka_unit_test(packets_of_unknown_keys_are_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
