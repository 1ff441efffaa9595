/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of a 32-bit program: `compat tcp|udp TOKEN IP PORT`. */
#include <stdint.h>
#include <sys/mman.h>
#include "escape.h"

/* Numbers of i386. */
enum { CALL_WRITE = 4, CALL_GETPID = 20, CALL_SOCKET = 359, CALL_CONNECT = 362, CALL_SENDTO = 369 };

/* What a 32-bit call can point to. */
static struct low {
	union endpoint to;
	char token[128];
} * low;

static int call(int number, unsigned a, unsigned b, unsigned c, unsigned d, unsigned e, unsigned f)
{
	register unsigned sixth asm("r8") = f;
	int result;

	asm volatile("push %%rbp\n\tmov %%r8d, %%ebp\n\tint $0x80\n\tpop %%rbp"
		     : "=a"(result), "+r"(sixth)
		     : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
		     : "memory", "r9", "r10", "r11");
	if (result < 0)
		errx(1, "call %d: %s", number, strerror(-result));
	return result;
}

static unsigned below(const void *pointer)
{
	return (unsigned)(uintptr_t)pointer;
}

static unsigned prepare(const char *token, char **arguments)
{
	low = mmap(NULL, sizeof(*low), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED)
		err(1, "mmap");
	snprintf(low->token, sizeof(low->token), "%s", token);
	return endpoint_at(arguments, 0, &low->to);
}

static void tcp(const char *token, char **arguments)
{
	unsigned len = prepare(token, arguments);
	int fd = call(CALL_SOCKET, low->to.any.sa_family, SOCK_STREAM, 0, 0, 0, 0);

	say_go();
	call(CALL_CONNECT, (unsigned)fd, below(&low->to), len, 0, 0, 0);
	call(CALL_WRITE, (unsigned)fd, below(low->token), (unsigned)strlen(token), 0, 0, 0);
	tcp_exchange(fd, 0);
}

static void udp(const char *token, char **arguments)
{
	unsigned len = prepare(token, arguments);
	int fd = call(CALL_SOCKET, low->to.any.sa_family, SOCK_DGRAM, 0, 0, 0, 0);

	say_go();
	call(CALL_SENDTO, (unsigned)fd, below(low->token), (unsigned)strlen(token), 0,
	     below(&low->to), len);
}

/* Where the kernel has no such calls, this is a fault. */
static void probe(const char *token, char **arguments)
{
	if (call(CALL_GETPID, 0, 0, 0, 0, 0, 0) != getpid())
		errx(1, "the call was another one");
}

static const struct way WAYS[] = {{"tcp", tcp}, {"udp", udp}, {"probe", probe}};

ESCAPE_MAIN(WAYS)
