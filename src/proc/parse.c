/* SPDX-License-Identifier: Apache-2.0 */
#include "parse.h"

#include <string.h>

/* What is left to read of a text. Readers move it forward only when they succeed. */
struct cursor {
	const char *at, *end;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool read_number(struct cursor *c, uint64_t max, uint64_t *ret)
{
	const char *at = c->at;
	uint64_t n = 0;

	if (at == c->end || !is_digit(*at))
		return false;
	for (; at < c->end && is_digit(*at); at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	c->at = at;
	*ret = n;
	return true;
}

static bool read_text(struct cursor *c, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, text, len) != 0)
		return false;
	c->at += len;
	return true;
}

/* A field and the blank after it. */
static bool read_field(struct cursor *c, struct cursor *ret)
{
	const char *blank = memchr(c->at, ' ', (size_t)(c->end - c->at));

	if (!blank || blank == c->at)
		return false;
	*ret = (struct cursor){c->at, blank};
	c->at = blank + 1;
	return true;
}

static bool skip_fields(struct cursor *c, int count)
{
	struct cursor field;

	while (count-- > 0) {
		if (!read_field(c, &field))
			return false;
	}
	return true;
}

static bool read_line(struct cursor *c, struct cursor *ret)
{
	const char *end;

	if (c->at == c->end)
		return false;
	end = memchr(c->at, '\n', (size_t)(c->end - c->at));
	*ret = (struct cursor){c->at, end ? end : c->end};
	c->at = end ? end + 1 : c->end;
	return true;
}

/* A number and the blank after it. */
static bool read_id(struct cursor *c, uint32_t *ret)
{
	uint64_t n;

	/* The kernel writes -1 for the group of a process that is just being reaped. */
	if (!read_number(c, UINT32_MAX, &n) || !read_text(c, " "))
		return false;
	*ret = (uint32_t)n;
	return true;
}

bool ln_proc_parse_stat(const char *text, size_t len, struct ln_proc_stat *ret)
{
	const char *name_end = memrchr(text, ')', len); /* no field after the name holds one */
	struct cursor c = {text, text + len};
	struct ln_proc_stat stat = {0};

	if (!read_id(&c, &stat.pid) || !read_text(&c, "(") || !name_end || name_end < c.at)
		return false;
	c.at = name_end + 1;
	if (!read_text(&c, " ") || c.at == c.end)
		return false;
	stat.state = *c.at++;
	if (!read_text(&c, " ") || !read_id(&c, &stat.ppid) || !read_id(&c, &stat.pgrp) ||
	    !read_id(&c, &stat.session))
		return false;
	if (!skip_fields(&c, 15)) /* tty_nr (7) to itrealvalue (21) */
		return false;
	if (!read_number(&c, UINT64_MAX, &stat.start_ticks))
		return false;
	if (c.at < c.end && *c.at != ' ' && *c.at != '\n')
		return false;
	*ret = stat;
	return true;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The next byte of a path, with \ooo undone; the text is not empty. */
static char read_path_byte(struct cursor *c)
{
	const char *at = c->at;

	if (c->end - at >= 4 && at[0] == '\\' && is_octal(at[1]) && is_octal(at[2]) &&
	    is_octal(at[3])) {
		c->at += 4;
		return (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
	}
	c->at++;
	return *at;
}

/* False when the path does not fit or would hold a NUL. */
static bool copy_path(struct cursor from, char *ret, size_t size)
{
	struct cursor c = from;
	size_t len = 0;

	for (; c.at < c.end; len++) {
		if (read_path_byte(&c) == '\0')
			return false;
	}
	if (len >= size)
		return false;
	for (c = from; c.at < c.end;)
		*ret++ = read_path_byte(&c);
	*ret = '\0';
	return true;
}

/* "36 35 98:0 /root /mount/point rw,noatime master:1 - cgroup2 source options" */
static bool read_cgroup2_mount(struct cursor line, struct cursor *ret_root,
			       struct cursor *ret_point)
{
	struct cursor root, point, field;

	if (!skip_fields(&line, 3) || !read_field(&line, &root) || !read_field(&line, &point) ||
	    !skip_fields(&line, 1))
		return false;
	do { /* optional fields, ended by a dash */
		if (!read_field(&line, &field))
			return false;
	} while (field.end - field.at != 1 || *field.at != '-');
	if (!read_text(&line, "cgroup2 "))
		return false;
	*ret_root = root;
	*ret_point = point;
	return true;
}

bool ln_proc_parse_cgroup2_mount(const char *text, size_t len, char *ret, size_t size)
{
	struct cursor c = {text, text + len}, line, root, point, best = {0};

	/* A mount of the whole hierarchy is better than one of a part of it. */
	while (read_line(&c, &line)) {
		bool whole;

		if (!read_cgroup2_mount(line, &root, &point))
			continue;
		whole = root.end - root.at == 1;
		if (!best.at || whole)
			best = point;
		if (whole)
			break;
	}
	return best.at && copy_path(best, ret, size);
}

bool ln_proc_parse_cgroup2_path(const char *text, size_t len, char *ret, size_t size)
{
	struct cursor c = {text, text + len}, line;

	while (read_line(&c, &line)) {
		size_t path_len;

		if (!read_text(&line, "0::"))
			continue;
		path_len = (size_t)(line.end - line.at);
		if (path_len == 0 || *line.at != '/' || path_len >= size ||
		    memchr(line.at, '\0', path_len))
			return false;
		memcpy(ret, line.at, path_len);
		ret[path_len] = '\0';
		return true;
	}
	return false;
}

bool ln_proc_parse_ns_pid(const char *text, size_t len, uint32_t *ret)
{
	struct cursor c = {text, text + len}, line;
	uint64_t n = 0;
	bool found = false;

	/* The name is in an earlier line, with its line breaks escaped. */
	while (read_line(&c, &line)) {
		if (!read_text(&line, "NSpid:"))
			continue;
		while (read_text(&line, "\t")) {
			found = read_number(&line, UINT32_MAX, &n);
			if (!found)
				return false;
		}
		if (!found || line.at != line.end)
			return false;
		*ret = (uint32_t)n;
		return true;
	}
	return false;
}

bool ln_proc_parse_socket_link(const char *text, size_t len, uint64_t *ret_inode)
{
	struct cursor c = {text, text + len};
	uint64_t inode;

	if (!read_text(&c, "socket:[") || !read_number(&c, UINT64_MAX, &inode) ||
	    !read_text(&c, "]") || c.at != c.end)
		return false;
	*ret_inode = inode;
	return true;
}
