/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, loaded when a policy has a webhook and not before: with all that it needs itself it
 * would double the time that each linnet takes to start.
 */
#ifndef LINNET_OUTPUT_CURL_API_H
#define LINNET_OUTPUT_CURL_API_H

#include <curl/curl.h>
#include "base/error.h"

/* The functions that are used, by their name without "curl_". */
#define LN_CURL_FUNCTIONS(X)                                                                       \
	X(global_init)                                                                             \
	X(version_info)                                                                            \
	X(free)                                                                                    \
	X(url)                                                                                     \
	X(url_cleanup)                                                                             \
	X(url_get)                                                                                 \
	X(url_set)                                                                                 \
	X(slist_append)                                                                            \
	X(slist_free_all)                                                                          \
	X(easy_init)                                                                               \
	X(easy_cleanup)                                                                            \
	X(easy_setopt)                                                                             \
	X(easy_getinfo)                                                                            \
	X(easy_strerror)                                                                           \
	X(multi_init)                                                                              \
	X(multi_cleanup)                                                                           \
	X(multi_setopt)                                                                            \
	X(multi_add_handle)                                                                        \
	X(multi_remove_handle)                                                                     \
	X(multi_socket_action)                                                                     \
	X(multi_info_read)

struct ln_curl {
#define LN_CURL_MEMBER(name) __typeof__(curl_##name) *name;
	LN_CURL_FUNCTIONS(LN_CURL_MEMBER)
#undef LN_CURL_MEMBER
};

/* Loads and starts it once, for the life of the process. */
int ln_curl_load(struct ln_error *err, const struct ln_curl **ret);

#endif
