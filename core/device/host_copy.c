#include "device/host_copy.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <emmintrin.h>

enum {
	/* From here on the copy does not fit the nearer caches together with its source. */
	STREAM_BYTES = 512 << 10,
	LINE_BYTES = 64,
	PAGE_BYTES = 4096,
	/* So many pages are copied side by side. */
	BLOCK_PAGES = 8,
	BLOCK_BYTES = BLOCK_PAGES * PAGE_BYTES,
	/* How far ahead in its page a line is asked for. */
	AHEAD_BYTES = 256,
};

/* One line, past the caches: it need not be read before it is overwritten. `to` lies at a line's beginning. */
static void
copy_line(char *to, const char *from)
{
	const __m128i *read = (const __m128i *)from;
	__m128i *write = (__m128i *)to;
	_mm_prefetch(from + AHEAD_BYTES, _MM_HINT_T0);
	__m128i a = _mm_loadu_si128(read), b = _mm_loadu_si128(read + 1);
	__m128i c = _mm_loadu_si128(read + 2), d = _mm_loadu_si128(read + 3);
	_mm_stream_si128(write, a);
	_mm_stream_si128(write + 1, b);
	_mm_stream_si128(write + 2, c);
	_mm_stream_si128(write + 3, d);
}

/* Line by line of several pages in turn: what fetches ahead follows each of them, and none beyond its end. */
static void
copy_block(char *to, const char *from)
{
	for (size_t line = 0; line < PAGE_BYTES; line += LINE_BYTES)
		for (size_t page = 0; page < BLOCK_BYTES; page += PAGE_BYTES)
			copy_line(to + page + line, from + page + line);
}

/*
 * Measured on an Intel Xeon, 400 MiB in pieces of 2, a mapped file to large pages: 12.4 GB/s, one
 * page after the other 11.0, rep movsb 6.7, memcpy 6.9; another core then reads the bytes at 17,
 * after rep movsb at 12 GB/s. On an AMD EPYC stores past the caches and rep movsb are alike (19.3,
 * 19.8), and memcpy slower (12.7).
 */
static void
copy_streaming(char *to, const char *from, size_t bytes)
{
	size_t head = -(uintptr_t)to & (LINE_BYTES - 1), at = head;
	memcpy(to, from, head);
	for (; bytes - at >= BLOCK_BYTES; at += BLOCK_BYTES)
		copy_block(to + at, from + at);
	_mm_sfence();
	memcpy(to + at, from + at, bytes - at);
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
