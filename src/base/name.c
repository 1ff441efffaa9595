/* SPDX-License-Identifier: Apache-2.0 */
#include "name.h"

#include <string.h>

#define LABEL_MAX 63

static char canonical_byte(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return c;
	return '\0';
}

bool ln_name_canonical(const char *text, size_t len, char ret[LN_NAME_MAX])
{
	char name[LN_NAME_MAX];
	size_t label_len = 0;

	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0 || len >= sizeof(name))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '.') {
			if (label_len == 0)
				return false;
			label_len = 0;
			name[i] = '.';
			continue;
		}
		name[i] = canonical_byte(text[i]);
		if (name[i] == '\0' || ++label_len > LABEL_MAX)
			return false;
	}
	if (label_len == 0)
		return false;
	name[len] = '\0';
	memcpy(ret, name, len + 1);
	return true;
}

bool ln_name_under(const char *name, const char *suffix)
{
	size_t name_len = strlen(name);
	size_t suffix_len = strlen(suffix);
	const char *tail;

	if (suffix_len == 0 || suffix_len > name_len)
		return false;
	tail = name + (name_len - suffix_len);
	return memcmp(tail, suffix, suffix_len) == 0 && (tail == name || tail[-1] == '.');
}
