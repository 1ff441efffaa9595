/* SPDX-License-Identifier: Apache-2.0 */
/* linnet.yaml(5), ERRORS: international names that may be taken for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "policy/parse.h"
#include "policy/policy.h"

static const struct {
	const char *names[2];
	const char *message; /* NULL: none */
} rows[] = {
    /* Cyrillic a among Latin letters, in either form. */
    {{"\xd0\xb0pi.test"},
     "\"\xd0\xb0pi.test\" (xn--pi-6kc.test) mixes Cyrillic and Latin letters, as names do that are "
     "made to look like others; write the name that is meant"},
    {{"xn--pi-6kc.test"},
     "\"\xd0\xb0pi.test\" (xn--pi-6kc.test) mixes Cyrillic and Latin letters, as names do that are "
     "made to look like others; write the name that is meant"},
    /* The same beside the name that it looks like; and one of Cyrillic letters alone. */
    {{"\xd0\xb0pi.test", "api.test"},
     "\"\xd0\xb0pi.test\" (xn--pi-6kc.test) looks like \"api.test\" of line 4 and is another name; "
     "remove the one that is not meant"},
    {{"*.\xd1\x81\xd0\xbe\xd1\x80\xd0\xb5.test", "*.cope.test"},
     "\"\xd1\x81\xd0\xbe\xd1\x80\xd0\xb5.test\" (xn--e1argc.test) looks like \"cope.test\" of line "
     "4 and is another name; remove the one that is not meant"},
    /* One script a label, an accent, another name. */
    {{"\xd1\x81\xd0\xbe\xd1\x80\xd0\xb5.test"}, NULL},
    {{"b\xc3\xbc"
      "cher.test",
      "bucher.test"},
     NULL},
    {{"\xd1\x81\xd0\xbe\xd1\x80\xd0\xb5.test", "rope.test"}, NULL},
    {{"paypa1.test", "paypal.test"}, NULL},
};

static void table(void **state)
{
	struct ln_buf text = {0};

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		struct ln_diags d = {0};
		struct ln_policy *p = NULL;

		ln_buf_reset(&text);
		ln_buf_adds(&text, "agent_name: a\nexpected_outbound:\n");
		for (size_t k = 0; k < 2 && rows[i].names[k]; k++)
			ln_buf_addf(&text, "  - {destination: \"%s\", port: 1, protocol: TCP}\n",
				    rows[i].names[k]);
		assert_int_equal(ln_policy_parse("p", ln_buf_text(&text), text.len, false, &d, &p),
				 0);
		assert_int_equal(d.n, rows[i].message != NULL);
		if (rows[i].message) {
			assert_string_equal(d.list[0].text, rows[i].message);
			assert_int_equal(d.list[0].line, 3);
			assert_true(d.list[0].warning);
		}
		ln_diags_done(&d);
		ln_policy_free(&p);
	}
	ln_buf_done(&text);
}

static void both_forms(void **state)
{
	char text[LN_NAME_UNICODE_MAX];

	assert_true(ln_name_unicode("xn--bcher-kva.example", text));
	assert_string_equal(text, "b\xc3\xbc"
				  "cher.example");
	assert_false(ln_name_unicode("bucher.example", text));
	assert_false(ln_name_unicode("xn--.example", text));
	assert_false(ln_name_unicode("xn--zzzzzzzzzzzz99999999999.example", text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(both_forms)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
