/* The kernel of recurrent networks: a block takes one sequence of the batch through all of its steps. */
#include "exec/cuda/kernel.cuh"

struct sequence_at {
	struct cuda_fault *fault;
	uint64_t label;
	float *scratch;
};

static __device__ float
activate(const struct recurrent &shape, const struct recurrent_function &function, float x)
{
	float alpha = function.alpha, beta = function.beta;
	x = fminf(fmaxf(x, -shape.clip), shape.clip);
	switch (function.activation) {
	case RECURRENT_RELU:
		return x > 0 ? x : 0;
	case RECURRENT_TANH:
		return tanhf(x);
	case RECURRENT_SIGMOID:
		return 1 / (1 + expf(-x));
	case RECURRENT_AFFINE:
		return alpha * x + beta;
	case RECURRENT_LEAKY_RELU:
		return x < 0 ? alpha * x : x;
	case RECURRENT_THRESHOLDED_RELU:
		return x > alpha ? x : 0;
	case RECURRENT_SCALED_TANH:
		return alpha * tanhf(beta * x);
	case RECURRENT_HARD_SIGMOID:
		return fminf(fmaxf(alpha * x + beta, 0), 1);
	case RECURRENT_ELU:
		return x < 0 ? alpha * expm1f(x) : x;
	case RECURRENT_SOFTSIGN:
		return x / (1 + fabsf(x));
	default:
		return log1pf(expf(-fabsf(x))) + fmaxf(x, 0);
	}
}

/* The state's last function is not clipped. */
static __device__ float
activate_state(const struct recurrent &shape, const struct recurrent_function &function, float x)
{
	struct recurrent open = shape;
	open.clip = INFINITY;
	return activate(open, function, x);
}

/* out[row] = matrix[row] . vector + bias[row] (+ what is there): a warp a row, its lanes side by side. */
static __device__ void
product(float *out, const float *matrix, const float *vector, const float *bias, int64_t rows,
	int64_t columns, bool adds)
{
	unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
	for (int64_t row = warp; row < rows; row += blockDim.x / WARP) {
		float sum = 0;
		for (int64_t i = lane; i < columns; i += WARP)
			sum += matrix[row * columns + i] * vector[i];
		for (int step = WARP / 2; step > 0; step /= 2)
			sum += __shfl_xor_sync(0xffffffffU, sum, step);
		if (lane == 0)
			out[row] = sum + (bias != NULL ? bias[row] : 0) + (adds ? out[row] : 0);
	}
	__syncthreads();
}

/* Gates z, r, h, of which the input's part is there. */
static __device__ void
step_gru(const struct recurrent &shape, const struct recurrent_function *functions,
	 const struct recurrent_direction &direction, const float *bias, float *gates, float *spare,
	 float *h)
{
	int64_t n = shape.hidden;
	const float *candidate = bias == NULL ? NULL : bias + 2 * n;
	product(gates, direction.r, h, bias, 2 * n, n, true);
	for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
		gates[i] = activate(shape, functions[0], gates[i]);
		gates[n + i] = activate(shape, functions[0], gates[n + i]);
		if (!shape.linear_before_reset)
			spare[i] = gates[n + i] * h[i];
	}
	__syncthreads();
	if (shape.linear_before_reset) {
		product(spare, direction.r + 2 * n * n, h, candidate, n, n, false);
		for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
			gates[2 * n + i] += gates[n + i] * spare[i];
		__syncthreads();
	} else {
		product(gates + 2 * n, direction.r + 2 * n * n, spare, candidate, n, n, true);
	}
	for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
		float next = activate(shape, functions[1], gates[2 * n + i]);
		h[i] = (1 - gates[i]) * next + gates[i] * h[i];
	}
	__syncthreads();
}

/* Gates i, o, f, c; peepholes i, o, f. */
static __device__ void
step_lstm(const struct recurrent &shape, const struct recurrent_function *functions,
	  const struct recurrent_direction &direction, const float *gates, float *h, float *c)
{
	int64_t n = shape.hidden;
	const float *p = direction.p;
	for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
		float old = c[i], in = gates[i], out = gates[n + i], forget = gates[2 * n + i];
		in = activate(shape, functions[0], in + (p != NULL ? p[i] * old : 0));
		forget = activate(shape, functions[0],
				  forget + (p != NULL ? p[2 * n + i] * old : 0));
		float cell = activate(shape, functions[1], gates[3 * n + i]);
		float next = (shape.couples_input_forget ? 1 - in : forget) * old + in * cell;
		out = activate(shape, functions[0], out + (p != NULL ? p[n + i] * next : 0));
		c[i] = next;
		h[i] = out * activate_state(shape, functions[2], next);
	}
	__syncthreads();
}

static __device__ void
step(const struct recurrent &shape, const struct recurrent_direction &direction, const float *x,
     float *gates, float *spare, float *h, float *c)
{
	int64_t n = shape.hidden, rows = shape.gates * n;
	const float *bias = direction.b == NULL ? NULL : direction.b + rows;
	const struct recurrent_function *functions = shape.functions[direction.index];
	product(gates, direction.w, x, direction.b, rows, shape.in, false);
	if (shape.kind == RECURRENT_GRU) {
		step_gru(shape, functions, direction, bias, gates, spare, h);
		return;
	}
	product(gates, direction.r, h, bias, rows, n, true);
	if (shape.kind == RECURRENT_LSTM) {
		step_lstm(shape, functions, direction, gates, h, c);
		return;
	}
	for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
		h[i] = activate(shape, functions[0], gates[i]);
	__syncthreads();
}

/* n elements of from (NULL: zeros) to `to` (NULL: nowhere). */
static __device__ void
copy_row(float *to, const float *from, int64_t n)
{
	for (int64_t i = threadIdx.x; to != NULL && i < n; i += blockDim.x)
		to[i] = from != NULL ? from[i] : 0;
}

static __global__ void KERNEL_WIDE
recurrent_kernel(struct recurrent shape, struct recurrent_direction direction,
		 struct sequence_at at)
{
	int64_t n = shape.hidden, batch = blockIdx.x;
	float *gates = at.scratch + batch * (shape.gates + 3) * n;
	float *spare = gates + shape.gates * n, *h = spare + n, *c = h + n;
	const struct recurrent_steps &states = direction.state_steps, &ys = direction.y_steps;
	int64_t state = states.offset + batch * states.batch, length = shape.length;
	if (direction.lengths != NULL)
		length = direction.lengths[batch];
	if (length < 0 || length > shape.length) {
		if (threadIdx.x == 0)
			report_fault(at.fault, at.label, length, shape.length);
		length = 0;
	}
	copy_row(h, direction.initial_h != NULL ? direction.initial_h + state : NULL, n);
	copy_row(c, direction.initial_c != NULL ? direction.initial_c + state : NULL, n);
	__syncthreads();
	for (int64_t i = 0; i < shape.length; i++) {
		int64_t time = direction.reverse && i < length ? length - 1 - i : i;
		float *y = direction.y == NULL
				   ? NULL
				   : direction.y + ys.offset + time * ys.time + batch * ys.batch;
		if (i < length)
			step(shape, direction,
			     direction.x + time * direction.x_steps.time +
				     batch * direction.x_steps.batch,
			     gates, spare, h, c);
		/* Past the end of a shorter sequence the output is zero. */
		copy_row(y, i < length ? h : NULL, n);
		__syncthreads();
	}
	copy_row(direction.y_h == NULL ? NULL : direction.y_h + state, h, n);
	copy_row(direction.y_c == NULL ? NULL : direction.y_c + state, c, n);
}

extern "C" cudaError_t
kernel_recurrent(cudaStream_t stream, const struct recurrent *shape,
		 const struct recurrent_direction *direction, struct cuda_fault *fault,
		 const char *label, float *scratch)
{
	struct sequence_at at = { fault, ~(uint64_t)(uintptr_t)label, scratch };
	struct recurrent own = *shape;
	/* The host's functions are of no use there. */
	for (int i = 0; i < RECURRENT_DIRECTIONS * RECURRENT_FUNCTIONS; i++)
		own.functions[i / RECURRENT_FUNCTIONS][i % RECURRENT_FUNCTIONS].call = NULL;
	KERNEL_LAUNCH(recurrent_kernel, (unsigned)shape->batch, shape->hidden < BLOCK ? 256 : WIDE,
		      0, stream, own, *direction, at);
	return cudaGetLastError();
}
