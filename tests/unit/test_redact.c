/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "output/describe.h"
#include "output/redact.h"

#define R          LN_REDACTED
#define ARGS(text) (char *)(text), sizeof(text)

/* One argument through the redactor. */
static void check_redact(const char *in, const char *want)
{
	struct ln_redact r = {0};
	size_t len = strlen(in);
	const char *out = ln_redact_arg(&r, in, &len);

	if (len != strlen(want) || memcmp(out, want, len) != 0)
		fail_msg("%s became %.*s, not %s", in, (int)len, out, want);
	ln_redact_done(&r);
}

static void test_redact_hides(void **state)
{
	static const char *const cases[][2] = {
	    {"--password=a b;c", "--password=" R},
	    {"password=x", "password=" R},
	    {"PGPASSWORD=p@ss,word", "PGPASSWORD=" R},
	    {"MYSQL_PASSWD=x", "MYSQL_PASSWD=" R},
	    {"client_secret=x", "client_secret=" R},
	    {"--api-key=x", "--api-key=" R},
	    {"API_KEY=x", "API_KEY=" R},
	    {"apiKey:x", "apiKey:" R},
	    {"AWS_SECRET_ACCESS_KEY=a/b+c", "AWS_SECRET_ACCESS_KEY=" R},
	    {"X-Api-Key: abc", "X-Api-Key: " R},
	    {"Authorization: Bearer a.b.c", "Authorization: " R},
	    {"authorization:Digest username=\"u\", response=\"1\"",
	     "authorization:" R "\"u\", response=\"1\""},
	    {"curl -H 'Authorization: Basic dTpw' http://e.example",
	     "curl -H 'Authorization: " R "' http://e.example"},
	    {"see bearer abcdef12345", "see bearer " R},
	    {"{\"token\": \"a b\", \"user\": \"u\"}", "{\"token\": \"" R "\", \"user\": \"u\"}"},
	    {"{'password':'x'}", "{'password':'" R "'}"},
	    {"TOKEN=abc curl http://e.example", "TOKEN=" R " curl http://e.example"},
	    {"https://e.example/?a=1&access_token=abc&b=2",
	     "https://e.example/?a=1&access_token=" R "&b=2"},
	    {"postgres://user:p@ss@db.example:5432/x", "postgres://user:" R "@db.example:5432/x"},
	    {"git+https://u:1@e.example https://v:2@e.example",
	     "git+https://u:" R "@e.example https://v:" R "@e.example"},
	    {"sk-abcdefghijklmnop1234", "sk-" R},
	    {"key is sk-proj-Ab1_cdefghijklmnop1234-x.", "key is sk-" R "."},
	    {"https://ghp_0123456789abcdefghij@github.example", "https://ghp_" R "@github.example"},
	    {"AKIAIOSFODNN7EXAMPLE1", "AKIA" R},
	    {"glpat-0123456789abcdef0123", "glpat-" R},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(cases); i++)
		check_redact(cases[i][0], cases[i][1]);
}

static void test_redact_leaves_the_rest(void **state)
{
	static const char *const cases[] = {
	    "",
	    "/opt/token/main.py",
	    "--max-tokens=4096",
	    "max_tokens: 100",
	    "tokenizer=bert",
	    "--token-file=/run/token",
	    "--password-stdin",
	    "passwordless=1",
	    "secretary=bob",
	    "secrets.yaml",
	    "grant_type=password&scope=x",
	    "monkey=1",
	    "--key=value",
	    "password=",
	    "the bearer of good news",
	    "bearer authentication",
	    "bearer v2",
	    "sk-learn-intro-note-2024",
	    "sk-abcdefghijklmnopqrst",
	    "forbearer abcdef12345",
	    "https://e.example:8443/a:b@c",
	    "https://user@e.example/",
	    "ssh://git@e.example:22/x",
	    "10.0.0.1:443",
	    "[2001:db8::1]:443",
	    "risk-assessment-0123456789abcdef",
	    "sk-learn-2024",
	    "sk-SK.UTF-8",
	    "task-0123456789abcdef0123",
	    "AKIA",
	    "sk-",
	    "DATE=2023-10-26T14:32:07Z",
	    "sha256:0123456789abcdef0123456789abcdef",
	    ":::",
	    "://",
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(cases); i++)
		check_redact(cases[i], cases[i]);
}

/* Whole command lines: a flag whose value is the next argument. */
static void test_redact_flags(void **state)
{
	static const struct {
		char *args;
		size_t len;
		const char *want;
	} cases[] = {
	    {ARGS("--password\0x\0y"), "--password|" R "|y|"},
	    {ARGS("-token\0x"), "-token|" R "|"},
	    {ARGS("--password\0--verbose\0x"), "--password|--verbose|x|"},
	    {ARGS("--no-password\0x"), "--no-password|x|"},
	    {ARGS("--password=x\0y"), "--password=" R "|y|"},
	    {ARGS("password\0x"), "password|x|"},
	    {ARGS("--tokens\0x"), "--tokens|x|"},
	    {ARGS("--secret\0\0x"), "--secret||x|"},
	    {ARGS("--oauth2-bearer\0x"), "--oauth2-bearer|" R "|"},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(cases); i++) {
		struct ln_proc p = {.args = cases[i].args, .args_len = cases[i].len};
		struct ln_args args = ln_args_of(&p);
		struct ln_redact r = {.value_next = true}; /* left over from another line */
		struct ln_buf out = {0};
		const char *arg;
		size_t len;

		ln_redact_start(&r);
		while (ln_args_next(&args, &arg, &len)) {
			arg = ln_redact_arg(&r, arg, &len);
			ln_buf_add(&out, arg, len);
			ln_buf_addc(&out, '|');
		}
		assert_string_equal(ln_buf_text(&out), cases[i].want);
		ln_buf_done(&out);
		ln_redact_done(&r);
	}
}

/* Were the time quadratic, these would take hours. */
static void test_redact_is_linear(void **state)
{
	static const char *const patterns[] = {"sk-",   "bearer ",  "token=\"",
					       "://a:", "token : ", "="};
	const size_t len = 1 << 20;
	char *arg = malloc(len + 1);

	arg[len] = '\0';
	for (size_t i = 0; i < LN_ARRAY_SIZE(patterns); i++) {
		struct ln_redact r = {0};
		size_t out_len = len;

		for (size_t k = 0; k < len; k++)
			arg[k] = patterns[i][k % strlen(patterns[i])];
		assert_non_null(ln_redact_arg(&r, arg, &out_len));
		ln_redact_done(&r);
	}
	free(arg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_redact_hides),
	    cmocka_unit_test(test_redact_leaves_the_rest),
	    cmocka_unit_test(test_redact_flags),
	    cmocka_unit_test(test_redact_is_linear),
	};

	return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
