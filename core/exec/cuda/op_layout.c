/* Reorder: between plain tensors and those whose channels lie last, a transposition. */
#include "exec/cuda/op.h"
#include "exec/cuda/runs.h"

/* A Transpose of the input's dimensions as they lie. */
static struct node *
make_transpose(const struct operator_call *call, bool to_last)
{
	uint32_t rank = call->inputs[0].rank;
	struct node *node = arena_alloc(call->arena, sizeof(*node));
	struct attribute *perm = arena_calloc(call->arena, 1, sizeof(*perm));
	int64_t *axes = arena_calloc(call->arena, rank, sizeof(axes[0]));
	if (node == NULL || perm == NULL || axes == NULL)
		return NULL;
	/* 0, 2 … rank-1, 1 and 0, rank-1, 1 … rank-2. */
	for (uint32_t i = 1; i < rank; i++)
		axes[i] = to_last ? (i + 1 < rank ? i + 1 : 1) : (i > 1 ? i - 1 : rank - 1);
	*perm = (struct attribute){
		.name = "perm", .kind = ATTRIBUTE_INTS, .count = rank, .as.ints = axes
	};
	*node = *call->node;
	node->op_type = "Transpose";
	node->domain = "";
	node->attributes = perm;
	node->attribute_count = 1;
	node->op = operator_find(node);
	return node->op != NULL ? node : NULL;
}

static int
prepare_reorder(struct operator_call *call)
{
	struct operator_call plain = *call;
	struct tensor_type *types = arena_calloc(call->arena, 2, sizeof(types[0]));
	plain.node = make_transpose(call, call->output_layouts[0] == LAYOUT_LAST);
	if (types == NULL || plain.node == NULL)
		return -1;
	types[0] = layout_view(&call->inputs[0], call->input_layouts[0]);
	types[1] = layout_view(&call->outputs[0], call->output_layouts[0]);
	plain.op = plain.node->op;
	plain.inputs = &types[0];
	plain.outputs = &types[1];
	return runs_prepare(&plain);
}

static const struct cuda_op layout_operators[] = {
	{ "tidepool", "Reorder", 1, prepare_reorder },
};

const struct cuda_family cuda_family_layout = {
	layout_operators,
	sizeof(layout_operators) / sizeof(layout_operators[0]),
};
