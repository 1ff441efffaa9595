/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a record of the ring buffer: refused, or an event whose pointers stay inside. */
#include <stdlib.h>
#include <string.h>
#include "sensor/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
	if (!promise)
		abort();
}

/* Reads every byte of it: the sanitizer says when one is not ours. */
static void touch(const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		(void)((const volatile uint8_t *)bytes)[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ln_decoder decoder;
	/* Records in the ring are aligned to eight bytes. */
	void *record = aligned_alloc(8, (size + 8) & ~(size_t)7);
	struct ln_event ev;

	if (!record)
		return 0;
	memcpy(record, data, size);
	if (ln_decode(&decoder, record, size, &ev) == 0) {
		require(ev.kind < LN_EVENT_COUNT);
		if (ev.kind == LN_EVENT_EXEC) {
			require(strlen(ev.exec.exe) == ev.exec.exe_len);
			touch(ev.exec.exe, ev.exec.exe_len);
			touch(ev.exec.args, ev.exec.args_len);
		} else if (ev.kind == LN_EVENT_DNS) {
			touch(ev.dns.bytes, ev.dns.len);
		} else if (ev.kind == LN_EVENT_BYTES) {
			require(ev.bytes.len > 0 || ev.bytes.cut);
			require(ev.bytes.len <= LN_ABI_BYTES_MAX);
			touch(ev.bytes.bytes, ev.bytes.len);
		} else if (ev.kind == LN_EVENT_FLOW_OPEN || ev.kind == LN_EVENT_FLOW_CLOSE) {
			require(ev.flow.flow.remote.addr.family == 4 ||
				ev.flow.flow.remote.addr.family == 6);
			require(ev.flow.end.outcome < LN_OUTCOME_COUNT);
		}
	}
	free(record);
	return 0;
}
