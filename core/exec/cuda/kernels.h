/*
 * The kernels, as C sees them: a launcher a kernel, which puts it on a stream and returns what CUDA says of the launch.
 * Parameters are plain data and copied by the launch. Tensors are in device memory, contiguous unless steps say otherwise;
 * data_type is that of the elements; a launcher whose kernel does not know the type returns cudaErrorInvalidValue, but
 * prepare functions ask only for what the comment names.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/cuda_fault.h"
#include "exec/attention.h"
#include "exec/broadcast.h"
#include "exec/elements.h"
#include "exec/graph.h"
#include "exec/op_remap.h"
#include "exec/recurrent.h"
#include "exec/rows.h"
#include "exec/tensor.h"

/* --- element-wise, of one (unary.cu) ---------------------------------------------------------------------------------- */

/* out[i] = f(in[i]) as exec/rows.h names f: FP32, FP64, FP16, BF16; out may be in. */
cudaError_t
kernel_unary(cudaStream_t stream, enum row_unary function, enum data_type data_type, const void *in,
	     void *out, int64_t n, float alpha, float beta);

/* The same for integers and BOOL: Relu, Neg, Abs, Sign, Not, BitwiseNot. */
cudaError_t
kernel_unary_integer(cudaStream_t stream, enum row_unary function, enum data_type data_type,
		     const void *in, void *out, int64_t n);

/* Element-wise functions of FP32 that feed each other, an element of all of them at a time in a thread (elements.cu). */
struct kernel_elements {
	uint32_t count;
	struct {
		uint8_t operand_count;
		/* enum row_unary or row_binary. */
		uint8_t function;
		/* A register, or as ~i input i. */
		int8_t operands[2];
		/* Its register; and the output that it is, -1: none. */
		int8_t result;
		int8_t output;
		float alpha;
		float beta;
	} steps[ELEMENTS_STEPS_MAX];
	struct {
		/* Element i has operand (i / step) % period; period 0: it has operand i. Addresses at the run. */
		int64_t step;
		int64_t period;
		const float *address;
	} inputs[ELEMENTS_INPUTS_MAX];
	float *outputs[ELEMENTS_STEPS_MAX];
};

/* Functions of one operand are kernel_elements_has's. n elements. */
cudaError_t
kernel_elements(cudaStream_t stream, const struct kernel_elements *elements, int64_t n);
bool
kernel_elements_has(enum row_unary function);

/* Integers and FP64 between two bounds. */
cudaError_t
kernel_clip(cudaStream_t stream, enum data_type data_type, const void *in, void *out, int64_t n,
	    double low, double high);

/* As many as passes put to an operator, and its bias. */
enum { KERNEL_POSTS = 9 };

/* What is done to every element of a result, in order. */
struct kernel_posts {
	uint32_t count;
	struct {
		enum post_kind kind;
		float alpha;
		float beta;
		/* ADD and MUL: element i has operand (i / step) % period; the operand's address at the run. */
		int64_t step;
		int64_t period;
		const void *operand;
		/* The operand is FP32, whatever the elements are. */
		bool is_single;
	} posts[KERNEL_POSTS];
};

/* out may be in: FP32, FP64, FP16, BF16. */
cudaError_t
kernel_posts(cudaStream_t stream, enum data_type data_type, const struct kernel_posts *posts,
	     const void *in, void *out, int64_t n);

/* --- element-wise, of several (element.cu) ----------------------------------------------------------------------------- */

/* out = f(a, b), broadcast; data_type is the operands'. All types. */
cudaError_t
kernel_binary(cudaStream_t stream, enum row_binary function, enum data_type data_type,
	      const struct broadcast *broadcast, const void *a, const void *b, void *out);

/* out = condition ? a : b, elements of 1, 2, 4 or 8 bytes. */
cudaError_t
kernel_where(cudaStream_t stream, size_t element_bytes, const struct broadcast *broadcast,
	     const void *condition, const void *a, const void *b, void *out);

/* Every type to every other, as exec/cast.h converts. */
cudaError_t
kernel_cast(cudaStream_t stream, enum data_type to, void *out, enum data_type from, const void *in,
	    int64_t n);

/* n floats of their INT8 form (exec/narrow.h) at from. */
cudaError_t
kernel_widen_blocks(cudaStream_t stream, float *out, const void *from, int64_t n);

/* out[i] = value, elements of 1, 2, 4 or 8 bytes, value's first ones. */
cudaError_t
kernel_fill(cudaStream_t stream, size_t element_bytes, void *out, int64_t n, uint64_t value);

/* --- products and convolutions without a library (product.cu) ---------------------------------------------------------- */

/* C[batch][m][n] = A[batch][m][k] B[batch][k][n]; dims of a batch are 1 where an operand repeats. */
struct kernel_product {
	int64_t m;
	int64_t n;
	int64_t k;
	int64_t batches;
	uint32_t batch_rank;
	int64_t batch[TENSOR_MAX_RANK];
	int64_t batch_a[TENSOR_MAX_RANK];
	int64_t batch_b[TENSOR_MAX_RANK];
};

/* INT32, UINT32, INT64, UINT64. */
cudaError_t
kernel_product(cudaStream_t stream, enum data_type data_type, const struct kernel_product *product,
	       const void *a, const void *b, void *c);

/* A window over three spatial dims, the outer ones 1 where there are fewer. */
struct kernel_window {
	int64_t in[3];
	int64_t out[3];
	int64_t kernel[3];
	int64_t strides[3];
	int64_t dilations[3];
	/* Padding before. */
	int64_t begin[3];
	/* And after, for averages that count it. */
	int64_t end[3];
};

struct kernel_conv {
	struct kernel_window window;
	int64_t batch;
	int64_t groups;
	/* Of one group. */
	int64_t in_channels;
	int64_t out_channels;
	/* Channels last, and before the places of the kernel in the weights. */
	bool last;
};

/* Convolution, each output by itself: FP32, FP64, FP16, BF16. bias may be NULL. */
cudaError_t
kernel_conv(cudaStream_t stream, enum data_type data_type, const struct kernel_conv *conv,
	    const void *in, const void *weights, const void *bias, void *out);

/* The same for transposed convolutions: weights[group in][group out][kernel]. */
cudaError_t
kernel_deconv(cudaStream_t stream, enum data_type data_type, const struct kernel_conv *conv,
	      const void *in, const void *weights, const void *bias, void *out);

/* --- pooling with channels last (pool_last.cu) ------------------------------------------------------------------------------ */

struct kernel_pool {
	struct kernel_window window;
	int64_t batch;
	int64_t channels;
	/* Else the largest. */
	bool averages;
	/* Averages divide by the positions in the padding too. */
	bool counts_padding;
};

/* FP32, FP16, BF16. */
cudaError_t
kernel_pool_last(cudaStream_t stream, enum data_type data_type, const struct kernel_pool *pool,
		 const void *in, void *out);

/* --- parts of products of 8-bit integers that a library makes (integer.cu) ------------------------------------------------- */

/* The sum of each row of so many bytes, a multiple of 4; out: the rows as signed bytes less 128, NULL where they are signed. */
cudaError_t
kernel_integer_rows(cudaStream_t stream, const void *in, void *out, int32_t *sums, int64_t rows,
		    int64_t bytes);

/*
 * A run's result of products of signed bytes: what the zero points take away, then as integer says. products may be the output;
 * sums are those of A's rows and B's columns, as signed bytes.
 */
struct integer;
cudaError_t
kernel_integer_finish(const struct integer *integer, const struct operands *operands,
		      const int32_t *products, const int32_t *row_sums, const int32_t *column_sums,
		      int64_t rows);

/* --- attention without a library (attention.cu) -------------------------------------------------------------------------- */

/* out = softmax(scale Q K' + mask) V, of FP16 or BF16, inner and width at most ATTENTION_NARROW_WIDTH. mask may be NULL. */
cudaError_t
kernel_attention(cudaStream_t stream, const struct attention *attention, const void *q,
		 const void *k, const void *v, const void *mask, void *out);

/* --- moving (move.cu) ---------------------------------------------------------------------------------------------------- */

/*
 * out of that shape: in seen through a padding; elsewhere the constant, or when that is NULL the first element_bytes of value.
 */
cudaError_t
kernel_pad(cudaStream_t stream, const struct pad *pad, const struct tensor_type *shape,
	   size_t element_bytes, const void *in, const void *constant, uint64_t value, void *out,
	   int64_t n);

/* --- recurrent networks (recurrent.cu) -------------------------------------------------------------------------------------- */

/* One direction, all sequences. scratch: recurrent_scratch for each of the batch. */
cudaError_t
kernel_recurrent(cudaStream_t stream, const struct recurrent *shape,
		 const struct recurrent_direction *direction, struct cuda_fault *fault,
		 const char *label, float *scratch);
