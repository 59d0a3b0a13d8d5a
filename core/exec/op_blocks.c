/* Operators that cut dimensions into blocks: DepthToSpace, SpaceToDepth. */
#include "exec/op_blocks.h"

#include <inttypes.h>
#include <string.h>

int
op_blocks_run(const void *state, const struct operands *operands)
{
	const struct blocks *blocks = state;
	strided_copy(&blocks->strided, operands->inputs[0], operands->outputs[0], blocks->threads);
	return 0;
}

static int
read_block_size(const struct operator_call *call, int64_t *size)
{
	*size = node_int(call->node, "blocksize", 0);
	if (call->inputs[0].rank != 4)
		return operator_error(call, "the input must have 4 dimensions");
	if (*size < 1 || *size > 1 << 20)
		return operator_error(call, "blocksize is %" PRId64, *size);
	return 0;
}

static int
infer_depth_to_space(struct operator_call *call)
{
	const int64_t *in = call->inputs[0].dims;
	int64_t size;
	if (read_block_size(call, &size) != 0)
		return -1;
	if (in[1] % (size * size) != 0)
		return operator_error(call, "%" PRId64 " channels do not make blocks of %" PRId64,
				      in[1], size);
	int64_t dims[] = { in[0], in[1] / (size * size), in[2] * size, in[3] * size };
	return operator_output(call, 0, call->inputs[0].data_type, 4, dims);
}

static int
infer_space_to_depth(struct operator_call *call)
{
	const int64_t *in = call->inputs[0].dims;
	int64_t size;
	if (read_block_size(call, &size) != 0)
		return -1;
	if (in[2] % size != 0 || in[3] % size != 0)
		return operator_error(call, "%" PRId64 "x%" PRId64 " is not cut by %" PRId64, in[2],
				      in[3], size);
	int64_t dims[] = { in[0], in[1] * size * size, in[2] / size, in[3] / size };
	return operator_output(call, 0, call->inputs[0].data_type, 4, dims);
}

static int
use_blocks(struct operator_call *call, const int64_t dims[6], const int64_t steps[6])
{
	struct blocks *blocks = operator_state(call, sizeof(*blocks));
	if (blocks == NULL)
		return -1;
	strided_create(&blocks->strided, 6, dims, steps, 0,
		       data_type_bytes(call->inputs[0].data_type));
	blocks->threads = call->threads;
	call->kernel->run = op_blocks_run;
	return 0;
}

/* Output n, c, h, y, w, x reads channel (y, x, c) in mode DCR, (c, y, x) in CRD. */
static int
prepare_depth_to_space(struct operator_call *call)
{
	const int64_t *in = call->inputs[0].dims;
	int64_t s = node_int(call->node, "blocksize", 1);
	int64_t depth = in[1] / (s * s), plane = in[2] * in[3];
	bool crd = strcmp(node_string(call->node, "mode", "DCR"), "CRD") == 0;
	const int64_t dims[] = { in[0], depth, in[2], s, in[3], s };
	const int64_t steps[] = { in[1] * plane,
				  crd ? s * s * plane : plane,
				  in[3],
				  crd ? s * plane : s * depth * plane,
				  1,
				  crd ? plane : depth * plane };
	return use_blocks(call, dims, steps);
}

/* Output n, (y, x, c), h, w. */
static int
prepare_space_to_depth(struct operator_call *call)
{
	const int64_t *in = call->inputs[0].dims;
	int64_t s = node_int(call->node, "blocksize", 1);
	int64_t plane = in[2] * in[3];
	const int64_t dims[] = { in[0], s, s, in[1], in[2] / s, in[3] / s };
	const int64_t steps[] = { in[1] * plane, in[3], 1, plane, s * in[3], s };
	return use_blocks(call, dims, steps);
}

/* clang-format off */
#define OPERATOR(NAME, INFER, PREPARE)                                                             \
	{ .type = NAME, .since = 1, .inputs = { 1, 1 }, .outputs = { 1, 1 },                       \
	  .infer = INFER, .prepare = PREPARE }
/* clang-format on */

static const struct op blocks_operators[] = {
	OPERATOR("DepthToSpace", infer_depth_to_space, prepare_depth_to_space),
	OPERATOR("SpaceToDepth", infer_space_to_depth, prepare_space_to_depth),
};

const struct operator_family operator_family_blocks = {
	blocks_operators,
	sizeof(blocks_operators) / sizeof(blocks_operators[0]),
};
