/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
int main(void)
{
	puts("1..0 # not written yet");
	return 1;
}
