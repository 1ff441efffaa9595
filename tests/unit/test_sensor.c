/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder: what the kernel side writes becomes the right event, what is short is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "sensor/decode.h"

#define OFFSET_NS 1000000

static struct ln_decoder decoder = {.wall_offset_ns = OFFSET_NS};

static struct ln_abi_header header(enum ln_abi_kind kind)
{
	return (struct ln_abi_header){
	    .kind = kind, .agent = 7, .time_ns = 5000, .pid = 100, .tid = 101};
}

/* Every length below the whole is refused, and *ret stays as it was. */
static void refuse_shorter(const void *record, size_t whole)
{
	for (size_t len = 0; len < whole; len++) {
		struct ln_event ev = {.kind = LN_EVENT_COUNT};

		assert_int_equal(ln_decode(&decoder, record, len, &ev), -EBADMSG);
		assert_int_equal(ev.kind, LN_EVENT_COUNT);
	}
}

static void test_fork(void **state)
{
	struct ln_abi_fork raw = {.h = header(LN_ABI_FORK), .child = 102};
	struct ln_event ev;

	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	assert_int_equal(ev.kind, LN_EVENT_FORK);
	assert_int_equal(ev.agent, 7);
	assert_int_equal(ev.pid, 100);
	assert_int_equal(ev.tid, 101);
	assert_int_equal(ev.fork.child, 102);
	assert_int_equal(ev.time_ns, 5000);
	assert_int_equal(ev.wall_ns, 5000 + OFFSET_NS);
	refuse_shorter(&raw, sizeof(raw));
}

static void test_exit(void **state)
{
	struct ln_abi_exit raw = {.h = header(LN_ABI_EXIT), .code = 0x300};
	struct ln_event ev;

	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	assert_int_equal(ev.kind, LN_EVENT_EXIT);
	assert_int_equal(ev.exit.status, 0x300);
	refuse_shorter(&raw, sizeof(raw));
}

struct exec_record {
	struct ln_abi_exec ev;
	char data[2 * LN_ABI_EXE_MAX + LN_ABI_ARGS_MAX];
};

static size_t make_exec(struct exec_record *r, const char *parts, size_t parts_len,
			const char *args, size_t args_len, uint16_t flags)
{
	r->ev = (struct ln_abi_exec){
	    .h = header(LN_ABI_EXEC), .exe_len = parts_len, .args_len = args_len};
	r->ev.h.flags = flags;
	memcpy(r->data, parts, parts_len);
	memcpy(r->data + parts_len, args, args_len);
	return sizeof(r->ev) + parts_len + args_len;
}

static void test_exec(void **state)
{
	static struct exec_record r;
	size_t len = make_exec(&r, "python3\0bin\0usr", 16, "python3\0x.py", 13, 0);
	struct ln_event ev;

	assert_int_equal(ln_decode(&decoder, &r, len, &ev), 0);
	assert_int_equal(ev.kind, LN_EVENT_EXEC);
	assert_string_equal(ev.exec.exe, "/usr/bin/python3");
	assert_int_equal(ev.exec.exe_len, 16);
	assert_int_equal(ev.exec.args_len, 13);
	assert_memory_equal(ev.exec.args, "python3\0x.py", 13);
	assert_false(ev.exec.cut);
	refuse_shorter(&r, len);
}

static void test_exec_cut(void **state)
{
	static struct exec_record r;
	struct ln_event ev;
	size_t len;

	len = make_exec(&r, "leaf\0deep", 10, "a", 2, LN_ABI_EXEC_EXE_CUT);
	assert_int_equal(ln_decode(&decoder, &r, len, &ev), 0);
	assert_string_equal(ev.exec.exe, "…/deep/leaf");
	len = make_exec(&r, "", 0, "", 0, LN_ABI_EXEC_ARGS_BAD);
	assert_int_equal(ln_decode(&decoder, &r, len, &ev), 0);
	assert_string_equal(ev.exec.exe, "");
	assert_true(ev.exec.cut);
	len = make_exec(&r, "x", 2, "a", 2, LN_ABI_EXEC_ARGS_CUT);
	assert_int_equal(ln_decode(&decoder, &r, len, &ev), 0);
	assert_true(ev.exec.cut);
}

/* The longest path that the kernel side can write: the last component reaches over the bound. */
static void test_exec_longest_path(void **state)
{
	static struct exec_record r;
	static char parts[LN_ABI_EXE_MAX + 255];
	struct ln_event ev;
	size_t len;

	memset(parts, 'p', sizeof(parts));
	for (size_t i = 255; i < sizeof(parts); i += 256)
		parts[i] = '\0';
	parts[sizeof(parts) - 1] = '\0';
	len = make_exec(&r, parts, sizeof(parts), "", 0, LN_ABI_EXEC_EXE_CUT);
	assert_int_equal(ln_decode(&decoder, &r, len, &ev), 0);
	assert_int_equal(ev.exec.exe_len, strlen("…") + sizeof(parts));
	/* Without the closing NUL the parts cannot be told from the arguments. */
	r.data[sizeof(parts) - 1] = 'p';
	assert_int_equal(ln_decode(&decoder, &r, len, &ev), -EBADMSG);
	r.ev.exe_len = 2 * LN_ABI_EXE_MAX;
	assert_int_equal(ln_decode(&decoder, &r, sizeof(r), &ev), -EBADMSG);
}

static struct ln_abi_flow flow4(uint16_t flags)
{
	return (struct ln_abi_flow){.id = 0x10001,
				    .netns = 3,
				    .family = 4,
				    .proto = 6,
				    .flags = flags,
				    .remote_port = 443,
				    .local_port = 50000,
				    .remote = {104, 28, 14, 6},
				    .local = {10, 0, 0, 2}};
}

static void test_flow_open(void **state)
{
	struct ln_abi_flow_open raw = {.h = header(LN_ABI_FLOW_OPEN)};
	char text[LN_ENDPOINT_TEXT_MAX];
	struct ln_event ev;

	raw.flow = flow4(LN_ABI_FLOW_SAME_TREE | LN_ABI_FLOW_MPTCP);
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	assert_int_equal(ev.kind, LN_EVENT_FLOW_OPEN);
	assert_int_equal(ev.flow.flow.id, 0x10001);
	assert_string_equal(ln_endpoint_format(&ev.flow.flow.remote, text), "104.28.14.6:443");
	assert_string_equal(ln_endpoint_format(&ev.flow.flow.local, text), "10.0.0.2:50000");
	assert_true(ev.flow.flow.same_tree);
	assert_true(ev.flow.flow.mptcp);
	assert_false(ev.flow.flow.existing);
	assert_false(ev.flow.flow.uncounted);
	raw.flow = flow4(LN_ABI_FLOW_EXISTING | LN_ABI_FLOW_UNCOUNTED);
	raw.flow.local_port = 0;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	assert_true(ev.flow.flow.existing);
	assert_true(ev.flow.flow.uncounted);
	assert_int_equal(ev.flow.flow.local.addr.family, 0);
	refuse_shorter(&raw, sizeof(raw));
	raw.flow.family = 5;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
}

static void test_flow_close(void **state)
{
	static const enum ln_outcome expected[LN_ABI_OUTCOME_COUNT] = {
	    LN_OUTCOME_NONE,  LN_OUTCOME_CONNECTED,   LN_OUTCOME_REFUSED, LN_OUTCOME_TIMED_OUT,
	    LN_OUTCOME_RESET, LN_OUTCOME_UNREACHABLE, LN_OUTCOME_ABORTED, LN_OUTCOME_BLOCKED};
	struct ln_abi_flow_close raw = {.h = header(LN_ABI_FLOW_CLOSE),
					.open_ns = 4000,
					.tx_bytes = 1,
					.rx_bytes = 2,
					.tx_packets = 3,
					.rx_packets = 4};
	struct ln_event ev;

	raw.flow = flow4(LN_ABI_FLOW_EVICTED);
	for (int i = 0; i < LN_ABI_OUTCOME_COUNT; i++) {
		raw.outcome = i;
		assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
		assert_int_equal(ev.flow.end.outcome, expected[i]);
	}
	assert_int_equal(ev.flow.end.open_ns, 4000);
	assert_int_equal(ev.flow.end.tx_bytes, 1);
	assert_int_equal(ev.flow.end.rx_bytes, 2);
	assert_int_equal(ev.flow.end.tx_packets, 3);
	assert_int_equal(ev.flow.end.rx_packets, 4);
	assert_true(ev.flow.end.evicted);
	refuse_shorter(&raw, sizeof(raw));
	raw.rx_bytes = (uint64_t)INT64_MAX + 1;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
	raw.rx_bytes = INT64_MAX;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	raw.outcome = LN_ABI_OUTCOME_COUNT;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
}

static void test_dns(void **state)
{
	struct {
		struct ln_abi_dns ev;
		uint8_t bytes[16];
	} raw = {.ev = {.h = header(LN_ABI_DNS), .len = 12}, .bytes = "message"};
	struct ln_event ev;

	raw.ev.flow = flow4(0);
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw.ev) + 12, &ev), 0);
	assert_int_equal(ev.kind, LN_EVENT_DNS);
	assert_false(ev.dns.answer);
	assert_false(ev.dns.cut);
	assert_int_equal(ev.dns.len, 12);
	assert_memory_equal(ev.dns.bytes, "message", 7);
	raw.ev.h.flags = LN_ABI_DNS_ANSWER | LN_ABI_DNS_CUT;
	/* The record may be longer than the message: room comes in two sizes. */
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	assert_true(ev.dns.answer);
	assert_true(ev.dns.cut);
	assert_int_equal(ev.dns.len, 12);
	assert_false(ev.dns.stranger);
	raw.ev.h.flags = LN_ABI_DNS_ANSWER | LN_ABI_DNS_STRANGER;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	assert_true(ev.dns.stranger);
	refuse_shorter(&raw, sizeof(raw.ev) + 12);
	raw.ev.len = LN_ABI_DNS_MAX + 1;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
}

static void test_bytes(void **state)
{
	struct {
		struct ln_abi_bytes ev;
		uint8_t bytes[16];
	} raw = {.ev = {.h = header(LN_ABI_BYTES), .offset = 8190, .len = 12}, .bytes = "\x16\x03"};
	struct ln_event ev;

	raw.ev.flow = flow4(0);
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw.ev) + 12, &ev), 0);
	assert_int_equal(ev.kind, LN_EVENT_BYTES);
	assert_int_equal(ev.bytes.flow.id, 0x10001);
	assert_int_equal(ev.bytes.flow.remote.port, 443);
	assert_false(ev.bytes.inbound);
	assert_false(ev.bytes.cut);
	assert_int_equal(ev.bytes.offset, 8190);
	assert_int_equal(ev.bytes.len, 12);
	assert_memory_equal(ev.bytes.bytes, "\x16\x03", 3);
	refuse_shorter(&raw, sizeof(raw.ev) + 12);
	raw.ev.h.flags = LN_ABI_BYTES_IN | LN_ABI_BYTES_CUT;
	/* The record may be longer than what it holds: room comes in several sizes. */
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	assert_true(ev.bytes.inbound && ev.bytes.cut);
	assert_int_equal(ev.bytes.len, 12);
}

static void test_bytes_refused(void **state)
{
	struct {
		struct ln_abi_bytes ev;
		uint8_t bytes[LN_ABI_BYTES_MAX + 1];
	} raw = {.ev = {.h = header(LN_ABI_BYTES), .len = LN_ABI_BYTES_MAX}};
	struct ln_event ev;

	raw.ev.flow = flow4(0);
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	raw.ev.len++;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
	/* Nothing, for no reason. */
	raw.ev.len = 0;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
	raw.ev.h.flags = LN_ABI_BYTES_CUT;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	raw.ev.h.flags = 0x4;
	raw.ev.len = 1;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
	raw.ev.h.flags = 0;
	/* Of UDP only the first packets. */
	raw.ev.flow.proto = 17;
	raw.ev.offset = LN_ABI_FIRST_PACKETS - 1;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), 0);
	raw.ev.offset = LN_ABI_FIRST_PACKETS;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
	raw.ev.flow.proto = 1;
	raw.ev.offset = 0;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
	raw.ev.flow.proto = 6;
	raw.ev.flow.family = 5;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
}

static void test_cgroup(void **state)
{
	struct {
		struct ln_abi_cgroup ev;
		char parts[32];
	} r = {
	    .ev = {.h = header(LN_ABI_CGROUP), .id = 77},
	    .parts = "x.service\0system.slice",
	};
	struct ln_event ev;

	r.ev.len = sizeof("x.service\0system.slice");
	r.ev.h.flags = LN_ABI_CGROUP_UNCOVERED;
	refuse_shorter(&r, sizeof(r.ev) + r.ev.len);
	assert_int_equal(ln_decode(&decoder, &r, sizeof(r), &ev), 0);
	assert_int_equal(ev.kind, LN_EVENT_CGROUP);
	assert_int_equal(ev.cgroup.id, 77);
	assert_string_equal(ev.cgroup.path, "/system.slice/x.service");
	assert_true(ev.cgroup.uncovered && !ev.cgroup.moved);
	r.ev.h.flags = LN_ABI_CGROUP_MOVED | LN_ABI_CGROUP_CUT;
	assert_int_equal(ln_decode(&decoder, &r, sizeof(r), &ev), 0);
	assert_string_equal(ev.cgroup.path, "…/system.slice/x.service");
	assert_true(!ev.cgroup.uncovered && ev.cgroup.moved);
	/* The root of the tree has no name. */
	r.ev.len = 0;
	r.ev.h.flags = 0;
	assert_int_equal(ln_decode(&decoder, &r, sizeof(r), &ev), 0);
	assert_string_equal(ev.cgroup.path, "/");
	assert_int_equal(ev.cgroup.path_len, 1);
	r.ev.len = LN_ABI_CGROUP_MAX + 1;
	assert_int_equal(ln_decode(&decoder, &r, sizeof(r), &ev), -EBADMSG);
}

static void test_unknown_kind(void **state)
{
	struct ln_abi_flow_close raw = {.h = header(LN_ABI_BYTES + 1)};
	struct ln_event ev;

	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
	raw.h.kind = 0;
	assert_int_equal(ln_decode(&decoder, &raw, sizeof(raw), &ev), -EBADMSG);
}

static void test_lost_texts(void **state)
{
	for (int i = 0; i < LN_ABI_LOST_COUNT; i++) {
		assert_non_null(ln_decode_lost_text(i));
		assert_true(strlen(ln_decode_lost_text(i)) > 0);
	}
	assert_string_equal(ln_decode_lost_text(LN_ABI_LOST_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fork),
	    cmocka_unit_test(test_exit),
	    cmocka_unit_test(test_exec),
	    cmocka_unit_test(test_exec_cut),
	    cmocka_unit_test(test_exec_longest_path),
	    cmocka_unit_test(test_flow_open),
	    cmocka_unit_test(test_flow_close),
	    cmocka_unit_test(test_dns),
	    cmocka_unit_test(test_bytes),
	    cmocka_unit_test(test_bytes_refused),
	    cmocka_unit_test(test_cgroup),
	    cmocka_unit_test(test_unknown_kind),
	    cmocka_unit_test(test_lost_texts),
	};

	return cmocka_run_group_tests_name("sensor", tests, NULL, NULL);
}
