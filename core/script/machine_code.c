#include "script/machine_code.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* libgcc's, which LuaJIT gave the record to. */
void
__deregister_frame(void *record);

/* Head of an area. next is NULL since there is only one. */
struct area {
	void *next;
	size_t size;
	/* DWARF call frame information, where LuaJIT unwinds by the system's unwinder: a common entry first, whose id is 0. */
	uint32_t record_length;
	uint32_t record_id;
};

/* A common information entry is a few dozen bytes; exit stubs, which else stand there, are a large number. */
enum { RECORD_BYTES_MAX = 64 };

uintptr_t
machine_code_area(uintptr_t end)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = ((end + page - 1) & ~(page - 1)) - MACHINE_CODE_BYTES;
	const struct area *area = (const struct area *)start;
	return area->next == NULL && area->size == MACHINE_CODE_BYTES ? start : 0;
}

void
machine_code_free(uintptr_t area)
{
	if (area == 0)
		return;
	struct area head;
	memcpy(&head, (const void *)area, sizeof(head));
	if (head.record_length < RECORD_BYTES_MAX && head.record_id == 0)
		__deregister_frame((void *)(area + offsetof(struct area, record_length)));
	munmap((void *)area, MACHINE_CODE_BYTES);
}
