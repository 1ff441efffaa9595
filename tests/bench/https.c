/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent does all day, by a client that many use: `https PORT COUNT CPU AUTHORITY` looks
 * api.bench.test up and has libcurl ask it, by a new connection and a whole TLS 1.3 handshake each
 * time. AUTHORITY: a file with the certificate that is trusted. Tells what `work request` does. */
#include "asking.h"

#include <curl/curl.h>

#define NAME "api.bench.test"

static size_t take(char *bytes, size_t size, size_t n, void *taken)
{
	(void)bytes;
	*(size_t *)taken += size * n;
	return size * n;
}

static void request_once(CURL *curl, uint16_t id, const char *port)
{
	char place[INET_ADDRSTRLEN], resolved[64];
	struct in_addr found = look_up(id, "\3api");
	size_t taken = 0;

	snprintf(resolved, sizeof(resolved), "+%s:%s:%s", NAME, port,
		 inet_ntop(AF_INET, &found, place, sizeof(place)));
	struct curl_slist *names = curl_slist_append(NULL, resolved);

	curl_easy_setopt(curl, CURLOPT_RESOLVE, names);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &taken);
	CURLcode said = curl_easy_perform(curl);

	if (said != CURLE_OK || taken == 0)
		errx(1, "%zu bytes: %s", taken, curl_easy_strerror(said));
	curl_slist_free_all(names);
}

static CURL *client(const char *port, const char *authority)
{
	char url[64];
	CURL *curl = curl_easy_init();

	if (!curl)
		errx(1, "no libcurl");
	snprintf(url, sizeof(url), "https://%s:%s/", NAME, port);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CAINFO, authority);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
	curl_easy_setopt(curl, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	return curl;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		errx(2, "usage: https PORT COUNT CPU AUTHORITY");
	uint64_t count = strtoull(argv[2], NULL, 10), begin;
	uint64_t *took = calloc(count, sizeof(*took));
	CURL *curl = client(argv[1], argv[4]);

	if (!took)
		err(1, "calloc");
	pin_to((int)strtol(argv[3], NULL, 10));
	request_once(curl, 0, argv[1]);
	begin = now_ns();
	for (uint64_t i = 0; i < count; i++) {
		uint64_t start = now_ns();

		request_once(curl, (uint16_t)i, argv[1]);
		took[i] = now_ns() - start;
	}
	report_p50(took, count, now_ns() - begin);
	curl_easy_cleanup(curl);
	free(took);
	return 0;
}
