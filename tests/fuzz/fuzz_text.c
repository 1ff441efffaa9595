/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes on their way to a terminal, a log, a summary or syslog; and as the arguments of a
 * program, a NUL after each. What comes out can be shown, and JSON is JSON. */
#include <jansson.h>
#include "output/markdown.h"
#include "output/redact.h"
#include "output/rfc5424.h"
#include "text_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(const struct ln_buf *text)
{
	json_t *value = json_loadb(text->data, text->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	require(json_is_string(value));
	json_decref(value);
}

static void check_code(const struct ln_buf *text)
{
	require(text->len >= 2 && text->data[0] == '`' && text->data[text->len - 1] == '`');
	require(!memchr(text->data + 1, '`', text->len - 2));
	require(!memchr(text->data, '|', text->len) && !memchr(text->data, '<', text->len));
}

static void check_syslog(const char *shown, size_t len)
{
	struct ln_rfc5424 m = {.pid = 0};

	ln_rfc5424_init(&m);
	ln_rfc5424_begin(&m, LN_SEVERITY_WARNING, 1, "flow-open");
	ln_rfc5424_param(&m, "command", shown, len);
	ln_rfc5424_end(&m, shown, len);
	require(m.text.len <= LN_RFC5424_MAX);
	ln_buf_done(&m.text);
}

/* Nothing is longer for it but by the word that stands for a secret. */
static void check_arguments(const char *args, size_t size)
{
	struct ln_redact r = {0};

	ln_redact_start(&r);
	for (size_t at = 0; at < size;) {
		size_t len = strnlen(args + at, size - at), kept = len;
		const char *arg = ln_redact_arg(&r, args + at, &kept);

		require(arg != NULL && kept <= 2 * len + sizeof(LN_REDACTED));
		at += len + 1;
	}
	ln_redact_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ln_buf shown = {0}, word = {0}, json = {0}, code = {0};

	ln_text_escape(&shown, data, size);
	ln_text_escape_word(&word, data, size);
	ln_text_json(&json, data, size);
	ln_markdown_code(&code, ln_buf_text(&shown));
	require_shown(shown.data, shown.len, false);
	require_shown(word.data, word.len, false);
	require_shown(json.data, json.len, false);
	require_shown(code.data, code.len, false);
	check_json(&json);
	check_code(&code);
	check_syslog(ln_buf_text(&shown), shown.len);
	check_arguments((const char *)data, size);
	ln_buf_done(&shown);
	ln_buf_done(&word);
	ln_buf_done(&json);
	ln_buf_done(&code);
	return 0;
}
