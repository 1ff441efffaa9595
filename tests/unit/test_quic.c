/* SPDX-License-Identifier: Apache-2.0 */
#include "quic_checks.h"
#include "quic_vectors.h"

#define POST_QUANTUM_SHARE 1216
#define ZERO_RTT           1
#define HANDSHAKE          2
#define RETRY              3

static struct wire from_hex(const char *hex)
{
	struct wire w = {.len = 0};
	unsigned int byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		put_number(&w, 1, byte);
	return w;
}

/* --- vectors ------------------------------------------------------------------------------- */

static void assert_vector(const char *hex)
{
	struct wire w = from_hex(hex);
	struct ln_quic *q = ln_quic_new();
	struct ln_tls_hello h;

	assert_int_equal(w.len, 1200);
	assert_true(ln_quic_maybe(w.bytes, w.len));
	assert_int_equal(put(q, &w, &h), 0);
	assert_hello(&h, "example.com");
	assert_string_equal(h.alpn, "alpn");
	ln_quic_free(&q);
}

static void rfc_9001_vector(void **state)
{
	assert_vector(rfc9001_a2);
}

static void rfc_9369_vector(void **state)
{
	assert_vector(rfc9369_a2);
}

/* What the tests below rely on: the fixture seals as the RFC does. */
static void fixture_seals_as_the_rfc(void **state)
{
	static const struct seal how = {.dcid = DCID, .number = 2, .number_len = 4, .pad_to = 1162};
	struct wire frames = whole_hello(), w = {.len = 0};
	struct secrets s1 = derive_secrets(V1, DCID), s2 = derive_secrets(V2, DCID);

	assert_memory_equal(s1.hp, "\x9f\x50\x44\x9e\x04\xa0\xe8\x10", 8);
	assert_memory_equal(s1.key, "\x1f\x36\x96\x13\xdd\x76\xd5\x46", 8);
	assert_memory_equal(s2.key, "\x8b\x1a\x0b\xc1\x21\x28\x42\x90", 8);
	put_initial(&w, &how, &frames);
	assert_known_after(&w, 1);
}

/* --- hostile bytes ------------------------------------------------------------------------- */

static void truncated_at_every_length(void **state)
{
	struct wire whole = from_hex(rfc9001_a2);

	for (size_t len = 0; len < 1200; len++) {
		struct wire w = whole;

		w.len = len;
		assert_never_known(&w, -EAGAIN);
		assert_int_equal(ln_quic_maybe(w.bytes, w.len), len >= 5);
	}
}

static void no_flipped_bit_authenticates(void **state)
{
	struct wire whole = from_hex(rfc9369_a2);

	for (size_t at = 0; at < 1200; at++) {
		struct wire w = whole;

		w.bytes[at] ^= (uint8_t)(1u << (at % 8));
		/* The length of the source's ID and of the token are inside, too. */
		assert_never_known(&w, -EAGAIN);
	}
}

static void is_maybe(void **state)
{
	static const struct {
		const char *bytes;
		bool maybe;
	} cases[] = {
	    {"\xc0\x00\x00\x00\x01", true},
	    {"\xd0\x6b\x33\x43\xcf", true},
	    {"\x80\x00\x00\x00\x01", true},  /* the fixed bit is greased */
	    {"\x40\x00\x00\x00\x01", false}, /* short header */
	    {"\xc0\x00\x00\x00\x02", true},
	    {"\xc0\x00\x00\x00\x00", false}, /* version negotiation */
	    {"\xc0\x1a\x2a\x3a\x4a", true},  /* a greased version */
	    {"\x16\xfe\xfd\x00\x00", false}, /* DTLS */
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(cases); i++)
		assert_int_equal(ln_quic_maybe((const uint8_t *)cases[i].bytes, 5), cases[i].maybe);
	assert_false(ln_quic_maybe(NULL, 0));
}

static void lengths_that_lie(void **state)
{
	static const char *const packets[] = {
	    "c00000000115",                               /* an ID of 21 bytes */
	    "c000000001ff0102",                           /* of 255 */
	    "c0000000010000ffffffffffffffff00",           /* a token without end */
	    "c00000000100007fffffff00",                   /* one beyond the datagram */
	    "c000000001000000ffffffffffffffff0000000000", /* a packet without end */
	    "c00000000100000000",                         /* one of no bytes */
	    "c0000000010000004013000000000000000000000000000000000000000000", /* no sample */
	    "f000000001000000", /* Retry is never a client's */
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(packets); i++) {
		struct wire w = from_hex(packets[i]);

		assert_never_known(&w, -EAGAIN);
	}
}

static void each_datagram_counts(void **state)
{
	struct wire junk = from_hex("00");
	struct wire bad = from_hex(rfc9001_a2);
	const struct wire *kinds[] = {&junk, &bad};

	bad.bytes[1199] ^= 1;
	for (size_t kind = 0; kind < LN_ARRAY_SIZE(kinds); kind++) {
		struct ln_quic *q = ln_quic_new();
		struct ln_tls_hello h;

		for (int i = 0; i < 15; i++)
			assert_int_equal(put(q, kinds[kind], &h), -EAGAIN);
		assert_int_equal(put(q, kinds[kind], &h), -EBADMSG);
		ln_quic_free(&q);
	}
}

static void many_packets_in_one_datagram_count(void **state)
{
	struct wire frames = {.len = 0}, w = {.len = 0};
	struct seal how = plain;

	put_number(&frames, 1, 1); /* PING */
	how.pad_to = 0;
	for (how.number = 0; how.number < 16; how.number++)
		put_initial(&w, &how, &frames);
	assert_never_known(&w, -EBADMSG);
}

/* A packet that nobody else could have sealed does not disturb the flow. */
static void junk_first_does_not_hide_the_hello(void **state)
{
	struct wire frames = whole_hello();
	struct seal wrong = plain;
	struct wire w[3];

	wrong.key_dcid = OTHER_DCID;
	w[0] = from_hex("ff0102030405");
	w[1] = datagram(&wrong, &frames);
	w[2] = datagram(&plain, &frames);
	assert_known_after(w, 3);
}

/* --- frames -------------------------------------------------------------------------------- */

static void put_pieces(struct wire *frames, const struct wire *hello, size_t each, bool backwards)
{
	size_t n = (hello->len + each - 1) / each;

	for (size_t i = 0; i < n; i++) {
		size_t at = (backwards ? n - 1 - i : i) * each;

		put_crypto(frames, hello, at, LN_MIN(each, hello->len - at));
		put_number(frames, 1, i % 2); /* PADDING or PING between them */
	}
}

static void crypto_in_any_order(void **state)
{
	struct wire hello = {.len = 0};

	put_hello(&hello, NAME, 32);
	for (int backwards = 0; backwards < 2; backwards++) {
		for (size_t each = 1; each <= hello.len; each++) {
			struct wire frames = {.len = 0};

			put_pieces(&frames, &hello, each, backwards);
			struct wire w = datagram(&plain, &frames);
			assert_known_after(&w, 1);
		}
	}
}

static void overlaps_and_copies(void **state)
{
	struct wire hello = {.len = 0}, frames = {.len = 0};

	put_hello(&hello, NAME, 32);
	put_crypto(&frames, &hello, 40, 60);
	put_crypto(&frames, &hello, 20, 40);
	put_crypto(&frames, &hello, 40, 60);
	put_crypto(&frames, &hello, 90, hello.len - 90);
	put_crypto(&frames, &hello, 0, 30);
	struct wire w = datagram(&plain, &frames);
	assert_known_after(&w, 1);
}

static void acks_are_read_over(void **state)
{
	struct wire frames = {.len = 0};

	for (unsigned int ecn = 0; ecn < 2; ecn++) {
		put_varint(&frames, 2 + ecn);
		put_varint(&frames, 0x123456);
		put_varint(&frames, 9);
		put_varint(&frames, 2);
		put_varint(&frames, 0);
		for (int i = 0; i < 4 + 3 * (int)ecn; i++)
			put_varint(&frames, 70000);
	}
	struct wire rest = whole_hello();
	put_bytes(&frames, rest.bytes, rest.len);
	struct wire w = datagram(&plain, &frames);
	assert_known_after(&w, 1);
}

static void frames_that_end_it(void **state)
{
	static const char *const cases[] = {
	    "1c00000568656c6c6f",     /* CONNECTION_CLOSE */
	    "08",                     /* a stream in an Initial */
	    "06c000000000",           /* cut */
	    "0600ffffffffffffffff00", /* CRYPTO without end */
	    "0200003fff",             /* an ACK of more ranges than there are bytes */
	    "0200",
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(cases); i++) {
		struct wire frames = from_hex(cases[i]);
		struct seal how = plain;

		how.pad_to = 0;
		while (frames.len < 20) /* nothing is read behind them */
			put_number(&frames, 1, 0xff);
		struct wire w = datagram(&how, &frames);
		assert_never_known(&w, -EBADMSG);
	}
}

/* The server has the hello by then, and so have we. */
static void what_came_before_the_end_is_taken(void **state)
{
	struct wire frames = whole_hello();

	put_number(&frames, 1, 0x1c);
	struct wire w = datagram(&plain, &frames);
	assert_known_after(&w, 1);
}

static void crypto_beyond_the_bound(void **state)
{
	static const uint64_t offsets[] = {16384, 16383, UINT32_MAX, (uint64_t)UINT32_MAX + 1,
					   ((uint64_t)1 << 62) - 1};
	struct wire hello = whole_hello();

	for (size_t i = 0; i < LN_ARRAY_SIZE(offsets); i++) {
		struct wire frames = {.len = 0};

		put_varint(&frames, 6);
		put_varint(&frames, offsets[i]);
		put_varint(&frames, 2);
		put_number(&frames, 2, 0xdead);
		put_bytes(&frames, hello.bytes, hello.len);
		struct wire w = datagram(&plain, &frames);
		assert_known_after(&w, 1);
	}
}

/* What was opened says that there was a hello, though its name is not known. */
static void what_is_there_when_no_more_comes(void **state)
{
	struct wire hello = {.len = 0}, frames = {.len = 0}, w = {.len = 0};
	struct ln_quic *q = ln_quic_new();
	struct ln_tls_hello h;

	assert_int_equal(ln_quic_cut(q, &h), -EBADMSG);
	ln_quic_free(&q);
	q = ln_quic_new();
	put_hello(&hello, NAME, 32);
	put_crypto(&frames, &hello, 0, hello.len / 2);
	put_initial(&w, &(struct seal){.dcid = DCID}, &frames);
	assert_int_equal(ln_quic_put(q, w.bytes, w.len, &h), -EAGAIN);
	assert_int_equal(ln_quic_cut(q, &h), 0);
	assert_true(h.has_name);
	assert_string_equal(h.name, "");
	assert_int_equal(ln_quic_put(q, w.bytes, w.len, &h), -EBADMSG);
	ln_quic_free(&q);
}

static void another_message_is_no_hello(void **state)
{
	struct wire message = {.len = 0}, frames = {.len = 0};

	put_number(&message, 4, 0x02000010); /* ServerHello */
	put_crypto(&frames, &message, 0, message.len);
	struct wire w = datagram(&plain, &frames);
	assert_never_known(&w, -EBADMSG);
}

/* --- packets ------------------------------------------------------------------------------- */

static void header_fields(void **state)
{
	static const struct seal cases[] = {
	    {.dcid = DCID, .token_len = 1},
	    {.dcid = DCID, .token_len = 300},
	    {.dcid = DCID, .version = V2, .token_len = 70},
	    {.dcid = DCID, .number = 77, .number_len = 1},
	    {.dcid = DCID, .number = 0x0fff, .number_len = 2},
	    {.dcid = DCID, .number = 0x0fffff, .number_len = 3},
	    {.dcid = DCID, .number = 0x0fffffff, .number_len = 4},
	    {.dcid = DCID, .flip = 0x0c}, /* reserved bits */
	    {.dcid = DCID, .flip = 0x40}, /* the fixed bit */
	};
	struct wire frames = whole_hello();

	for (size_t i = 0; i < LN_ARRAY_SIZE(cases); i++) {
		struct wire w = datagram(&cases[i], &frames);

		assert_known_after(&w, 1);
	}
}

/* One byte tells the number when what came before is known. */
static void numbers_go_on(void **state)
{
	struct wire hello = {.len = 0}, frames[3] = {{.len = 0}};
	struct seal how = plain;
	struct wire w[3];

	put_hello(&hello, NAME, 32);
	put_crypto(&frames[0], &hello, 0, 50);
	put_crypto(&frames[1], &hello, 50, 50);
	put_crypto(&frames[2], &hello, 100, hello.len - 100);
	how.number = 0x0ffe;
	how.number_len = 2;
	w[0] = datagram(&how, &frames[0]);
	how.number = 0x1003;
	how.number_len = 1;
	w[1] = datagram(&how, &frames[1]);
	how.number = 0x0fff; /* sent before, seen after */
	w[2] = datagram(&how, &frames[2]);
	assert_known_after(w, 3);
}

static void coalesced(void **state)
{
	struct wire hello = {.len = 0}, first = {.len = 0}, second = {.len = 0}, w = {.len = 0};
	struct seal how = {.dcid = DCID};

	put_hello(&hello, NAME, 32);
	put_crypto(&first, &hello, 0, 60);
	put_crypto(&second, &hello, 60, hello.len - 60);
	put_other(&w, ZERO_RTT, DCID, 90);
	put_initial(&w, &how, &second);
	put_other(&w, HANDSHAKE, DCID, 30);
	how.number = 1;
	put_initial(&w, &how, &first);
	put_zeros(&w, 100);
	assert_known_after(&w, 1);
}

static void nothing_is_read_behind_a_short_header(void **state)
{
	static const unsigned int heads[] = {0x40, 0xc0 | RETRY << 4};

	for (size_t i = 0; i < LN_ARRAY_SIZE(heads); i++) {
		struct wire frames = whole_hello(), w = {.len = 0};

		put_number(&w, 1, heads[i]);
		put_number(&w, 4, V1);
		put_initial(&w, &plain, &frames);
		assert_never_known(&w, -EAGAIN);
	}
}

/* As browsers do: a hello of two datagrams, in pieces without order, and both datagrams have
 * some of its beginning and of its end. */
static void post_quantum_hello(void **state)
{
	static const size_t cuts[] = {0, 1, 7, 400, 401, 650, 900, 1203, 1260, 1290, 1300};
	static const size_t orders[2][5] = {{6, 0, 3, 8, 5}, {2, 9, 1, 7, 4}};
	struct wire hello = {.len = 0}, w[2];
	struct seal how = plain;

	put_hello(&hello, NAME, POST_QUANTUM_SHARE);
	assert_true(hello.len > 1300);
	for (how.number = 0; how.number < 2; how.number++) {
		struct wire frames = {.len = 0};

		for (size_t i = 0; i < 5; i++) {
			size_t piece = orders[how.number][i], at = cuts[piece];

			put_crypto(&frames, &hello, at, cuts[piece + 1] - at);
			put_zeros(&frames, i);
			put_number(&frames, 1, 1);
		}
		if (how.number == 1)
			put_crypto(&frames, &hello, 1300, hello.len - 1300);
		w[how.number] = datagram(&how, &frames);
	}
	assert_known_after(w, 2);
	struct wire swapped[] = {w[1], w[0]};
	assert_known_after(swapped, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rfc_9001_vector),
	    cmocka_unit_test(rfc_9369_vector),
	    cmocka_unit_test(fixture_seals_as_the_rfc),
	    cmocka_unit_test(truncated_at_every_length),
	    cmocka_unit_test(no_flipped_bit_authenticates),
	    cmocka_unit_test(is_maybe),
	    cmocka_unit_test(lengths_that_lie),
	    cmocka_unit_test(each_datagram_counts),
	    cmocka_unit_test(many_packets_in_one_datagram_count),
	    cmocka_unit_test(junk_first_does_not_hide_the_hello),
	    cmocka_unit_test(crypto_in_any_order),
	    cmocka_unit_test(overlaps_and_copies),
	    cmocka_unit_test(acks_are_read_over),
	    cmocka_unit_test(frames_that_end_it),
	    cmocka_unit_test(what_came_before_the_end_is_taken),
	    cmocka_unit_test(crypto_beyond_the_bound),
	    cmocka_unit_test(what_is_there_when_no_more_comes),
	    cmocka_unit_test(another_message_is_no_hello),
	    cmocka_unit_test(header_fields),
	    cmocka_unit_test(numbers_go_on),
	    cmocka_unit_test(coalesced),
	    cmocka_unit_test(nothing_is_read_behind_a_short_header),
	    cmocka_unit_test(post_quantum_hello),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
