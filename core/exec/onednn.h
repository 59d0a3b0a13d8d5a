/*
 * oneDNN primitives as kernels. A prepare function makes an operation descriptor, calls onednn_begin, says where each
 * argument comes from, and is done: onednn_run is the kernel's run.
 *
 * Scratchpads are the caller's (a primitive's own one is shared by all threads that run it, silently wrong), and the
 * number of threads is the one that holds when the primitive is made: operator_prepare sets it.
 */
#pragma once

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "exec/operator.h"

struct onednn;

/* Where an argument's memory is. */
enum onednn_place {
	ONEDNN_INPUT,
	ONEDNN_OUTPUT,
};

/* The CPU engine; NULL with the error set. Any thread. */
dnnl_engine_t
onednn_engine(void);

/* Changes with whatever packed forms depend on besides the model: oneDNN's version and the instruction set. */
uint64_t
onednn_platform(void);

/* Set UNAVAILABLE/INTERNAL for a status that is not success, naming `what`; returns -1. 0 for success. */
int
onednn_check(const struct operator_call *call, dnnl_status_t status, const char *what);

/*
 * Create the primitive for desc (one of oneDNN's operation descriptors) as call's kernel. attr may be NULL and stays the
 * caller's; the scratchpad mode is set on it. NULL with the error set: UNIMPLEMENTED when oneDNN has none for these types.
 */
struct onednn *
onednn_begin(struct operator_call *call, const_dnnl_op_desc_t desc, dnnl_primitive_attr_t attr);

/* As onednn_begin for a primitive descriptor that exists (reorder, concat), which is taken over. */
struct onednn *
onednn_begin_from(struct operator_call *call, dnnl_primitive_desc_t desc);

/* The layout that the primitive wants for an argument (dnnl_query_src_md …). */
const dnnl_memory_desc_t *
onednn_query(const struct onednn *onednn, dnnl_query_t what);

/* Argument `argument` (DNNL_ARG_SRC …) lies as desc says, in input or output `index` of the node. */
int
onednn_argument(struct operator_call *call, int argument, const dnnl_memory_desc_t *desc,
		enum onednn_place place, uint32_t index);

/* A tensor's descriptor in that layout. */
int
onednn_tensor(const struct operator_call *call, const struct tensor_type *type, enum layout layout,
	      dnnl_memory_desc_t *desc);

/*
 * Turn posts into attr. desc: output 0 as the primitive sees it; operands of posts must be one element, one a channel (the
 * last dimension of a matrix product, dimension 1 else) or lie just as the output does. onednn_post_arguments names those
 * operands once the primitive exists.
 */
int
onednn_posts(struct operator_call *call, const struct post *posts, uint32_t count,
	     const dnnl_memory_desc_t *desc, dnnl_primitive_attr_t attr);
int
onednn_post_arguments(struct operator_call *call, const struct post *posts, uint32_t count,
		      const dnnl_memory_desc_t *desc);

/*
 * Read constant input `input`, which lies as `plain` says, as `wanted` says from now on: packed into the image under key.
 * Nothing to do when both are the same.
 */
int
onednn_pack(struct operator_call *call, uint32_t input, const char *key,
	    const dnnl_memory_desc_t *plain, const dnnl_memory_desc_t *wanted);

/*
 * As onednn_pack for an input that is no constant: put as wanted at each run, in scratch. Call it last: the kernel becomes
 * one around the primitive's.
 */
int
onednn_repack(struct operator_call *call, uint32_t input, const dnnl_memory_desc_t *plain,
	      const dnnl_memory_desc_t *wanted);
