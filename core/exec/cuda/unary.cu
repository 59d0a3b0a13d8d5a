/* Element-wise kernels of one tensor: functions of a number, of integers, bounds, and posts, which are chains of them. */
#include "exec/cuda/real.cuh"

/* --- functions of one real number ------------------------------------------------------------------------------------ */

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

/* --- posts ------------------------------------------------------------------------------------------------------------- */

/* The operand of post k for element i; is_small: there are fewer elements than UINT32_MAX. */
template <typename T, typename R>
static __device__ __forceinline__ R
operand_of(const struct kernel_posts &posts, uint32_t k, int64_t i, bool is_small)
{
	int64_t step = posts.posts[k].step, period = posts.posts[k].period;
	int64_t at = is_small ? (uint32_t)i / (uint32_t)step % (uint32_t)period : i / step % period;
	if (posts.posts[k].is_single)
		return R(((const float *)posts.posts[k].operand)[at]);
	return to_real(((const T *)posts.posts[k].operand)[at]);
}

template <typename T, typename R>
static __device__ __forceinline__ R
post(const struct kernel_posts &posts, uint32_t k, int64_t i, bool is_small, R x)
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
	R y = operand_of<T, R>(posts, k, i, is_small);
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
			x = post<T, R>(posts, k, i, n < UINT32_MAX, x);
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
