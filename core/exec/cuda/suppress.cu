/* NonMaxSuppression: a block for each class of each of the batch. */
#include "exec/cuda/order.cuh"

extern "C" {
#include "exec/box.h"
#include "exec/cuda/runs.h"
#include "exec/op_detect.h"
}

enum {
	/* Boxes that are judged at once. */
	TILE = 64,
	WORD = 32,
	/* What the boxes of a tile are compared by, a part of the others each. */
	SHARES = BLOCK / TILE,
};

struct suppress_at {
	const float *boxes;
	const float *scores;
	const int64_t *most;
	/* NULL: absent. */
	const float *iou;
	const float *least_score;
	int64_t *kept;
	int64_t *order;
};

/* Does box a come before box b? Those of equal scores go by index. */
struct scores_more {
	const float *scores;
	__device__ bool
	operator()(int64_t a, int64_t b) const
	{
		float x = scores[a], y = scores[b];
		return x != y ? x > y : a < b;
	}
};

/* Indices of the boxes whose score is enough, in any order; how many, to every thread. */
static __device__ int64_t
collect(const struct suppression &nms, const struct suppress_at &at, const float *scores,
	int64_t *order)
{
	__shared__ unsigned long long candidates;
	float least = nms.has_least_score ? *at.least_score : 0;
	if (threadIdx.x == 0)
		candidates = 0;
	__syncthreads();
	for (int64_t i = threadIdx.x; i < nms.count; i += blockDim.x)
		if (!nms.has_least_score || scores[i] > least)
			order[atomicAdd(&candidates, 1ULL)] = i;
	__syncthreads();
	return (int64_t)candidates;
}

/* What the threads know of a tile: bits of the boxes that one kept before hides, and for each box of the later ones it hides. */
struct tile {
	struct box boxes[TILE];
	unsigned hidden[TILE / WORD];
	unsigned hides[TILE][TILE / WORD];
};

static __device__ __forceinline__ bool
has_bit(const unsigned *words, unsigned bit)
{
	return (words[bit / WORD] >> bit % WORD & 1) != 0;
}

/* Compare the tile's boxes with those kept before, and with each other. */
static __device__ void
compare_tile(const float *boxes, bool centred, float iou, const int64_t *order, int64_t kept,
	     unsigned count, struct tile *tile)
{
	unsigned own = threadIdx.x % TILE, share = threadIdx.x / TILE;
	if (own >= count)
		return;
	struct box box = tile->boxes[own];
	bool hidden = false;
	for (int64_t i = share; i < kept && !hidden; i += SHARES) {
		struct box other = box_at(boxes, order[i], centred);
		hidden = box_hides(&box, &other, iou);
	}
	if (hidden)
		atomicOr(&tile->hidden[own / WORD], 1U << own % WORD);
	for (unsigned i = own + 1 + share; i < count; i += SHARES)
		if (box_hides(&tile->boxes[i], &box, iou))
			atomicOr(&tile->hides[own][i / WORD], 1U << i % WORD);
}

/* In order, each box stays unless one is kept that hides it; one thread. How many are kept by now. */
static __device__ int64_t
keep_tile(struct tile *tile, unsigned count, int64_t most, int64_t *order, int64_t base,
	  int64_t kept)
{
	for (unsigned i = 0; i < count && kept < most; i++) {
		if (has_bit(tile->hidden, i))
			continue;
		/* Those kept so far take the places in front, which were looked at already. */
		order[kept++] = order[base + i];
		for (unsigned word = 0; word < TILE / WORD; word++)
			tile->hidden[word] |= tile->hides[i][word];
	}
	return kept;
}

static __device__ void
suppress_class(const struct suppression &nms, const struct suppress_at &at, int64_t index)
{
	__shared__ struct tile tile;
	__shared__ int64_t kept;
	const float *scores = at.scores + index * nms.count;
	const float *boxes = at.boxes + index / nms.classes * nms.count * 4;
	int64_t *order = at.order + index * nms.count, most = *at.most;
	float iou = at.iou != NULL ? *at.iou : 0;
	int64_t candidates = collect(nms, at, scores, order);
	block_sort(order, candidates, scores_more{ scores });
	if (threadIdx.x == 0)
		kept = 0;
	__syncthreads();
	for (int64_t base = 0; base < candidates && kept < most; base += TILE) {
		unsigned count = candidates - base < TILE ? unsigned(candidates - base) : TILE;
		if (threadIdx.x < TILE / WORD)
			tile.hidden[threadIdx.x] = 0;
		for (unsigned i = threadIdx.x; i < TILE * (TILE / WORD); i += blockDim.x)
			tile.hides[i / (TILE / WORD)][i % (TILE / WORD)] = 0;
		if (threadIdx.x < count)
			tile.boxes[threadIdx.x] =
				box_at(boxes, order[base + threadIdx.x], nms.centred);
		__syncthreads();
		compare_tile(boxes, nms.centred, iou, order, kept, count, &tile);
		__syncthreads();
		if (threadIdx.x == 0)
			kept = keep_tile(&tile, count, most, order, base, kept);
		__syncthreads();
	}
	if (threadIdx.x == 0)
		at.kept[index] = kept;
	__syncthreads();
}

static __global__ void
suppress_kernel(struct suppression nms, struct suppress_at at)
{
	for (int64_t i = blockIdx.x; i < nms.batches * nms.classes; i += gridDim.x)
		suppress_class(nms, at, i);
}

/* The sum of kept[from … end-1], in every thread of the block. */
static __device__ int64_t
sum_kept(const int64_t *kept, int64_t from, int64_t end, int64_t *scratch)
{
	int64_t sum = 0;
	for (int64_t i = from + threadIdx.x; i < end; i += blockDim.x)
		sum += kept[i];
	return block_reduce(sum, add_up(), scratch);
}

/* Rows of what was kept, a class a block, and zeros behind them. */
static __global__ void
list_kernel(struct suppression nms, const int64_t *kept, const int64_t *order, int64_t *rows,
	    int64_t *total)
{
	__shared__ int64_t scratch[WARP];
	int64_t classes = nms.batches * nms.classes;
	int64_t all = sum_kept(kept, 0, classes, scratch);
	for (int64_t i = blockIdx.x; i < classes; i += gridDim.x) {
		int64_t first = sum_kept(kept, 0, i, scratch);
		for (int64_t k = threadIdx.x; k < kept[i]; k += blockDim.x) {
			int64_t *row = rows + 3 * (first + k);
			row[0] = i / nms.classes;
			row[1] = i % nms.classes;
			row[2] = order[i * nms.count + k];
		}
	}
	KERNEL_LOOP(i, 3 * (nms.rows - all))
	rows[3 * all + i] = 0;
	if (blockIdx.x == 0 && threadIdx.x == 0)
		*total = all;
}

extern "C" int
cuda_suppress_run(const void *state, const struct operands *operands)
{
	const struct suppression *nms = (const struct suppression *)state;
	struct suppression_scratch scratch = suppression_scratch(nms, operands->scratch);
	struct suppress_at at = { (const float *)operands->inputs[0],
				  (const float *)operands->inputs[1],
				  (const int64_t *)operands->inputs[2],
				  (const float *)operands->inputs[3],
				  (const float *)operands->inputs[4],
				  scratch.kept,
				  scratch.order };
	int64_t classes = nms->batches * nms->classes;
	unsigned grid = (unsigned)(classes > GRID_MOST ? GRID_MOST : classes);
	KERNEL_LAUNCH(suppress_kernel, grid, BLOCK, 0, stream_of(operands), *nms, at);
	KERNEL_LAUNCH(list_kernel, grid, BLOCK, 0, stream_of(operands), *nms, at.kept, at.order,
		      (int64_t *)operands->outputs[0], (int64_t *)operands->outputs[1]);
	return launched(operands, "suppress_kernel");
}
