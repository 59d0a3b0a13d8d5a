#include "exec/strided.h"

#include <string.h>

#include "exec/parallel.h"

enum {
	/* Bytes worth a thread of their own. */
	GRAIN_BYTES = 65536,
	/* Side of the square that a transposition works on, so that both sides stay in the cache. */
	TILE = 16,
};

struct copy_run {
	const struct strided *strided;
	const char *in;
	char *out;
};

void
strided_create(struct strided *strided, uint32_t rank, const int64_t *dims, const int64_t *steps,
	       int64_t offset, size_t element_bytes)
{
	*strided = (struct strided){ .offset = offset, .element_bytes = element_bytes };
	for (uint32_t i = 0; i < rank; i++) {
		if (dims[i] == 1)
			continue;
		uint32_t last = strided->rank - 1;
		if (strided->rank != 0 && strided->steps[last] == steps[i] * dims[i]) {
			strided->dims[last] *= dims[i];
			strided->steps[last] = steps[i];
			continue;
		}
		strided->dims[strided->rank] = dims[i];
		strided->steps[strided->rank++] = steps[i];
	}
	if (strided->rank == 0) {
		strided->rank = 1;
		strided->dims[0] = 1;
		strided->steps[0] = 1;
	}
	strided->rows = 1;
	for (uint32_t i = 0; i + 1 < strided->rank; i++)
		strided->rows *= strided->dims[i];
}

#define COPY_ROW(name, type)                                                                       \
	static void copy_row_##name(void *out, const void *in, int64_t n, int64_t step)            \
	{                                                                                          \
		type *to = out;                                                                    \
		const type *from = in;                                                             \
		for (int64_t i = 0; i < n; i++)                                                    \
			to[i] = from[i * step];                                                    \
	}
COPY_ROW(1, uint8_t)
COPY_ROW(2, uint16_t)
COPY_ROW(4, uint32_t)
COPY_ROW(8, uint64_t)

static void
copy_row(size_t element_bytes, void *out, const void *in, int64_t n, int64_t step)
{
	if (step == 1)
		memcpy(out, in, (size_t)n * element_bytes);
	else if (element_bytes == 4)
		copy_row_4(out, in, n, step);
	else if (element_bytes == 8)
		copy_row_8(out, in, n, step);
	else if (element_bytes == 2)
		copy_row_2(out, in, n, step);
	else
		copy_row_1(out, in, n, step);
}

/* Input element at which row `row` begins; only dims 0 … rank-1 count. */
static int64_t
row_offset(const struct strided *strided, uint32_t rank, int64_t row)
{
	int64_t offset = strided->offset;
	for (uint32_t i = rank; i-- > 0;) {
		offset += row % strided->dims[i] * strided->steps[i];
		row /= strided->dims[i];
	}
	return offset;
}

static void
copy_rows(void *context, int64_t begin, int64_t end)
{
	const struct copy_run *run = context;
	const struct strided *strided = run->strided;
	size_t bytes = strided->element_bytes;
	uint32_t last = strided->rank - 1;
	int64_t length = strided->dims[last];
	for (int64_t row = begin; row < end; row++) {
		int64_t from = row_offset(strided, last, row);
		copy_row(bytes, run->out + row * length * (int64_t)bytes,
			 run->in + from * (int64_t)bytes, length, strided->steps[last]);
	}
}

/* One matrix of `height` rows of `width`, transposed: row i of the result begins at in[i] and goes on by step. */
static void
transpose_matrix(uint32_t *out, const uint32_t *in, int64_t height, int64_t width, int64_t step)
{
	for (int64_t top = 0; top < height; top += TILE) {
		int64_t bottom = top + TILE < height ? top + TILE : height;
		for (int64_t left = 0; left < width; left += TILE) {
			int64_t right = left + TILE < width ? left + TILE : width;
			for (int64_t i = top; i < bottom; i++)
				for (int64_t j = left; j < right; j++)
					out[i * width + j] = in[i + j * step];
		}
	}
}

static void
copy_matrices(void *context, int64_t begin, int64_t end)
{
	const struct copy_run *run = context;
	const struct strided *strided = run->strided;
	uint32_t last = strided->rank - 1;
	int64_t height = strided->dims[last - 1];
	int64_t width = strided->dims[last];
	for (int64_t i = begin; i < end; i++) {
		const uint32_t *in = (const uint32_t *)run->in;
		uint32_t *out = (uint32_t *)run->out;
		transpose_matrix(out + i * height * width, in + row_offset(strided, last - 1, i),
				 height, width, strided->steps[last]);
	}
}

void
strided_copy(const struct strided *strided, const void *in, void *out, unsigned threads)
{
	struct copy_run run = { strided, in, out };
	uint32_t last = strided->rank - 1;
	if (strided->rows * strided->dims[last] == 0)
		return;
	int64_t row_bytes = strided->dims[last] * (int64_t)strided->element_bytes;
	bool matrices = last >= 1 && strided->steps[last] != 1 && strided->steps[last - 1] == 1 &&
			strided->element_bytes == 4;
	if (matrices) {
		row_bytes *= strided->dims[last - 1];
		parallel_for(threads, strided->rows / strided->dims[last - 1],
			     GRAIN_BYTES / row_bytes + 1, copy_matrices, &run);
		return;
	}
	parallel_for(threads, strided->rows, GRAIN_BYTES / row_bytes + 1, copy_rows, &run);
}
