/* SPDX-License-Identifier: Apache-2.0 */
/* uthash as linnet uses it; include this and never <uthash.h>. The hash is keyed, because the
 * network chooses names and addresses and must not choose buckets. Without memory HASH_ADD adds
 * nothing and leaves hh.tbl NULL, where uthash on its own would call exit(). */
#ifndef LINNET_BASE_TABLE_H
#define LINNET_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef UTHASH_H
#error "include base/table.h instead of uthash.h"
#endif

#define HASH_NONFATAL_OOM                 1
#define HASH_FUNCTION(key, len, ret_hash) ((ret_hash) = ln_table_hash(key, len))

#include <uthash.h>

uint32_t ln_table_hash(const void *key, size_t len); /* keyed for this process */
/* SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"). */
uint64_t ln_siphash13(const uint64_t key[2], const void *bytes, size_t len);

#endif
