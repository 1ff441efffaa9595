/* SPDX-License-Identifier: Apache-2.0 */
/* The names in the kernel's type information: functions, tracepoints. Only the names: libbpf would
 * parse all the types, which is felt at the start. */
#include "bpf_private.h"

#include <fcntl.h>
#include <linux/btf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define NAMES_BYTES_MAX (64U << 20)

/* Since Linux 6.16 the file can be mapped; a read gets no more than a page at a time. */
static bool map_names(int fd, const struct btf_header *h, struct ln_bpf_names *ret)
{
	uint64_t begin = (uint64_t)h->hdr_len + h->str_off;
	struct stat st;
	char *all;

	if (fstat(fd, &st) < 0 || st.st_size < 0 || begin + h->str_len > (uint64_t)st.st_size)
		return false;
	all = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (all == MAP_FAILED)
		return false;
	*ret = (struct ln_bpf_names){
	    .text = all + begin,
	    .size = h->str_len,
	    .map = all,
	    .map_size = (size_t)st.st_size,
	};
	return true;
}

void ln_bpf_names_read(struct ln_bpf_names *ret)
{
	LN_AUTO_CLOSE int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	struct btf_header h;
	size_t done = 0;
	ssize_t n = 1;
	char *text;

	*ret = (struct ln_bpf_names){0};
	if (fd < 0 || pread(fd, &h, sizeof(h), 0) != sizeof(h) || h.magic != BTF_MAGIC ||
	    h.str_len > NAMES_BYTES_MAX || map_names(fd, &h, ret) || !(text = malloc(h.str_len)))
		return;
	while (done < h.str_len && n > 0) {
		n = pread(fd, text + done, h.str_len - done,
			  (off_t)h.hdr_len + h.str_off + (off_t)done);
		done += n > 0 ? (size_t)n : 0;
	}
	*ret = (struct ln_bpf_names){.text = text, .size = done};
}

bool ln_bpf_names_have(const struct ln_bpf_names *names, const char *name)
{
	return names->text && memmem(names->text, names->size, name, strlen(name) + 1);
}

void ln_bpf_names_done(struct ln_bpf_names *names)
{
	if (names->map)
		munmap(names->map, names->map_size);
	else
		free(names->text);
	*names = (struct ln_bpf_names){0};
}
