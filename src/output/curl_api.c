/* SPDX-License-Identifier: Apache-2.0 */
#include "curl_api.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <stdbool.h>

#define LIBRARY "libcurl.so.4"

/* The variables of the user's environment that change what curl and OpenSSL trust, load or write:
 * they are meant for the agent, and may name files of its. */
static void clear_environment(void)
{
	static const char *const names[] = {
	    "SSL_CERT_FILE",   "SSL_CERT_DIR",    "SSLKEYLOGFILE", "OPENSSL_CONF",
	    "OPENSSL_MODULES", "OPENSSL_ENGINES", "CURL_HOME",     "NETRC",
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

static bool find(void *library, const char *name, void *ret)
{
	void *symbol = dlsym(library, name);

	/* A function pointer is not a void pointer to C, but to POSIX. */
	memcpy(ret, &symbol, sizeof(symbol));
	return symbol != NULL;
}

int ln_curl_load(struct ln_error *err, const struct ln_curl **ret)
{
	static struct ln_curl api;
	static bool loaded;

	if (loaded) {
		*ret = &api;
		return 0;
	}
	clear_environment();
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return ln_error_set(err, ENOPKG,
				    "webhook: " LIBRARY " is needed (Debian: libcurl4): %s",
				    dlerror());
#define FIND(name)                                                                                 \
	if (!find(library, "curl_" #name, &api.name))                                              \
		return ln_error_set(err, ENOPKG, "webhook: " LIBRARY " has no curl_" #name);
	LN_CURL_FUNCTIONS(FIND)
#undef FIND
	if (api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return ln_error_set(err, ENOPKG, "webhook: " LIBRARY " does not start");
	loaded = true;
	*ret = &api;
	return 0;
}
