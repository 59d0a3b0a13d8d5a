/* Graphs computed: every tensor as floats or doubles without gaps, one operation after the other. */
#include <stdlib.h>
#include <string.h>

#include "dnn.h"
#include "element.h"
#include "product.h"

static enum element
element_of(cudnnDataType_t type)
{
	switch (type) {
	case CUDNN_DATA_DOUBLE:
		return ELEMENT_DOUBLE;
	case CUDNN_DATA_HALF:
		return ELEMENT_HALF;
	case CUDNN_DATA_BFLOAT16:
		return ELEMENT_BFLOAT16;
	default:
		return ELEMENT_FLOAT;
	}
}

static void *
address_of(const struct dnn_pack *pack, int64_t id)
{
	int64_t at = 0;
	while (pack->ids[at] != id)
		at++;
	return pack->addresses[at];
}

/* Where element i of the tensor, counted rows last, lies. */
static int64_t
place(const struct dnn_tensor *tensor, int64_t i)
{
	int64_t at = 0;
	for (int64_t d = tensor->rank; d-- > 0;) {
		at += i % tensor->dims[d] * tensor->strides[d];
		i /= tensor->dims[d];
	}
	return at;
}

/* Do its elements lie one after the other, rows last? */
static bool
is_packed(const struct dnn_tensor *tensor)
{
	int64_t step = 1;
	for (int64_t d = tensor->rank; d-- > 0;) {
		if (tensor->dims[d] != 1 && tensor->strides[d] != step)
			return false;
		step *= tensor->dims[d];
	}
	return true;
}

static double *
load(const struct dnn_run *run, const struct dnn_tensor *tensor, bool round)
{
	int64_t count = dnn_tensor_elements(tensor);
	double *values = malloc(sizeof(double) * (size_t)count);
	const void *from = address_of(&run->pack, tensor->id);
	if (is_packed(tensor))
		element_doubles(element_of(tensor->type), from, count, values);
	else
		for (int64_t i = 0; i < count; i++)
			values[i] = element_load(element_of(tensor->type), from, place(tensor, i));
	for (int64_t i = 0; round && i < count; i++)
		values[i] = element_tf32((float)values[i]);
	return values;
}

static void
store(const struct dnn_run *run, const struct dnn_tensor *tensor, const double *values)
{
	void *to = address_of(&run->pack, tensor->id);
	bool packed = is_packed(tensor);
	int64_t count = dnn_tensor_elements(tensor);
	for (int64_t i = 0; i < count; i++)
		element_store(element_of(tensor->type), to, packed ? i : place(tensor, i),
			      values[i]);
}

/* --- convolutions ---------------------------------------------------------------------------------------------------- */

static struct product_conv
describe(const struct dnn_operation *operation)
{
	bool backward = operation->kind == DNN_CONV_BACKWARD;
	const struct dnn_tensor *in = backward ? &operation->y : &operation->x;
	const struct dnn_tensor *out = backward ? &operation->x : &operation->y;
	const struct dnn_conv *conv = &operation->conv;
	struct product_conv to = { .batch = in->dims[0],
				   .groups = in->dims[1] / operation->w.dims[1],
				   .in_channels = in->dims[1],
				   .out_channels = out->dims[1] };
	for (int i = 0; i < PRODUCT_SPATIAL; i++) {
		int64_t from = i - (PRODUCT_SPATIAL - conv->spatial);
		bool is_there = from >= 0;
		to.in[i] = is_there ? in->dims[from + 2] : 1;
		to.out[i] = is_there ? out->dims[from + 2] : 1;
		to.kernel[i] = is_there ? operation->w.dims[from + 2] : 1;
		to.stride[i] = is_there ? conv->stride[from] : 1;
		to.dilation[i] = is_there ? conv->dilation[from] : 1;
		to.begin[i] = is_there ? conv->begin[from] : 0;
	}
	return to;
}

static float *
narrow(const double *values, int64_t count)
{
	float *floats = malloc(sizeof(float) * (size_t)count);
	for (int64_t i = 0; i < count; i++)
		floats[i] = (float)values[i];
	return floats;
}

static void
convolve_narrow(const struct product_conv *conv, bool backward, const double *x, int64_t x_count,
		const double *w, int64_t w_count, double *y, int64_t y_count)
{
	float *from = narrow(x, x_count), *weights = narrow(w, w_count);
	float *to = malloc(sizeof(float) * (size_t)y_count);
	product_conv_float(conv, backward, backward ? to : from, weights, backward ? from : to);
	for (int64_t i = 0; i < y_count; i++)
		y[i] = to[i];
	free(from);
	free(weights);
	free(to);
}

static void
convolve(const struct dnn_operation *operation, double *x, const double *w, double *y)
{
	struct product_conv conv = describe(operation);
	bool backward = operation->kind == DNN_CONV_BACKWARD;
	if (operation->conv.compute == CUDNN_DATA_DOUBLE)
		product_conv_double(&conv, backward, backward ? y : x, w, backward ? x : y);
	else
		convolve_narrow(&conv, backward, x, dnn_tensor_elements(&operation->x), w,
				dnn_tensor_elements(&operation->w), y,
				dnn_tensor_elements(&operation->y));
}

/* --- pointwise ------------------------------------------------------------------------------------------------------- */

/* Element of the second operand that goes with element i of the first. */
static int64_t
partner(const struct dnn_tensor *x, const struct dnn_tensor *b, int64_t i)
{
	int64_t at = 0, step = 1;
	for (int64_t d = x->rank; d-- > 0;) {
		at += b->dims[d] == 1 ? 0 : i % x->dims[d] * step;
		step *= b->dims[d];
		i /= x->dims[d];
	}
	return at;
}

static void
apply(const struct dnn_operation *operation, const double *x, const double *b, double *y)
{
	int64_t count = dnn_tensor_elements(&operation->x);
	for (int64_t i = 0; i < count; i++) {
		switch (operation->mode) {
		case CUDNN_POINTWISE_ADD:
			y[i] = (float)(x[i] + b[partner(&operation->x, &operation->w, i)]);
			break;
		case CUDNN_POINTWISE_RELU_FWD:
			y[i] = x[i] < 0 ? 0 : x[i];
			break;
		default:
			y[i] = x[i];
		}
	}
}

/* --- a run ----------------------------------------------------------------------------------------------------------- */

void
dnn_run(const void *context)
{
	const struct dnn_run *run = context;
	const struct dnn_graph *graph = &run->plan.graph;
	double *x = load(run, &graph->operations[0].x, run->plan.is_rounded);
	for (int64_t i = 0; i < graph->count; i++) {
		const struct dnn_operation *operation = &graph->operations[i];
		double *y = malloc(sizeof(double) * (size_t)dnn_tensor_elements(&operation->y));
		double *w = operation->w.rank == 0
				    ? NULL
				    : load(run, &operation->w, i == 0 && run->plan.is_rounded);
		if (operation->kind == DNN_POINTWISE)
			apply(operation, x, w, y);
		else
			convolve(operation, x, w, y);
		free(x);
		free(w);
		x = y;
	}
	store(run, &graph->operations[graph->count - 1].y, x);
	free(x);
}
