/* Element-wise kernels: functions of one tensor, of two and three with broadcast, posts, conversions. */
#include "exec/cuda/number.cuh"
#include "exec/narrow.h"

/* --- functions of one real number ------------------------------------------------------------------------------------ */

template <typename R>
static __device__ __forceinline__ R
sigmoid(R x)
{
	return R(1) / (R(1) + exp(-x));
}

template <typename R>
static __device__ __forceinline__ R
softplus(R x)
{
	return (x > 0 ? x : R(0)) + log1p(exp(-fabs(x)));
}

template <typename R>
static __device__ __forceinline__ R
between(R x, R low, R high)
{
	return x < low ? low : x > high ? high : x;
}

/* What networks spend time in. */
template <typename R>
static __device__ __forceinline__ R
common(enum row_unary function, R x, R alpha, R beta)
{
	switch (function) {
	case ROW_RELU:
		return x < 0 ? R(0) : x;
	case ROW_CLIP:
		return between(x, alpha, beta);
	case ROW_LEAKY_RELU:
		return x < 0 ? alpha * x : x;
	case ROW_SIGMOID:
		return sigmoid(x);
	case ROW_TANH:
		return tanh(x);
	case ROW_SWISH:
		return x * sigmoid(alpha * x);
	case ROW_HARD_SWISH:
		return x * between(x / 6 + R(0.5), R(0), R(1));
	case ROW_HARD_SIGMOID:
		return between(alpha * x + beta, R(0), R(1));
	case ROW_GELU_ERF:
		return R(0.5) * x * (1 + erf(x * R(0.70710678118654752)));
	case ROW_GELU_TANH:
		return R(0.5) * x *
		       (1 + tanh(R(0.79788456080286536) * (x + R(0.044715) * x * x * x)));
	case ROW_LINEAR:
		return alpha * x + beta;
	case ROW_EXP:
		return exp(x);
	case ROW_SQRT:
		return sqrt(x);
	case ROW_RECIPROCAL:
		return 1 / x;
	case ROW_NEG:
		return -x;
	case ROW_ABS:
		return fabs(x);
	case ROW_ERF:
		return erf(x);
	default:
		return x;
	}
}

/* The rest, some of which need a stack. */
template <typename R>
static __device__ __forceinline__ R
rare(enum row_unary function, R x, R alpha, R beta)
{
	switch (function) {
	case ROW_ELU:
		return x < 0 ? alpha * expm1(x) : x;
	case ROW_SELU:
		return alpha * (x > 0 ? x : beta * expm1(x));
	case ROW_CELU:
		return x < 0 ? alpha * expm1(x / alpha) : x;
	case ROW_SOFTPLUS:
		return softplus(x);
	case ROW_SOFTSIGN:
		return x / (1 + fabs(x));
	case ROW_THRESHOLD:
		return x > alpha ? x : R(0);
	case ROW_MISH:
		return x * tanh(softplus(x));
	case ROW_LOG:
		return log(x);
	case ROW_SIGN:
		return R((x > 0) - (x < 0));
	case ROW_FLOOR:
		return floor(x);
	case ROW_CEIL:
		return ceil(x);
	case ROW_ROUND:
		return rint(x);
	case ROW_SIN:
		return sin(x);
	case ROW_COS:
		return cos(x);
	case ROW_TAN:
		return tan(x);
	case ROW_ASIN:
		return asin(x);
	case ROW_ACOS:
		return acos(x);
	case ROW_ATAN:
		return atan(x);
	case ROW_SINH:
		return sinh(x);
	case ROW_COSH:
		return cosh(x);
	case ROW_ASINH:
		return asinh(x);
	case ROW_ACOSH:
		return acosh(x);
	case ROW_ATANH:
		return atanh(x);
	default:
		return x;
	}
}

static bool
is_common(enum row_unary function)
{
	switch (function) {
	case ROW_RELU:
	case ROW_CLIP:
	case ROW_LEAKY_RELU:
	case ROW_SIGMOID:
	case ROW_TANH:
	case ROW_SWISH:
	case ROW_HARD_SWISH:
	case ROW_HARD_SIGMOID:
	case ROW_GELU_ERF:
	case ROW_GELU_TANH:
	case ROW_LINEAR:
	case ROW_EXP:
	case ROW_SQRT:
	case ROW_RECIPROCAL:
	case ROW_NEG:
	case ROW_ABS:
	case ROW_ERF:
		return true;
	default:
		return false;
	}
}

template <typename T>
static __global__ void
unary_kernel(enum row_unary function, const T *in, T *out, int64_t n, float alpha, float beta)
{
	typedef typename real_of<T>::type R;
	KERNEL_LOOP(i, n / 4)
	{
		pack4<T> x = ((const pack4<T> *)in)[i];
		for (int k = 0; k < 4; k++)
			x.v[k] = from_real<T>::of(
				common<R>(function, to_real(x.v[k]), R(alpha), R(beta)));
		((pack4<T> *)out)[i] = x;
	}
	for (int64_t i = n / 4 * 4 + threadIdx.x; blockIdx.x == 0 && i < n; i += blockDim.x)
		out[i] = from_real<T>::of(common<R>(function, to_real(in[i]), R(alpha), R(beta)));
}

template <typename T>
static __global__ void
rare_kernel(enum row_unary function, const T *in, T *out, int64_t n, float alpha, float beta)
{
	typedef typename real_of<T>::type R;
	KERNEL_LOOP(i, n)
	out[i] = from_real<T>::of(rare<R>(function, to_real(in[i]), R(alpha), R(beta)));
}

template <typename T>
static void
launch_unary(cudaStream_t stream, enum row_unary function, const void *in, void *out, int64_t n,
	     float alpha, float beta)
{
	if (is_common(function))
		KERNEL_LAUNCH_FLAT(unary_kernel<T>, grid_for((n + 3) / 4), BLOCK, stream, function,
				   (const T *)in, (T *)out, n, alpha, beta);
	else
		KERNEL_LAUNCH_FLAT(rare_kernel<T>, grid_for(n), BLOCK, stream, function,
				   (const T *)in, (T *)out, n, alpha, beta);
}

extern "C" cudaError_t
kernel_unary(cudaStream_t stream, enum row_unary function, enum data_type data_type, const void *in,
	     void *out, int64_t n, float alpha, float beta)
{
	switch (data_type) {
	case DATA_TYPE_FLOAT:
		launch_unary<float>(stream, function, in, out, n, alpha, beta);
		break;
	case DATA_TYPE_DOUBLE:
		launch_unary<double>(stream, function, in, out, n, alpha, beta);
		break;
	case DATA_TYPE_FLOAT16:
		launch_unary<f16>(stream, function, in, out, n, alpha, beta);
		break;
	case DATA_TYPE_BFLOAT16:
		launch_unary<bf16>(stream, function, in, out, n, alpha, beta);
		break;
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

/* --- integers --------------------------------------------------------------------------------------------------------- */

template <typename T>
static __device__ __forceinline__ T
of_integer(enum row_unary function, T x)
{
	typedef typename wrap_of<T>::type W;
	switch (function) {
	case ROW_RELU:
		return x > 0 ? x : T(0);
	case ROW_NEG:
		return T(W(0) - W(x));
	case ROW_ABS:
		return x > 0 ? x : T(W(0) - W(x));
	case ROW_SIGN:
		return T(x > 0 ? 1 : x == 0 ? 0 : -1);
	case ROW_NOT:
		return T(x == 0);
	default:
		return T(~x);
	}
}

template <typename T>
static __global__ void
integer_kernel(enum row_unary function, const T *in, T *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	out[i] = of_integer(function, in[i]);
}

extern "C" cudaError_t
kernel_unary_integer(cudaStream_t stream, enum row_unary function, enum data_type data_type,
		     const void *in, void *out, int64_t n)
{
	switch (data_type) {
#define X(N, type, wrap)                                                                           \
	case DATA_TYPE_##N:                                                                        \
		KERNEL_LAUNCH_FLAT(integer_kernel<type>, grid_for(n), BLOCK, stream, function,     \
				   (const type *)in, (type *)out, n);                              \
		break;
		INTEGERS(X)
		X(BOOL, uint8_t, uint32_t)
#undef X
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

template <typename T>
static __global__ void
clip_kernel(const T *in, T *out, int64_t n, T low, T high)
{
	KERNEL_LOOP(i, n)
	out[i] = between(in[i], low, high);
}

/* A bound as a T: those beyond what T holds are none. */
template <typename T>
static T
bound(double value, T lowest, T highest)
{
	return value <= (double)lowest ? lowest : value >= (double)highest ? highest : (T)value;
}

extern "C" cudaError_t
kernel_clip(cudaStream_t stream, enum data_type data_type, const void *in, void *out, int64_t n,
	    double low, double high)
{
	switch (data_type) {
#define X(N, type, lowest, highest)                                                                \
	case DATA_TYPE_##N:                                                                        \
		KERNEL_LAUNCH_FLAT(clip_kernel<type>, grid_for(n), BLOCK, stream,                  \
				   (const type *)in, (type *)out, n,                               \
				   bound<type>(low, lowest, highest),                              \
				   bound<type>(high, lowest, highest));                            \
		break;
		X(INT8, int8_t, INT8_MIN, INT8_MAX)
		X(INT16, int16_t, INT16_MIN, INT16_MAX)
		X(INT32, int32_t, INT32_MIN, INT32_MAX)
		X(INT64, int64_t, INT64_MIN, INT64_MAX)
		X(UINT8, uint8_t, 0, UINT8_MAX)
		X(UINT16, uint16_t, 0, UINT16_MAX)
		X(UINT32, uint32_t, 0, UINT32_MAX)
		X(UINT64, uint64_t, 0, UINT64_MAX)
		X(DOUBLE, double, -INFINITY, INFINITY)
#undef X
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

/* --- two operands ------------------------------------------------------------------------------------------------------ */

template <typename R>
static __device__ __forceinline__ bool
compare(enum row_binary function, R x, R y)
{
	switch (function) {
	case ROW_EQUAL:
		return x == y;
	case ROW_LESS:
		return x < y;
	case ROW_LESS_OR_EQUAL:
		return x <= y;
	case ROW_GREATER:
		return x > y;
	default:
		return x >= y;
	}
}

/* How the two operands are walked. */
enum {
	/* Each element by element, or one value of it for all. */
	EVEN,
	/* As the broadcast says. */
	WALKED,
};

template <typename T, int way>
static __global__ void
binary_kernel(enum row_binary function, struct broadcast broadcast, const T *a, const T *b, T *out,
	      int64_t n)
{
	typedef typename number<T>::type R;
	typedef typename number<T>::kind K;
	KERNEL_LOOP(i, n)
	{
		int64_t at[2] = { i * broadcast.steps[0][0], i * broadcast.steps[1][0] };
		if (way == WALKED)
			walk<2>(broadcast, i, at);
		R x = number<T>::load(a[at[0]]), y = number<T>::load(b[at[1]]);
		out[i] = number<T>::store(of_two(function, x, y, (const K *)0));
	}
}

template <typename T, int way>
static __global__ void
compare_kernel(enum row_binary function, struct broadcast broadcast, const T *a, const T *b,
	       uint8_t *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t at[2] = { i * broadcast.steps[0][0], i * broadcast.steps[1][0] };
		if (way == WALKED)
			walk<2>(broadcast, i, at);
		out[i] = compare(function, number<T>::load(a[at[0]]), number<T>::load(b[at[1]]));
	}
}

static int64_t
elements_of(const struct broadcast *broadcast)
{
	return broadcast->rows * broadcast->dims[broadcast->rank - 1];
}

template <typename T, int way>
static void
launch_binary(cudaStream_t stream, enum row_binary function, const struct broadcast *broadcast,
	      const void *a, const void *b, void *out)
{
	int64_t n = elements_of(broadcast);
	bool compares = function >= ROW_EQUAL && function <= ROW_GREATER_OR_EQUAL;
	if (compares)
		KERNEL_LAUNCH_FLAT((compare_kernel<T, way>), grid_for(n), BLOCK, stream, function,
				   *broadcast, (const T *)a, (const T *)b, (uint8_t *)out, n);
	else
		KERNEL_LAUNCH_FLAT((binary_kernel<T, way>), grid_for(n), BLOCK, stream, function,
				   *broadcast, (const T *)a, (const T *)b, (T *)out, n);
}

extern "C" cudaError_t
kernel_binary(cudaStream_t stream, enum row_binary function, enum data_type data_type,
	      const struct broadcast *broadcast, const void *a, const void *b, void *out)
{
	switch (data_type) {
#define X(N, type, ...)                                                                            \
	case DATA_TYPE_##N:                                                                        \
		(broadcast->rank == 1                                                              \
			 ? launch_binary<type, EVEN>                                               \
			 : launch_binary<type, WALKED>)(stream, function, broadcast, a, b, out);   \
		break;
		INTEGERS(X)
		X(BOOL, uint8_t)
		X(FLOAT, float)
		X(DOUBLE, double)
		X(FLOAT16, f16)
		X(BFLOAT16, bf16)
#undef X
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

template <typename T>
static __global__ void
where_kernel(struct broadcast broadcast, const uint8_t *condition, const T *a, const T *b, T *out,
	     int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t at[3];
		walk<3>(broadcast, i, at);
		out[i] = condition[at[0]] ? a[at[1]] : b[at[2]];
	}
}

extern "C" cudaError_t
kernel_where(cudaStream_t stream, size_t element_bytes, const struct broadcast *broadcast,
	     const void *condition, const void *a, const void *b, void *out)
{
	int64_t n = elements_of(broadcast);
	switch (element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(where_kernel<type>, grid_for(n), BLOCK, stream, *broadcast,     \
				   (const uint8_t *)condition, (const type *)a, (const type *)b,   \
				   (type *)out, n);                                                \
		break;
		SIZES(X)
#undef X
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

template <typename T>
static __global__ void
fill_kernel(T *out, int64_t n, T value)
{
	KERNEL_LOOP(i, n)
	out[i] = value;
}

extern "C" cudaError_t
kernel_fill(cudaStream_t stream, size_t element_bytes, void *out, int64_t n, uint64_t value)
{
	switch (element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(fill_kernel<type>, grid_for(n), BLOCK, stream, (type *)out, n,  \
				   (type)value);                                                   \
		break;
		SIZES(X)
#undef X
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

/* --- posts ------------------------------------------------------------------------------------------------------------- */

template <typename T, typename R>
static __device__ __forceinline__ R
post(const struct kernel_posts &posts, uint32_t k, int64_t i, R x)
{
	R alpha = R(posts.posts[k].alpha), beta = R(posts.posts[k].beta);
	switch (posts.posts[k].kind) {
	case POST_RELU:
		return common<R>(ROW_RELU, x, alpha, beta);
	case POST_CLIP:
		return common<R>(ROW_CLIP, x, alpha, beta);
	case POST_LEAKY_RELU:
		return common<R>(ROW_LEAKY_RELU, x, alpha, beta);
	case POST_ELU:
		return rare<R>(ROW_ELU, x, alpha, beta);
	case POST_SIGMOID:
		return common<R>(ROW_SIGMOID, x, alpha, beta);
	case POST_TANH:
		return common<R>(ROW_TANH, x, alpha, beta);
	case POST_SWISH:
		return common<R>(ROW_SWISH, x, alpha, beta);
	case POST_HARD_SWISH:
		return common<R>(ROW_HARD_SWISH, x, alpha, beta);
	case POST_GELU_ERF:
		return common<R>(ROW_GELU_ERF, x, alpha, beta);
	case POST_GELU_TANH:
		return common<R>(ROW_GELU_TANH, x, alpha, beta);
	case POST_LINEAR:
		return alpha * x + beta;
	default:
		break;
	}
	const T *operand = (const T *)posts.posts[k].operand;
	R y = to_real(operand[i / posts.posts[k].step % posts.posts[k].period]);
	return posts.posts[k].kind == POST_ADD ? x + y : x * y;
}

template <typename T>
static __global__ void
posts_kernel(struct kernel_posts posts, const T *in, T *out, int64_t n)
{
	typedef typename real_of<T>::type R;
	KERNEL_LOOP(i, n)
	{
		R x = to_real(in[i]);
		for (uint32_t k = 0; k < posts.count; k++)
			x = post<T, R>(posts, k, i, x);
		out[i] = from_real<T>::of(x);
	}
}

extern "C" cudaError_t
kernel_posts(cudaStream_t stream, enum data_type data_type, const struct kernel_posts *posts,
	     const void *in, void *out, int64_t n)
{
	switch (data_type) {
#define X(N, type)                                                                                 \
	case DATA_TYPE_##N:                                                                        \
		KERNEL_LAUNCH_FLAT(posts_kernel<type>, grid_for(n), BLOCK, stream, *posts,         \
				   (const type *)in, (type *)out, n);                              \
		break;
		X(FLOAT, float)
		X(DOUBLE, double)
		X(FLOAT16, f16)
		X(BFLOAT16, bf16)
#undef X
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

/* --- conversions -------------------------------------------------------------------------------------------------------- */

static __global__ void
cast_kernel(enum data_type to, void *out, enum data_type from, const void *in, int64_t n)
{
	KERNEL_LOOP(i, n)
	store_any(to, out, i, from, load_any(from, in, i));
}

template <typename TO, typename FROM>
static __global__ void
convert_kernel(TO *out, const FROM *in, int64_t n)
{
	KERNEL_LOOP(i, n)
	out[i] = from_real<TO>::of(to_real(in[i]));
}

extern "C" cudaError_t
kernel_cast(cudaStream_t stream, enum data_type to, void *out, enum data_type from, const void *in,
	    int64_t n)
{
	/* What 16-bit models convert all the time. */
	if (from == DATA_TYPE_FLOAT && to == DATA_TYPE_FLOAT16)
		KERNEL_LAUNCH_FLAT((convert_kernel<f16, float>), grid_for(n), BLOCK, stream,
				   (f16 *)out, (const float *)in, n);
	else if (from == DATA_TYPE_FLOAT16 && to == DATA_TYPE_FLOAT)
		KERNEL_LAUNCH_FLAT((convert_kernel<float, f16>), grid_for(n), BLOCK, stream,
				   (float *)out, (const f16 *)in, n);
	else
		KERNEL_LAUNCH_FLAT(cast_kernel, grid_for(n), BLOCK, stream, to, out, from, in, n);
	return cudaGetLastError();
}

static __global__ void
widen_blocks_kernel(float *out, const float *scales, const int8_t *values, int64_t n)
{
	KERNEL_LOOP(i, n)
	out[i] = scales[i / NARROW_BLOCK] * (float)values[i];
}

extern "C" cudaError_t
kernel_widen_blocks(cudaStream_t stream, float *out, const void *from, int64_t n)
{
	const float *scales = (const float *)from;
	const int8_t *values = (const int8_t *)(scales + (n + NARROW_BLOCK - 1) / NARROW_BLOCK);
	KERNEL_LAUNCH_FLAT(widen_blocks_kernel, grid_for(n), BLOCK, stream, out, scales, values, n);
	return cudaGetLastError();
}
