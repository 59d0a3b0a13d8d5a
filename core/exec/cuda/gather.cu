/* Kernels that read and write where another tensor says. */
#include "exec/cuda/number.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_deconv.h"
#include "exec/op_gather.h"
#include "exec/op_lookup.h"
#include "exec/op_scatter.h"
}

/* Where a kernel tells that an index does not fit. */
struct witness {
	struct cuda_fault *fault;
	uint64_t label;
};

static struct witness
witness_of(const struct operands *operands)
{
	return { cuda_op_compute(operands)->fault, label_of(operands) };
}

static __device__ __forceinline__ int64_t
fit(int64_t index, int64_t limit, const struct witness &witness)
{
	return check_index(index, limit, witness.fault, witness.label);
}

/* --- whole rows ------------------------------------------------------------------------------------------------------------ */

/* Rows of `row` units; out[o][i] = in[o][indices[i]]. */
template <typename T>
static __global__ void
gather_kernel(struct gather gather, int64_t row, const T *in, const void *indices, T *out,
	      int64_t n, struct witness witness)
{
	KERNEL_LOOP(i, n)
	{
		int64_t line = i / row, outer = line / gather.indices;
		int64_t index = fit(load_index(indices, gather.wide, line % gather.indices),
				    gather.dim, witness);
		out[i] = in[(outer * gather.dim + index) * row + i % row];
	}
}

template <typename T>
static void
put_gather(const struct gather *gather, const struct operands *operands)
{
	int64_t row = (int64_t)(gather->row_bytes / sizeof(T));
	int64_t n = gather->outer * gather->indices * row;
	KERNEL_LAUNCH_FLAT(gather_kernel<T>, grid_for(n), BLOCK, stream_of(operands), *gather, row,
			   (const T *)operands->inputs[0], operands->inputs[1],
			   (T *)operands->outputs[0], n, witness_of(operands));
}

extern "C" int
cuda_gather_run(const void *state, const struct operands *operands)
{
	const struct gather *gather = (const struct gather *)state;
	by_unit(gather->row_bytes,
		[=](auto unit) { put_gather<decltype(unit)>(gather, operands); });
	return launched(operands, "gather_kernel");
}

/* Indices that are none read the row behind the last. */
template <typename T>
static __global__ void
lookup_kernel(struct lookup lookup, int64_t row, const void *indices, const T *table, T *out,
	      int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t index = load_index(indices, lookup.wide, i / row);
		if (index < 0 || index > lookup.rows)
			index = lookup.rows;
		out[i] = table[index * row + i % row];
	}
}

template <typename T>
static void
put_lookup(const struct lookup *lookup, const struct operands *operands)
{
	int64_t row = (int64_t)(lookup->row_bytes / sizeof(T)), n = lookup->indices * row;
	KERNEL_LAUNCH_FLAT(lookup_kernel<T>, grid_for(n), BLOCK, stream_of(operands), *lookup, row,
			   operands->inputs[0], (const T *)operands->inputs[1],
			   (T *)operands->outputs[0], n);
}

extern "C" int
cuda_gather_lookup(const void *state, const struct operands *operands)
{
	const struct lookup *lookup = (const struct lookup *)state;
	by_unit(lookup->row_bytes,
		[=](auto unit) { put_lookup<decltype(unit)>(lookup, operands); });
	return launched(operands, "lookup_kernel");
}

/* --- single elements -------------------------------------------------------------------------------------------------------- */

/* The place in data of position i of indices. */
static __device__ int64_t
place_of(const struct elements &elements, const void *indices, int64_t i,
	 const struct witness &witness)
{
	bool wide = elements.index_type == DATA_TYPE_INT64;
	int64_t place = fit(load_index(indices, wide, i), elements.dim, witness) *
			elements.steps[elements.axis];
	for (int d = (int)elements.rank - 1; d >= 0; d--) {
		if (d != (int)elements.axis)
			place += i % elements.dims[d] * elements.steps[d];
		i /= elements.dims[d];
	}
	return place;
}

static int64_t
positions_of(const struct elements *elements)
{
	int64_t positions = 1;
	for (uint32_t i = 0; i < elements->rank; i++)
		positions *= elements->dims[i];
	return positions;
}

template <typename T>
static __global__ void
gather_elements_kernel(struct elements elements, const T *in, const void *indices, T *out,
		       int64_t n, struct witness witness)
{
	KERNEL_LOOP(i, n)
	out[i] = in[place_of(elements, indices, i, witness)];
}

extern "C" int
cuda_gather_elements(const void *state, const struct operands *operands)
{
	const struct elements *elements = (const struct elements *)state;
	int64_t n = positions_of(elements);
	switch (elements->element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(gather_elements_kernel<type>, grid_for(n), BLOCK,               \
				   stream_of(operands), *elements,                                 \
				   (const type *)operands->inputs[0], operands->inputs[1],         \
				   (type *)operands->outputs[0], n, witness_of(operands));         \
		break;
		SIZES(X)
#undef X
	}
	return launched(operands, "gather_elements_kernel");
}

/* *to = f(*to, x), whatever other threads do to it. */
template <typename T, typename W>
static __device__ void
update_word(enum row_binary function, T *to, T x)
{
	typedef typename number<T>::type R;
	typedef typename number<T>::kind K;
	union both {
		T number;
		W bits;
	} old, next;
	old.bits = kernel_peek((const W *)to);
	for (;;) {
		R sum = of_two(function, number<T>::load(old.number), number<T>::load(x),
			       (const K *)0);
		next.number = number<T>::store(sum);
		W seen = atomicCAS((W *)to, old.bits, next.bits);
		if (seen == old.bits)
			return;
		old.bits = seen;
	}
}

template <typename T, size_t bytes> struct update;
template <typename T> struct update<T, 4> {
	static __device__ void
	at(enum row_binary function, T *to, T x)
	{
		update_word<T, unsigned>(function, to, x);
	}
};
template <typename T> struct update<T, 8> {
	static __device__ void
	at(enum row_binary function, T *to, T x)
	{
		update_word<T, unsigned long long>(function, to, x);
	}
};

/* Which of several updates of one element counts, ONNX leaves open. */
template <typename T>
static __global__ void
scatter_elements_kernel(struct elements elements, const void *indices, const T *updates, T *out,
			int64_t n, struct witness witness)
{
	KERNEL_LOOP(i, n)
	out[place_of(elements, indices, i, witness)] = updates[i];
}

template <typename T>
static __global__ void
update_elements_kernel(struct elements elements, const void *indices, const T *updates, T *out,
		       int64_t n, struct witness witness)
{
	KERNEL_LOOP(i, n)
	update<T, sizeof(T)>::at(elements.reduction, &out[place_of(elements, indices, i, witness)],
				 updates[i]);
}

static int
copy_data(const struct operands *operands, int64_t elements, size_t element_bytes)
{
	return cuda_op_launched(operands,
				cudaMemcpyAsync(operands->outputs[0], operands->inputs[0],
						(size_t)elements * element_bytes,
						cudaMemcpyDeviceToDevice, stream_of(operands)),
				"cudaMemcpyAsync");
}

/* The state for a kernel: the host's function is of no use there. */
template <typename S>
static S
bare(const S *state)
{
	S copy = *state;
	copy.reduce = NULL;
	return copy;
}

/* Types that updates can be combined in. */
#define UPDATE_TYPES(X)                                                                            \
	X(FLOAT, float)                                                                            \
	X(DOUBLE, double)                                                                          \
	X(INT32, int32_t)                                                                          \
	X(INT64, int64_t)                                                                          \
	X(UINT32, uint32_t)                                                                        \
	X(UINT64, uint64_t)

extern "C" int
cuda_gather_scatter_elements(const void *state, const struct operands *operands)
{
	const struct elements *elements = (const struct elements *)state;
	int64_t n = positions_of(elements);
	if (copy_data(operands, elements->data_elements, elements->element_bytes) != 0)
		return -1;
	if (elements->reduce != NULL) {
		switch (elements->data_type) {
#define X(N, type)                                                                                 \
	case DATA_TYPE_##N:                                                                        \
		KERNEL_LAUNCH_FLAT(update_elements_kernel<type>, grid_for(n), BLOCK,               \
				   stream_of(operands), bare(elements), operands->inputs[1],       \
				   (const type *)operands->inputs[2],                              \
				   (type *)operands->outputs[0], n, witness_of(operands));         \
		break;
			UPDATE_TYPES(X)
#undef X
		default:
			KERNEL_UNREACHABLE;
		}
		return launched(operands, "update_elements_kernel");
	}
	switch (elements->element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(scatter_elements_kernel<type>, grid_for(n), BLOCK,              \
				   stream_of(operands), bare(elements), operands->inputs[1],       \
				   (const type *)operands->inputs[2],                              \
				   (type *)operands->outputs[0], n, witness_of(operands));         \
		break;
		SIZES(X)
#undef X
	}
	return launched(operands, "scatter_elements_kernel");
}

/* --- slices ------------------------------------------------------------------------------------------------------------------- */

/* Where in data the slice of that tuple begins. */
static __device__ int64_t
slice_of(const struct slices &slices, const void *indices, int64_t tuple,
	 const struct witness &witness)
{
	bool wide = slices.index_type == DATA_TYPE_INT64;
	int64_t place = tuple / slices.tuples_per_batch * slices.batch_elements;
	for (int64_t i = 0; i < slices.width; i++)
		place += fit(load_index(indices, wide, tuple * slices.width + i), slices.dims[i],
			     witness) *
			 slices.steps[i];
	return place;
}

template <typename T>
static __global__ void
gather_nd_kernel(struct slices slices, const T *in, const void *indices, T *out, int64_t n,
		 struct witness witness)
{
	KERNEL_LOOP(i, n)
	out[i] = in[slice_of(slices, indices, i / slices.slice_elements, witness) +
		    i % slices.slice_elements];
}

template <typename T>
static __global__ void
scatter_nd_kernel(struct slices slices, const void *indices, const T *updates, T *out, int64_t n,
		  struct witness witness)
{
	KERNEL_LOOP(i, n)
	out[slice_of(slices, indices, i / slices.slice_elements, witness) +
	    i % slices.slice_elements] = updates[i];
}

template <typename T>
static __global__ void
update_nd_kernel(struct slices slices, const void *indices, const T *updates, T *out, int64_t n,
		 struct witness witness)
{
	KERNEL_LOOP(i, n)
	update<T, sizeof(T)>::at(
		slices.reduction,
		&out[slice_of(slices, indices, i / slices.slice_elements, witness) +
		     i % slices.slice_elements],
		updates[i]);
}

extern "C" int
cuda_gather_nd(const void *state, const struct operands *operands)
{
	const struct slices *slices = (const struct slices *)state;
	int64_t n = slices->tuples * slices->slice_elements;
	switch (slices->element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(gather_nd_kernel<type>, grid_for(n), BLOCK,                     \
				   stream_of(operands), *slices,                                   \
				   (const type *)operands->inputs[0], operands->inputs[1],         \
				   (type *)operands->outputs[0], n, witness_of(operands));         \
		break;
		SIZES(X)
#undef X
	}
	return launched(operands, "gather_nd_kernel");
}

extern "C" int
cuda_gather_scatter_nd(const void *state, const struct operands *operands)
{
	const struct slices *slices = (const struct slices *)state;
	int64_t n = slices->tuples * slices->slice_elements;
	if (copy_data(operands, slices->data_elements, slices->element_bytes) != 0)
		return -1;
	if (slices->reduce != NULL) {
		switch (slices->data_type) {
#define X(N, type)                                                                                 \
	case DATA_TYPE_##N:                                                                        \
		KERNEL_LAUNCH_FLAT(update_nd_kernel<type>, grid_for(n), BLOCK,                     \
				   stream_of(operands), bare(slices), operands->inputs[1],         \
				   (const type *)operands->inputs[2],                              \
				   (type *)operands->outputs[0], n, witness_of(operands));         \
		break;
			UPDATE_TYPES(X)
#undef X
		default:
			KERNEL_UNREACHABLE;
		}
		return launched(operands, "update_nd_kernel");
	}
	switch (slices->element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(scatter_nd_kernel<type>, grid_for(n), BLOCK,                    \
				   stream_of(operands), bare(slices), operands->inputs[1],         \
				   (const type *)operands->inputs[2],                              \
				   (type *)operands->outputs[0], n, witness_of(operands));         \
		break;
		SIZES(X)
#undef X
	}
	return launched(operands, "scatter_nd_kernel");
}

/* --- MaxUnpool ------------------------------------------------------------------------------------------------------------------ */

template <typename T>
static __global__ void
unpool_kernel(struct unpool unpool, int64_t own, const T *in, const int64_t *indices, T *out,
	      struct witness witness)
{
	KERNEL_LOOP(i, unpool.in_elements)
	{
		int64_t index = indices[i], place = 0, step = 1;
		if (index < 0 || index >= own) {
			report_fault(witness.fault, witness.label, index, own);
			continue;
		}
		for (int d = (int)unpool.rank - 1; d >= 0; d--) {
			place += index % unpool.own_dims[d] * step;
			index /= unpool.own_dims[d];
			step *= unpool.out_dims[d];
		}
		out[place] = in[i];
	}
}

extern "C" int
cuda_gather_unpool(const void *state, const struct operands *operands)
{
	const struct unpool *unpool = (const struct unpool *)state;
	int64_t own = 1;
	for (uint32_t i = 0; i < unpool->rank; i++)
		own *= unpool->own_dims[i];
	cudaError_t status = cudaMemsetAsync(operands->outputs[0], 0,
					     (size_t)unpool->out_elements * unpool->element_bytes,
					     stream_of(operands));
	if (cuda_op_launched(operands, status, "cudaMemsetAsync") != 0)
		return -1;
	switch (unpool->element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(unpool_kernel<type>, grid_for(unpool->in_elements), BLOCK,      \
				   stream_of(operands), *unpool, own,                              \
				   (const type *)operands->inputs[0],                              \
				   (const int64_t *)operands->inputs[1],                           \
				   (type *)operands->outputs[0], witness_of(operands));            \
		break;
		SIZES(X)
#undef X
	}
	return launched(operands, "unpool_kernel");
}
