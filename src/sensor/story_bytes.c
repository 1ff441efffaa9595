/* SPDX-License-Identifier: Apache-2.0 */
/* What a flow of a story carries. */
#include "story.h"

#include <errno.h>
#include <string.h>

#define BYTES_MAX 4096 /* as in one record of the kernel side */

static int digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int ln_story_hex(const char *hex, struct ln_error *err, uint8_t *buf, size_t size, size_t *ret_len)
{
	size_t n = strlen(hex) / 2;

	if (strlen(hex) % 2 || n > size)
		return ln_error_set(err, EINVAL, "hex: an odd number of digits, or too many");
	for (size_t i = 0; i < n; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return ln_error_set(err, EINVAL, "hex: only 0-9 and a-f");
		buf[i] = (uint8_t)(high << 4 | low);
	}
	*ret_len = n;
	return 0;
}

static int take_hex(struct ln_story *s, const char *hex, struct ln_event *ev, struct ln_error *err)
{
	uint8_t bytes[BYTES_MAX];
	int r = ln_story_hex(hex, err, bytes, sizeof(bytes), &ev->bytes.len);

	return r < 0 ? r : ln_story_copy(s, bytes, ev->bytes.len, err, &ev->bytes.bytes);
}

static int take_text(struct ln_story *s, const char *text, size_t len, struct ln_event *ev,
		     struct ln_error *err)
{
	if (len > BYTES_MAX)
		return ln_error_set(err, EINVAL, "text: more than %d bytes", BYTES_MAX);
	ev->bytes.len = len;
	return ln_story_copy(s, text, len, err, &ev->bytes.bytes);
}

int ln_story_bytes(struct ln_story *s, json_t *body, struct ln_event *ev, struct ln_error *err)
{
	const char *proto = "TCP", *remote, *hex = NULL, *text = NULL;
	json_int_t id, offset = 0;
	int in = 0, cut = 0, r;
	size_t text_len = 0;
	json_error_t wrong;

	ev->kind = LN_EVENT_BYTES;
	if (json_unpack_ex(body, &wrong, JSON_STRICT,
			   "{s:I, s:i, s:s, s?s, s?b, s?b, s?I, s?s, s?s%}", "id", &id, "pid",
			   &ev->pid, "remote", &remote, "proto", &proto, "in", &in, "cut", &cut,
			   "offset", &offset, "hex", &hex, "text", &text, &text_len) < 0)
		return ln_story_wrong(&wrong, err);
	if (!hex == !text)
		return ln_error_set(err, EINVAL, "give hex or text");
	if (offset < 0 || offset > UINT32_MAX)
		return ln_error_set(err, EINVAL, "offset is out of range");
	ev->bytes.flow.id = (uint64_t)id;
	ev->bytes.inbound = in;
	ev->bytes.cut = cut;
	ev->bytes.offset = (uint32_t)offset;
	r = ln_story_proto(proto, err, &ev->bytes.flow.proto);
	if (r == 0)
		r = ln_story_endpoint(remote, err, &ev->bytes.flow.remote);
	if (r == 0)
		r = hex ? take_hex(s, hex, ev, err) : take_text(s, text, text_len, ev, err);
	return r < 0 ? r : ln_story_add(s, ev, err);
}
