#include <kernel_emulation.h>

#include <pthread.h>

extern "C" {
#include "selftest.h"
}

enum {
	BLOCK = 128,
	TILE = 16,
	WARP = 32,
};

/* --- a device's memory and stream for one test ----------------------------------------------------------------------- */

/* Frees everything at its end; status keeps the first error. */
struct bench {
	cudaError_t status;
	cudaStream_t stream = NULL;
	void *memory[2] = {};

	bench(const void *input, size_t input_bytes, size_t output_bytes)
	{
		size_t bytes[2] = { input_bytes, output_bytes };
		cudaGetLastError();
		status = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
		for (int i = 0; i < 2 && status == cudaSuccess; i++)
			status = cudaMalloc(&memory[i], bytes[i]);
		note(cudaMemcpyAsync(memory[0], input, input_bytes, cudaMemcpyHostToDevice,
				     stream));
		note(cudaMemsetAsync(memory[1], 0, output_bytes, stream));
	}

	~bench()
	{
		cudaStreamDestroy(stream);
		for (void *each : memory)
			cudaFree(each);
	}

	void
	note(cudaError_t next)
	{
		if (status == cudaSuccess)
			status = next;
	}

	/* The kernel was launched: its output. */
	int
	finish(void *output, size_t bytes)
	{
		note(cudaGetLastError());
		note(cudaMemcpyAsync(output, memory[1], bytes, cudaMemcpyDeviceToHost, stream));
		note(cudaStreamSynchronize(stream));
		return status;
	}
};

static unsigned
blocks_for(uint32_t n)
{
	return (n + BLOCK - 1) / BLOCK;
}

/* --- sums ------------------------------------------------------------------------------------------------------------ */

template <typename T>
static __global__ void
sum_shared(const T *__restrict__ values, uint32_t n, T *sum)
{
	__shared__ T parts[BLOCK];
	uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
	parts[threadIdx.x] = i < n ? values[i] : T(0);
	for (unsigned half = BLOCK / 2; half > 0; half /= 2) {
		__syncthreads();
		if (threadIdx.x < half)
			parts[threadIdx.x] += parts[threadIdx.x + half];
	}
	if (threadIdx.x == 0)
		atomicAdd(sum, parts[0]);
}

static __global__ void
sum_shuffled(const float *values, uint32_t n, float *sum)
{
	float own = 0;
	for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		own += values[i];
	for (int step = WARP / 2; step > 0; step /= 2)
		own += __shfl_xor_sync(0xffffffffU, own, step);
	float down = __shfl_down_sync(0xffffffffU, own, 1),
	      first = __shfl_sync(0xffffffffU, own, 0);
	if (threadIdx.x % WARP == 0 && down == own && first == own)
		atomicAdd(sum, own);
}

int
standin_sum_shared(const float *values, uint32_t n, float *sum)
{
	bench on(values, n * sizeof(float), sizeof(float));
	KERNEL_LAUNCH((sum_shared<float>), blocks_for(n), BLOCK, 0, on.stream,
		      (const float *)on.memory[0], n, (float *)on.memory[1]);
	return on.finish(sum, sizeof(float));
}

int
standin_sum_shuffled(const float *values, uint32_t n, float *sum)
{
	bench on(values, n * sizeof(float), sizeof(float));
	KERNEL_LAUNCH(sum_shuffled, 3, BLOCK, 0, on.stream, (const float *)on.memory[0], n,
		      (float *)on.memory[1]);
	return on.finish(sum, sizeof(float));
}

/* --- transpose ------------------------------------------------------------------------------------------------------- */

static __global__ void
transpose(const float *from, uint32_t rows, uint32_t columns, float *to)
{
	__shared__ float tile[TILE][TILE + 1];
	uint32_t x = blockIdx.x * TILE + threadIdx.x, y = blockIdx.y * TILE + threadIdx.y;
	if (x < columns && y < rows)
		tile[threadIdx.y][threadIdx.x] = from[y * columns + x];
	__syncthreads();
	x = blockIdx.y * TILE + threadIdx.x;
	y = blockIdx.x * TILE + threadIdx.y;
	if (x < rows && y < columns)
		to[y * rows + x] = tile[threadIdx.x][threadIdx.y];
}

int
standin_transpose(const float *from, uint32_t rows, uint32_t columns, float *to)
{
	size_t bytes = sizeof(float) * rows * columns;
	bench on(from, bytes, bytes);
	dim3 grid((columns + TILE - 1) / TILE, (rows + TILE - 1) / TILE);
	KERNEL_LAUNCH(transpose, grid, dim3(TILE, TILE), 0, on.stream, (const float *)on.memory[0],
		      rows, columns, (float *)on.memory[1]);
	return on.finish(to, bytes);
}

/* --- atomics, dynamic shared memory, ballots -------------------------------------------------------------------------- */

static __global__ void
histogram(const uint8_t *bytes, uint32_t n, uint32_t *counts)
{
	__shared__ uint32_t own[256];
	for (uint32_t i = threadIdx.x; i < 256; i += blockDim.x)
		own[i] = 0;
	__syncthreads();
	for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		atomicAdd(&own[bytes[i]], 1);
	__syncthreads();
	for (uint32_t i = threadIdx.x; i < 256; i += blockDim.x)
		atomicAdd(&counts[i], own[i]);
}

int
standin_histogram(const uint8_t *bytes, uint32_t n, uint32_t *counts)
{
	bench on(bytes, n, 256 * sizeof(uint32_t));
	KERNEL_LAUNCH(histogram, 2, 96, 0, on.stream, (const uint8_t *)on.memory[0], n,
		      (uint32_t *)on.memory[1]);
	return on.finish(counts, 256 * sizeof(uint32_t));
}

static __global__ void
scan(const int32_t *values, uint32_t n, int32_t *sums)
{
	KERNEL_SHARED(int32_t, parts);
	uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
	parts[threadIdx.x] = i < n ? values[i] : 0;
	for (unsigned step = 1; step < blockDim.x; step *= 2) {
		__syncthreads();
		int32_t before = threadIdx.x >= step ? parts[threadIdx.x - step] : 0;
		__syncthreads();
		parts[threadIdx.x] += before;
	}
	if (i < n)
		sums[i] = parts[threadIdx.x];
}

int
standin_scan(const int32_t *values, uint32_t n, int32_t *sums)
{
	bench on(values, n * sizeof(int32_t), n * sizeof(int32_t));
	KERNEL_LAUNCH(scan, blocks_for(n), BLOCK, BLOCK * sizeof(int32_t), on.stream,
		      (const int32_t *)on.memory[0], n, (int32_t *)on.memory[1]);
	return on.finish(sums, n * sizeof(int32_t));
}

static __global__ void
odd_ranks(const int32_t *values, uint32_t n, int32_t *ranks)
{
	uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % WARP;
	bool is_odd = i < n && (values[i] & 1) != 0;
	unsigned odd = __ballot_sync(0xffffffffU, is_odd);
	if (i < n)
		ranks[i] = is_odd ? __popc(odd & ((1U << lane) - 1)) : -1;
}

int
standin_odd_ranks(const int32_t *values, uint32_t n, int32_t *ranks)
{
	bench on(values, n * sizeof(int32_t), n * sizeof(int32_t));
	KERNEL_LAUNCH(odd_ranks, blocks_for(n), BLOCK, 0, on.stream, (const int32_t *)on.memory[0],
		      n, (int32_t *)on.memory[1]);
	return on.finish(ranks, n * sizeof(int32_t));
}

/* --- crimes ---------------------------------------------------------------------------------------------------------- */

static __global__ void
diverge(int *out)
{
	if (threadIdx.x == 5)
		return;
	__syncthreads();
	out[threadIdx.x] = 1;
}

static __global__ void
reach_beyond(int *out)
{
	out[(threadIdx.x + 1) << 20] = 1;
}

static __global__ void
add_one(int *out)
{
	out[threadIdx.x] += 1;
}

static __global__ void __launch_bounds__(1024) add_wide(int *out)
{
	if (threadIdx.x < BLOCK)
		out[threadIdx.x] += 1;
}

static __global__ void
meet(int *out)
{
	__syncthreads();
	out[threadIdx.x] = 1;
}

static __global__ void
race(int *out)
{
	__shared__ int shared[BLOCK];
	shared[threadIdx.x] = (int)threadIdx.x;
	__syncthreads();
	out[threadIdx.x] = shared[(threadIdx.x + 1) % BLOCK];
	shared[threadIdx.x] = 0;
}

int
standin_commit(enum standin_crime crime)
{
	int zeros[BLOCK] = {};
	bench on(zeros, sizeof(zeros), sizeof(zeros));
	int *out = (int *)on.memory[1];
	switch (crime) {
	case STANDIN_CRIME_DIVERGE:
		KERNEL_LAUNCH(diverge, 1, BLOCK, 0, on.stream, out);
		break;
	case STANDIN_CRIME_BEYOND:
		KERNEL_LAUNCH_FLAT(reach_beyond, 1, BLOCK, on.stream, out);
		break;
	case STANDIN_CRIME_HOST_POINTER:
		KERNEL_LAUNCH_FLAT(add_one, 1, BLOCK, on.stream, zeros);
		break;
	case STANDIN_CRIME_FLAT_BARRIER:
		KERNEL_LAUNCH_FLAT(meet, 1, BLOCK, on.stream, out);
		break;
	case STANDIN_CRIME_TOO_MANY_THREADS:
		KERNEL_LAUNCH_FLAT(add_one, 1, 2048, on.stream, out);
		break;
	case STANDIN_CRIME_UNBOUNDED:
		KERNEL_LAUNCH_FLAT(add_one, 1, 1024, on.stream, out);
		break;
	case STANDIN_CRIME_BOUNDED:
		KERNEL_LAUNCH_FLAT(add_wide, 1, 1024, on.stream, out);
		break;
	case STANDIN_CRIME_OTHER_DEVICE:
		cudaSetDevice(1);
		KERNEL_LAUNCH_FLAT(add_one, 1, BLOCK, on.stream, out);
		cudaSetDevice(0);
		break;
	case STANDIN_CRIME_NULL:
		KERNEL_LAUNCH_FLAT(add_one, 1, BLOCK, on.stream, (int *)NULL);
		break;
	case STANDIN_CRIME_RACE:
		KERNEL_LAUNCH(race, 1, BLOCK, 0, on.stream, out);
		break;
	}
	return on.finish(zeros, sizeof(zeros));
}

void
standin_peek(void)
{
	int word = 0;
	bench on(&word, sizeof(word), sizeof(word));
	KERNEL_LAUNCH_FLAT(add_one, 1, 1, on.stream, (int *)on.memory[1]);
	on.finish(&word, sizeof(word));
	volatile int *there = (volatile int *)on.memory[1];
	word = *there;
}

/* --- graphs ---------------------------------------------------------------------------------------------------------- */

int
standin_replay(const float *values, uint32_t n, uint32_t times, float *sum)
{
	bench on(values, n * sizeof(float), sizeof(float));
	cudaStream_t side = NULL;
	cudaEvent_t fork = NULL, join = NULL;
	cudaGraph_t graph = NULL;
	cudaGraphExec_t exec = NULL;
	uint32_t half = n / 2;
	on.note(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
	on.note(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
	on.note(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
	on.note(cudaStreamBeginCapture(on.stream, cudaStreamCaptureModeThreadLocal));
	on.note(cudaEventRecord(fork, on.stream));
	on.note(cudaStreamWaitEvent(side, fork, 0));
	KERNEL_LAUNCH((sum_shared<float>), blocks_for(half), BLOCK, 0, on.stream,
		      (const float *)on.memory[0], half, (float *)on.memory[1]);
	KERNEL_LAUNCH((sum_shared<float>), blocks_for(n - half), BLOCK, 0, side,
		      (const float *)on.memory[0] + half, n - half, (float *)on.memory[1]);
	on.note(cudaEventRecord(join, side));
	on.note(cudaStreamWaitEvent(on.stream, join, 0));
	on.note(cudaStreamEndCapture(on.stream, &graph));
	on.note(cudaGraphInstantiate(&exec, graph, 0));
	on.note(cudaGraphDestroy(graph));
	for (uint32_t i = 0; i < times; i++)
		on.note(cudaGraphLaunch(exec, on.stream));
	int status = on.finish(sum, sizeof(float));
	cudaGraphExecDestroy(exec);
	cudaEventDestroy(fork);
	cudaEventDestroy(join);
	cudaStreamDestroy(side);
	return status;
}

struct ending {
	cudaStream_t stream;
	cudaError_t status;
};

static void *
end_elsewhere(void *context)
{
	struct ending *ending = (struct ending *)context;
	cudaGraph_t graph;
	ending->status = cudaStreamEndCapture(ending->stream, &graph);
	return NULL;
}

int
standin_break_capture(int how)
{
	float zero = 0;
	bench on(&zero, sizeof(zero), sizeof(zero));
	cudaStream_t side = NULL;
	cudaEvent_t event = NULL;
	cudaGraph_t graph = NULL;
	void *memory;
	pthread_t thread;
	on.note(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
	on.note(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
	on.note(cudaStreamBeginCapture(on.stream, cudaStreamCaptureModeThreadLocal));
	ending elsewhere = { on.stream, cudaSuccess };
	if (how == 0) {
		on.note(cudaEventRecord(event, on.stream));
		on.note(cudaStreamWaitEvent(side, event, 0));
		on.note(cudaMemsetAsync(on.memory[1], 0, sizeof(zero), side));
	} else if (how == 1) {
		on.note(cudaEventRecord(event, side));
		on.note(cudaStreamWaitEvent(on.stream, event, 0));
	} else if (how == 2) {
		cudaMalloc(&memory, 512);
	} else {
		pthread_create(&thread, NULL, end_elsewhere, &elsewhere);
		pthread_join(thread, NULL);
		on.note(elsewhere.status);
	}
	on.note(cudaStreamEndCapture(on.stream, &graph));
	if (graph != NULL)
		cudaGraphDestroy(graph);
	cudaEventDestroy(event);
	cudaStreamDestroy(side);
	return on.status;
}
