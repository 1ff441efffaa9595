/* SPDX-License-Identifier: Apache-2.0 */
#include "webhook_url.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include "base/addr.h"

struct parts {
	char *scheme, *host, *port, *user; /* owned by curl; NULL: not there */
};

static void free_parts(const struct ln_curl *curl, struct parts *p)
{
	curl->free(p->scheme);
	curl->free(p->host);
	curl->free(p->port);
	curl->free(p->user);
}

static bool split(const struct ln_curl *curl, const char *url, struct parts *ret)
{
	CURLU *u = curl->url();
	bool good = u && curl->url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		    curl->url_get(u, CURLUPART_SCHEME, &ret->scheme, 0) == CURLUE_OK &&
		    curl->url_get(u, CURLUPART_HOST, &ret->host, 0) == CURLUE_OK;

	if (good) {
		curl->url_get(u, CURLUPART_PORT, &ret->port, 0);
		curl->url_get(u, CURLUPART_USER, &ret->user, 0);
	}
	curl->url_cleanup(u);
	return good;
}

static bool is_loopback(const char *host)
{
	char text[LN_ADDR_TEXT_MAX + 2];
	struct ln_addr addr;
	size_t n = strlen(host);

	/* curl never asks a resolver for this one. */
	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (n >= sizeof(text))
		return false;
	memcpy(text, host, n + 1);
	if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
		text[n - 1] = '\0';
		return ln_addr_parse(text + 1, &addr) && ln_addr_is_loopback(&addr);
	}
	return ln_addr_parse(text, &addr) && ln_addr_is_loopback(&addr);
}

static int check(const struct parts *p, bool https, struct ln_error *err)
{
	if (!https && strcmp(p->scheme, "http") != 0)
		return ln_error_set(err, EINVAL, "webhook: the URL must begin with https://");
	if (!https && !is_loopback(p->host))
		return ln_error_set(
		    err, EINVAL,
		    "webhook: http is for loopback addresses (127.0.0.1, [::1], localhost) "
		    "only; use https for %s",
		    p->host);
	if (p->user)
		return ln_error_set(err, EINVAL,
				    "webhook: a user or password in the URL is not taken; use "
				    "'token_file'");
	return 0;
}

int ln_webhook_url_check(const char *url, const struct ln_curl *curl, struct ln_error *err,
			 char ret_shown[128], bool *ret_https)
{
	struct parts p = {0};
	int r;

	if (split(curl, url, &p)) {
		*ret_https = strcmp(p.scheme, "https") == 0;
		r = check(&p, *ret_https, err);
		if (r == 0)
			snprintf(ret_shown, 128, "%s://%s%s%s", p.scheme, p.host, p.port ? ":" : "",
				 p.port ? p.port : "");
	} else {
		r = ln_error_set(err, EINVAL, "webhook: this is no URL: it must be https://host/…");
	}
	free_parts(curl, &p);
	return r;
}
