#include "device/host_copy.h"

#include <string.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/* From here on the copy does not fit the nearer caches together with its source. */
enum { STREAM_BYTES = 512 << 10 };

/*
 * The processor's own copy: it need not read what it is about to overwrite. Measured, 256 MiB in pieces of 2: on an AMD EPYC
 * 19.8 GB/s, non-temporal stores 19.3, memcpy 12.7; on an Intel Xeon 6.2, 3.4 and 4.8, and another core reads the bytes a
 * third faster afterwards than those that were stored past the caches.
 */
static void
copy_streaming(void *to, const void *from, size_t bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

void
host_copy(void *to, const void *from, size_t bytes)
{
	if (bytes < STREAM_BYTES)
		memcpy(to, from, bytes);
	else
		copy_streaming(to, from, bytes);
}

#else

/* The sanitizers see what memcpy touches. */
void
host_copy(void *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

#endif
