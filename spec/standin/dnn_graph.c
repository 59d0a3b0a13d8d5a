/* Checks of cuDNN's graphs. */
#include "dnn.h"
#include "element.h"
#include "library.h"

int64_t
dnn_tensor_elements(const struct dnn_tensor *tensor)
{
	int64_t elements = 1;
	for (int64_t i = 0; i < tensor->rank; i++)
		elements *= tensor->dims[i];
	return elements;
}

/* Bytes from the first element to behind the last. */
static size_t
extent(const struct dnn_tensor *tensor)
{
	static const size_t bytes[] = { [CUDNN_DATA_FLOAT] = 4,
					[CUDNN_DATA_DOUBLE] = 8,
					[CUDNN_DATA_HALF] = 2,
					[CUDNN_DATA_BFLOAT16] = 2 };
	int64_t last = 1;
	for (int64_t i = 0; i < tensor->rank; i++)
		last += (tensor->dims[i] - 1) * tensor->strides[i];
	return (size_t)last * bytes[tensor->type];
}

static bool
are_alike(const struct dnn_tensor *a, const struct dnn_tensor *b)
{
	bool alike = a->rank == b->rank;
	for (int64_t i = 0; alike && i < a->rank; i++)
		alike = a->dims[i] == b->dims[i];
	return alike;
}

/* --- graphs ---------------------------------------------------------------------------------------------------------- */

/* in and out of the forward convolution, whichever way it is computed. */
static cudnnStatus_t
check_conv(const struct dnn_operation *operation)
{
	bool backward = operation->kind == DNN_CONV_BACKWARD;
	const struct dnn_tensor *in = backward ? &operation->y : &operation->x;
	const struct dnn_tensor *out = backward ? &operation->x : &operation->y;
	const struct dnn_tensor *weights = &operation->w;
	const struct dnn_conv *conv = &operation->conv;
	if (in->rank != conv->spatial + 2 || weights->rank != in->rank || out->rank != in->rank)
		return CUDNN_STATUS_BAD_PARAM;
	if (in->dims[0] != out->dims[0] || weights->dims[0] != out->dims[1] ||
	    in->dims[1] % weights->dims[1] != 0 ||
	    out->dims[1] % (in->dims[1] / weights->dims[1]) != 0)
		return CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
	for (int64_t i = 0; i < conv->spatial; i++) {
		int64_t reach = (weights->dims[i + 2] - 1) * conv->dilation[i] + 1;
		int64_t room = in->dims[i + 2] + conv->begin[i] + conv->end[i] - reach;
		if (conv->stride[i] < 1 || conv->dilation[i] < 1 || conv->begin[i] < 0 ||
		    conv->end[i] < 0 || room < 0 || out->dims[i + 2] != room / conv->stride[i] + 1)
			return CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
	}
	return CUDNN_STATUS_SUCCESS;
}

/* The second operand may be 1 wherever the first is not. */
static cudnnStatus_t
check_pointwise(const struct dnn_operation *operation)
{
	const struct dnn_tensor *x = &operation->x, *b = &operation->w;
	bool is_binary =
		operation->mode == CUDNN_POINTWISE_ADD || operation->mode == CUDNN_POINTWISE_MUL ||
		operation->mode == CUDNN_POINTWISE_SUB || operation->mode == CUDNN_POINTWISE_DIV;
	if (is_binary != (b->rank != 0) || !are_alike(x, &operation->y))
		return CUDNN_STATUS_BAD_PARAM;
	if (is_binary && b->rank != x->rank)
		return CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
	for (int64_t i = 0; i < b->rank; i++) {
		if (b->dims[i] != 1 && b->dims[i] != x->dims[i])
			return CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
	}
	return CUDNN_STATUS_SUCCESS;
}

/* Of batches of matrices that are all there. */
static cudnnStatus_t
check_matmul(const struct dnn_operation *operation)
{
	const struct dnn_tensor *a = &operation->x, *b = &operation->w, *c = &operation->y;
	int64_t last = a->rank - 1;
	if (a->rank < 3 || b->rank != a->rank || c->rank != a->rank)
		return CUDNN_STATUS_BAD_PARAM;
	bool fits = a->dims[last] == b->dims[last - 1] && a->dims[last - 1] == c->dims[last - 1] &&
		    b->dims[last] == c->dims[last];
	for (int64_t i = 0; i + 2 < a->rank; i++)
		fits &= a->dims[i] == b->dims[i] && a->dims[i] == c->dims[i];
	return fits ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
}

static cudnnStatus_t
check_reduction(const struct dnn_operation *operation)
{
	const struct dnn_tensor *x = &operation->x, *y = &operation->y;
	bool fits = x->rank == y->rank;
	for (int64_t i = 0; fits && i < x->rank; i++)
		fits = y->dims[i] == 1 || y->dims[i] == x->dims[i];
	return fits ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
}

static cudnnStatus_t
check_operation(const struct dnn_operation *operation)
{
	switch (operation->kind) {
	case DNN_POINTWISE:
		return check_pointwise(operation);
	case DNN_MATMUL:
		return check_matmul(operation);
	case DNN_REDUCTION:
		return check_reduction(operation);
	default:
		return check_conv(operation);
	}
}

/* Each virtual tensor is made before it is read, and the last one is none. */
static cudnnStatus_t
check_order(const struct dnn_graph *graph, int64_t at)
{
	const struct dnn_operation *operation = &graph->operations[at];
	const struct dnn_tensor *reads[] = { &operation->x, &operation->w };
	for (int i = 0; i < 2; i++) {
		bool made = !reads[i]->is_virtual || reads[i]->rank == 0;
		for (int64_t k = 0; k < at; k++)
			made |= graph->operations[k].y.id == reads[i]->id;
		if (!made)
			return CUDNN_STATUS_BAD_PARAM;
	}
	bool is_last = at == graph->count - 1;
	return is_last && operation->y.is_virtual ? CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN
						  : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
dnn_graph_check(const struct dnn_graph *graph)
{
	cudnnStatus_t status = graph->count == 0 ? CUDNN_STATUS_BAD_PARAM : CUDNN_STATUS_SUCCESS;
	for (int64_t i = 0; i < graph->count && status == CUDNN_STATUS_SUCCESS; i++) {
		const struct dnn_operation *operation = &graph->operations[i];
		status = check_operation(operation);
		if (status == CUDNN_STATUS_SUCCESS)
			status = check_order(graph, i);
	}
	return status;
}

/* One operation of the graph of an attention; the operations that its inputs come from, -1: from outside. */
struct part {
	enum dnn_kind kind;
	/* Of a pointwise operation or a reduction. */
	int function;
	int x;
	int w;
};

/* Is the tensor what that operation gives, or from outside when it is -1? */
static bool
comes_from(const struct dnn_graph *graph, const struct dnn_tensor *tensor, int from)
{
	return from < 0 ? !tensor->is_virtual : tensor->id == graph->operations[from].y.id;
}

/*
 * softmax(scale x w + mask) w, as engines know it, with each row's statistics: without them cuDNN 9.19 takes a scale by value for
 * a dropout's, and has no engine.
 */
static bool
has_attentions_parts(const struct dnn_graph *graph)
{
	int m = graph->count == 11;
	const struct part parts[] = {
		{ DNN_MATMUL, 0, -1, -1 },
		{ DNN_POINTWISE, CUDNN_POINTWISE_MUL, 0, -1 },
		{ DNN_POINTWISE, CUDNN_POINTWISE_ADD, 1, -1 },
		{ DNN_REDUCTION, CUDNN_REDUCE_TENSOR_MAX, 1 + m, -2 },
		{ DNN_POINTWISE, CUDNN_POINTWISE_SUB, 1 + m, 2 + m },
		{ DNN_POINTWISE, CUDNN_POINTWISE_EXP, 3 + m, -2 },
		{ DNN_REDUCTION, CUDNN_REDUCE_TENSOR_ADD, 4 + m, -2 },
		{ DNN_POINTWISE, CUDNN_POINTWISE_LOG, 5 + m, -2 },
		{ DNN_POINTWISE, CUDNN_POINTWISE_ADD, 2 + m, 6 + m },
		{ DNN_POINTWISE, CUDNN_POINTWISE_DIV, 4 + m, 5 + m },
		{ DNN_MATMUL, 0, 8 + m, -1 },
	};
	if (graph->count != 10 + m)
		return false;
	for (int64_t i = 0; i < graph->count; i++) {
		const struct dnn_operation *operation = &graph->operations[i];
		const struct part *part = &parts[i < 2 ? i : i + 1 - m];
		int function = operation->kind == DNN_REDUCTION ? (int)operation->reduction
								: (int)operation->mode;
		if (operation->kind != part->kind ||
		    (part->kind != DNN_MATMUL && function != part->function) ||
		    !comes_from(graph, &operation->x, part->x) ||
		    (part->w != -2 && !comes_from(graph, &operation->w, part->w)))
			return false;
	}
	return true;
}

/* As cuDNN says of its fused attention: 16-bit floats, heads of a multiple of 8 elements up to 256, side by side. */
static bool
is_attention(const struct dnn_graph *graph)
{
	const struct dnn_operation *first = &graph->operations[0];
	const struct dnn_operation *last = &graph->operations[graph->count - 1];
	cudnnDataType_t type = first->x.type;
	if (!has_attentions_parts(graph) || first->x.rank != 4 ||
	    (type != CUDNN_DATA_HALF && type != CUDNN_DATA_BFLOAT16))
		return false;
	bool typed = first->w.type == type && last->w.type == type && last->y.type == type &&
		     last->x.type == type && graph->operations[1].w.is_by_value;
	for (int64_t i = 0; i + 2 < graph->count; i++)
		typed &= graph->operations[i].y.type == CUDNN_DATA_FLOAT;
	int64_t inner = first->x.dims[3], width = last->w.dims[3];
	return typed && inner % 8 == 0 && width % 8 == 0 && inner <= 256 && width <= 256 &&
	       first->x.strides[3] == 1 && first->w.strides[2] == 1 && last->w.strides[3] == 1 &&
	       last->y.strides[3] == 1;
}

/* Is that operation a sum of what the one before gives and something else? */
static bool
is_sum(const struct dnn_graph *graph, int64_t at)
{
	return at < graph->count && graph->operations[at].kind == DNN_POINTWISE &&
	       graph->operations[at].mode == CUDNN_POINTWISE_ADD &&
	       graph->operations[at].x.id == graph->operations[at - 1].y.id;
}

/*
 * What may follow a convolution whose rows lie last, as cuDNN 9.19 has engines for: a summand like the output, then a bias,
 * which may not be missing, then Relu.
 */
static bool
is_fusion(const struct dnn_graph *graph)
{
	int64_t at = 1;
	if (is_sum(graph, 1) && is_sum(graph, 2) &&
	    are_alike(&graph->operations[1].x, &graph->operations[1].w))
		at++;
	if (!is_sum(graph, at) ||
	    dnn_tensor_elements(&graph->operations[at].w) != graph->operations[at].x.dims[1])
		return false;
	at++;
	if (at < graph->count && graph->operations[at].kind == DNN_POINTWISE &&
	    graph->operations[at].mode == CUDNN_POINTWISE_RELU_FWD &&
	    graph->operations[at].x.id == graph->operations[at - 1].y.id)
		at++;
	return at == graph->count;
}

/* How a tensor without gaps lies; both where it is the same in memory. */
enum {
	ROWS_LAST = 1,
	CHANNELS_LAST = 2,
};

/* Are strides those of dims in that order, which begins with the innermost? */
static bool
lies_in(const struct dnn_tensor *tensor, const int64_t *order)
{
	int64_t step = 1;
	for (int64_t i = 0; i < tensor->rank; i++) {
		int64_t d = order[i];
		if (tensor->dims[d] != 1 && tensor->strides[d] != step)
			return false;
		step *= tensor->dims[d];
	}
	return true;
}

static int
layouts_of(const struct dnn_tensor *tensor)
{
	int64_t rows[DNN_MAX_RANK], channels[DNN_MAX_RANK] = { 1 }, rank = tensor->rank;
	for (int64_t i = 0; i < rank; i++)
		rows[i] = rank - 1 - i;
	for (int64_t i = 1; i < rank; i++)
		channels[i] = i + 1 < rank ? rank - i : 0;
	return (lies_in(tensor, rows) ? ROWS_LAST : 0) |
	       (lies_in(tensor, channels) ? CHANNELS_LAST : 0);
}

/* The layouts that all tensors of a convolution's graph have. */
static int
common_layouts(const struct dnn_graph *graph)
{
	int layouts = ROWS_LAST | CHANNELS_LAST;
	for (int64_t i = 0; i < graph->count; i++) {
		const struct dnn_operation *operation = &graph->operations[i];
		layouts &= layouts_of(&operation->x) & layouts_of(&operation->y);
		if (operation->w.rank != 0)
			layouts &= layouts_of(&operation->w);
	}
	return layouts;
}

/* Sums and Relu, one after the other: what engines that are compiled for a graph with its channels last take. */
static bool
is_chain(const struct dnn_graph *graph)
{
	for (int64_t i = 1; i < graph->count; i++) {
		const struct dnn_operation *operation = &graph->operations[i];
		bool is_relu = operation->kind == DNN_POINTWISE &&
			       operation->mode == CUDNN_POINTWISE_RELU_FWD;
		if ((!is_relu && !is_sum(graph, i)) ||
		    operation->x.id != graph->operations[i - 1].y.id)
			return false;
	}
	return (common_layouts(graph) & CHANNELS_LAST) != 0;
}

bool
dnn_graph_is_exact(const struct dnn_graph *graph)
{
	return graph->count == 1 || graph->operations[0].kind == DNN_MATMUL || is_fusion(graph);
}

/* Convolutions of one type; forward ones in less than doubles may be followed by sums and activations. */
bool
dnn_graph_is_supported(const struct dnn_graph *graph)
{
	const struct dnn_operation *first = &graph->operations[0];
	cudnnDataType_t type = first->x.type;
	cudnnDataType_t compute = type == CUDNN_DATA_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
	if (first->kind == DNN_MATMUL)
		return is_attention(graph);
	if (first->kind == DNN_POINTWISE || first->kind == DNN_REDUCTION || first->w.type != type ||
	    first->conv.compute != compute || first->conv.mode != CUDNN_CROSS_CORRELATION ||
	    first->conv.spatial < 2 || first->conv.spatial > 3 || common_layouts(graph) == 0)
		return false;
	if (graph->count > 1 && (first->kind != DNN_CONV || type == CUDNN_DATA_DOUBLE ||
				 !(is_fusion(graph) || is_chain(graph))))
		return false;
	return graph->operations[graph->count - 1].y.type == type;
}

/* --- packs ----------------------------------------------------------------------------------------------------------- */

static cudnnStatus_t
check_given(const struct dnn_tensor *tensor, const struct dnn_pack *pack, cudaStream_t stream)
{
	int64_t at = 0;
	if (tensor->rank == 0 || tensor->is_virtual)
		return CUDNN_STATUS_SUCCESS;
	while (at < pack->count && pack->ids[at] != tensor->id)
		at++;
	if (at == pack->count)
		return CUDNN_STATUS_BAD_PARAM;
	if (tensor->is_by_value)
		return pack->addresses[at] != NULL ? CUDNN_STATUS_SUCCESS
						   : CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
	if ((uintptr_t)pack->addresses[at] % (uintptr_t)tensor->alignment != 0)
		return CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER;
	return library_check("cudnnBackendExecute", stream, pack->addresses[at], extent(tensor))
		       ? CUDNN_STATUS_SUCCESS
		       : CUDNN_STATUS_BAD_PARAM;
}

void
dnn_pack_take_values(const struct dnn_plan *plan, struct dnn_pack *pack)
{
	for (int64_t i = 0; i < plan->graph.count; i++) {
		const struct dnn_tensor *tensor = &plan->graph.operations[i].w;
		for (int64_t at = 0; tensor->is_by_value && at < pack->count; at++)
			if (pack->ids[at] == tensor->id)
				pack->values[at] = *(const float *)pack->addresses[at];
	}
}

cudnnStatus_t
dnn_pack_check(const struct dnn_plan *plan, const struct dnn_pack *pack, cudaStream_t stream)
{
	cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
	for (int64_t i = 0; i < plan->graph.count && status == CUDNN_STATUS_SUCCESS; i++) {
		const struct dnn_operation *operation = &plan->graph.operations[i];
		status = check_given(&operation->x, pack, stream);
		if (status == CUDNN_STATUS_SUCCESS)
			status = check_given(&operation->w, pack, stream);
		if (status == CUDNN_STATUS_SUCCESS)
			status = check_given(&operation->y, pack, stream);
	}
	if (status == CUDNN_STATUS_SUCCESS &&
	    !library_check("cudnnBackendExecute's workspace", stream, pack->workspace,
			   DNN_WORKSPACE_BYTES))
		status = CUDNN_STATUS_BAD_PARAM;
	return status;
}
