/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a client says to a SOCKS server, and as an SSH banner. */
#include "claim_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_reader(ln_socks4_read_head, data, size);
	check_reader(ln_socks5_read_head, data, size);
	check_reader(ln_ssh_read_head, data, size);
	return 0;
}
