/* SPDX-License-Identifier: Apache-2.0 */
/* The line by which an SSH client begins (RFC 4253, 4.2). */
#include "head.h"

#include <errno.h>
#include <string.h>
#include "base/macros.h"

#define BANNER_MAX 255 /* with its end */

int ln_ssh_read_head(const uint8_t *bytes, size_t len, bool cut, struct ln_head *ret)
{
	static const char prefix[] = "SSH-";
	const size_t prefix_len = sizeof(prefix) - 1;
	struct ln_claim claim = {.layer = LN_LAYER_SSH};
	const uint8_t *end;
	size_t n;

	if (memcmp(bytes, prefix, LN_MIN(len, prefix_len)) != 0 || (cut && len < prefix_len))
		return -EBADMSG;
	if (len < prefix_len)
		return -EAGAIN;
	n = LN_MIN(len, BANNER_MAX);
	end = memchr(bytes, '\n', n);
	if (!end && len < BANNER_MAX && !cut)
		return -EAGAIN;
	if (end)
		n = (size_t)(end - bytes);
	if (n > 0 && bytes[n - 1] == '\r')
		n--;
	n = LN_MIN(n, sizeof(claim.detail) - 1);
	for (size_t i = 0; i < n; i++)
		claim.detail[i] = bytes[i] >= ' ' && bytes[i] <= '~' ? (char)bytes[i] : '?';
	*ret = (struct ln_head){.claim = claim};
	return 0;
}
