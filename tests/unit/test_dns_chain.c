/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "dns/chain.h"

static void names_stand_in_order(void **state)
{
	struct ln_chain c;
	const char *at, *name;
	size_t len;

	ln_chain_start(&c);
	assert_string_equal(c.text, "");
	assert_string_equal(ln_chain_last(c.text), "");
	ln_chain_add(&c, "a.example");
	assert_string_equal(ln_chain_last(c.text), "a.example");
	ln_chain_append(&c, "b.example c.example");
	ln_chain_append(&c, "");
	assert_string_equal(c.text, "a.example b.example c.example");
	assert_string_equal(ln_chain_last(c.text), "c.example");
	at = c.text;
	for (char letter = 'a'; letter <= 'c'; letter++) {
		assert_true(ln_chain_next(&at, &name, &len));
		assert_int_equal(len, 9);
		assert_int_equal(name[0], letter);
	}
	assert_false(ln_chain_next(&at, &name, &len));
}

static void the_first_and_the_last_are_always_there(void **state)
{
	char text[LN_NAME_MAX], first[LN_NAME_MAX];
	struct ln_chain c;

	for (size_t size = 1; size < LN_NAME_MAX; size++) {
		ln_chain_start(&c);
		memset(first, 'f', size);
		first[size] = '\0';
		ln_chain_add(&c, first);
		for (int i = 0; i < 1200; i++) {
			/* Short and long by turns, so that what makes room is not what needs it. */
			size_t len = i % 3 ? size : 1 + (size_t)i % (LN_NAME_MAX - 1);

			memset(text, 'a' + i % 26, len);
			text[len] = '\0';
			ln_chain_add(&c, text);
			assert_int_equal(c.len, strlen(c.text));
			assert_true(c.len < sizeof(c.text));
			assert_string_equal(ln_chain_last(c.text), text);
			assert_int_equal(strncmp(c.text, first, size), 0);
			assert_int_equal(c.text[size], ' ');
			assert_int_equal(c.cut, strstr(c.text, " ... ") != NULL);
		}
		assert_true(c.cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_stand_in_order),
	    cmocka_unit_test(the_first_and_the_last_are_always_there),
	};

	return cmocka_run_group_tests_name("dns_chain", tests, NULL, NULL);
}
