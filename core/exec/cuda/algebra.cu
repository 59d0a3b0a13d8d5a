/* Kernels of linear algebra and losses: Einsum, Det, cross entropies. */
#include "exec/cuda/number.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_einsum.h"
#include "exec/op_loss.h"
}

/* --- Einsum ------------------------------------------------------------------------------------------------------------------ */

struct einsum_at {
	const void *inputs[OP_EINSUM_OPERANDS];
};

/* Move places by the index `rest` of loops first … end-1, counted as one. */
static __device__ void
advance(const struct einsum &einsum, int64_t rest, uint32_t first, uint32_t end, int64_t *at)
{
	for (uint32_t i = end; i-- > first;) {
		for (uint32_t k = 0; k < einsum.operands; k++)
			at[k] += rest % einsum.dims[i] * einsum.steps[k][i];
		rest /= einsum.dims[i];
	}
}

static __global__ void
einsum_kernel(struct einsum einsum, struct einsum_at from, void *out, int64_t n, int64_t products)
{
	KERNEL_LOOP(i, n)
	{
		int64_t base[OP_EINSUM_OPERANDS] = {};
		double sum = 0;
		advance(einsum, i, 0, einsum.out_rank, base);
		for (int64_t p = 0; p < products; p++) {
			int64_t at[OP_EINSUM_OPERANDS];
			double product = 1;
			for (uint32_t k = 0; k < einsum.operands; k++)
				at[k] = base[k];
			advance(einsum, p, einsum.out_rank, einsum.out_rank + einsum.sum_rank, at);
			for (uint32_t k = 0; k < einsum.operands; k++)
				product *= load_any(einsum.data_type, from.inputs[k], at[k]).real;
			sum += product;
		}
		store_any(einsum.data_type, out, i, DATA_TYPE_DOUBLE, any_number{ sum, 0, false });
	}
}

extern "C" int
cuda_algebra_einsum(const void *state, const struct operands *operands)
{
	const struct einsum *einsum = (const struct einsum *)state;
	struct einsum_at from = {};
	int64_t n = 1, products = 1;
	for (uint32_t i = 0; i < einsum->operands; i++)
		from.inputs[i] = operands->inputs[i];
	for (uint32_t i = 0; i < einsum->out_rank + einsum->sum_rank; i++)
		*(i < einsum->out_rank ? &n : &products) *= einsum->dims[i];
	KERNEL_LAUNCH_FLAT(einsum_kernel, grid_for(n), BLOCK, stream_of(operands), *einsum, from,
			   operands->outputs[0], n, products);
	return launched(operands, "einsum_kernel");
}

/* --- Det --------------------------------------------------------------------------------------------------------------------- */

/* One block, a matrix after the other in scratch: elimination with the largest pivot of each column, a row a thread. */
static __global__ void
det_kernel(struct det det, const void *in, double *m, void *out)
{
	__shared__ int64_t pivot;
	int64_t n = det.n;
	for (int64_t matrix = 0; matrix < det.matrices; matrix++) {
		double result = 1;
		__syncthreads();
		for (int64_t i = threadIdx.x; i < n * n; i += blockDim.x)
			m[i] = load_any(det.data_type, in, matrix * n * n + i).real;
		__syncthreads();
		for (int64_t i = 0; i < n; i++) {
			if (threadIdx.x == 0) {
				pivot = i;
				for (int64_t k = i + 1; k < n; k++)
					if (fabs(m[k * n + i]) > fabs(m[pivot * n + i]))
						pivot = k;
			}
			__syncthreads();
			int64_t p = pivot;
			for (int64_t c = threadIdx.x; p != i && c < n; c += blockDim.x) {
				double kept = m[i * n + c];
				m[i * n + c] = m[p * n + c];
				m[p * n + c] = kept;
			}
			__syncthreads();
			double diagonal = m[i * n + i];
			result *= p != i ? -diagonal : diagonal;
			for (int64_t k = i + 1 + threadIdx.x; diagonal != 0 && k < n;
			     k += blockDim.x) {
				double factor = m[k * n + i] / diagonal;
				for (int64_t c = i; c < n; c++)
					m[k * n + c] -= factor * m[i * n + c];
			}
			__syncthreads();
		}
		if (threadIdx.x == 0)
			store_any(det.data_type, out, matrix, DATA_TYPE_DOUBLE,
				  any_number{ result, 0, false });
	}
}

extern "C" int
cuda_algebra_det(const void *state, const struct operands *operands)
{
	const struct det *det = (const struct det *)state;
	KERNEL_LAUNCH(det_kernel, 1, BLOCK, 0, stream_of(operands), *det, operands->inputs[0],
		      (double *)operands->scratch, operands->outputs[0]);
	return launched(operands, "det_kernel");
}

/* --- losses -------------------------------------------------------------------------------------------------------------------- */

struct loss_at {
	const float *scores;
	const void *targets;
	/* May be NULL. */
	const float *weights;
	float *out;
	float *log_probabilities;
	struct cuda_fault *fault;
	uint64_t label;
};

/* log(sum(exp(scores))) over the classes, step elements apart. */
static __device__ float
log_sum(const float *scores, int64_t classes, int64_t step)
{
	float most = scores[0];
	double sum = 0;
	for (int64_t i = 1; i < classes; i++)
		most = fmaxf(most, scores[i * step]);
	for (int64_t i = 0; i < classes; i++)
		sum += exp((double)scores[i * step] - most);
	return most + (float)log(sum);
}

/* One block, since all targets make one number. */
static __global__ void KERNEL_WIDE
loss_kernel(struct loss loss, struct loss_at at)
{
	__shared__ double scratch[WARP];
	double total = 0, total_weight = 0;
	bool wide = loss.target_type == DATA_TYPE_INT64;
	for (int64_t i = threadIdx.x; i < loss.batch * loss.size; i += blockDim.x) {
		int64_t first = i / loss.size * loss.classes * loss.size + i % loss.size;
		int64_t target = load_index(at.targets, wide, i);
		bool ignored = loss.has_ignored && target == loss.ignored;
		bool fits = target >= 0 && target < loss.classes;
		float shift = 0, value = 0, weight = 0;
		if (loss.takes_softmax)
			shift = log_sum(at.scores + first, loss.classes, loss.size);
		if (!ignored && !fits)
			report_fault(at.fault, at.label, target, loss.classes);
		if (!ignored && fits) {
			weight = at.weights != NULL ? at.weights[target] : 1;
			value = -(at.scores[first + target * loss.size] - shift) * weight;
		}
		for (int64_t k = 0; at.log_probabilities != NULL && k < loss.classes; k++)
			at.log_probabilities[first + k * loss.size] =
				at.scores[first + k * loss.size] - shift;
		if (loss.reduction == REDUCTION_NONE)
			at.out[i] = value;
		total += value;
		total_weight += weight;
	}
	total = block_reduce(total, add_up(), scratch);
	total_weight = block_reduce(total_weight, add_up(), scratch);
	if (threadIdx.x == 0 && loss.reduction != REDUCTION_NONE)
		at.out[0] = (float)(loss.reduction == REDUCTION_SUM ? total : total / total_weight);
}

extern "C" int
cuda_algebra_loss(const void *state, const struct operands *operands)
{
	const struct loss *loss = (const struct loss *)state;
	struct loss_at at = { (const float *)operands->inputs[0],
			      operands->inputs[1],
			      loss->has_weights ? (const float *)operands->inputs[2] : NULL,
			      (float *)operands->outputs[0],
			      loss->wants_log_probabilities ? (float *)operands->outputs[1] : NULL,
			      cuda_op_compute(operands)->fault,
			      label_of(operands) };
	KERNEL_LAUNCH(loss_kernel, 1, WIDE, 0, stream_of(operands), *loss, at);
	return launched(operands, "loss_kernel");
}
