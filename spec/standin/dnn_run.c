/* Graphs computed: every tensor as doubles without gaps, rows last, one operation after the other. */
#include <math.h>
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

static int64_t
index_of(const struct dnn_pack *pack, int64_t id)
{
	int64_t at = 0;
	while (pack->ids[at] != id)
		at++;
	return at;
}

static void *
address_of(const struct dnn_pack *pack, int64_t id)
{
	return pack->addresses[index_of(pack, id)];
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
	if (tensor->is_by_value) {
		values[0] = run->pack.values[index_of(&run->pack, tensor->id)];
		return values;
	}
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
convolve(const struct dnn_operation *operation, const double *x, const double *w, double *y)
{
	struct product_conv conv = describe(operation);
	bool backward = operation->kind == DNN_CONV_BACKWARD;
	if (operation->conv.compute == CUDNN_DATA_DOUBLE)
		product_conv_double(&conv, backward, backward ? y : (double *)x, w,
				    backward ? (double *)x : y);
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

static double
of_two(cudnnPointwiseMode_t mode, double x, double y)
{
	switch (mode) {
	case CUDNN_POINTWISE_ADD:
		return x + y;
	case CUDNN_POINTWISE_SUB:
		return x - y;
	case CUDNN_POINTWISE_MUL:
		return x * y;
	default:
		return x / y;
	}
}

static double
of_one(cudnnPointwiseMode_t mode, double x)
{
	if (mode == CUDNN_POINTWISE_EXP)
		return exp(x);
	if (mode == CUDNN_POINTWISE_LOG)
		return log(x);
	return mode == CUDNN_POINTWISE_RELU_FWD && x < 0 ? 0 : x;
}

static void
apply(const struct dnn_operation *operation, const double *x, const double *b, double *y)
{
	int64_t count = dnn_tensor_elements(&operation->x);
	for (int64_t i = 0; i < count; i++)
		y[i] = b != NULL ? (float)of_two(operation->mode, x[i],
						 b[partner(&operation->x, &operation->w, i)])
				 : of_one(operation->mode, x[i]);
}

/* --- products and reductions ------------------------------------------------------------------------------------------- */

static void
multiply(const struct dnn_operation *operation, const double *a, const double *b, double *c)
{
	int64_t last = operation->x.rank - 1, batches = 1;
	int64_t m = operation->x.dims[last - 1], k = operation->x.dims[last];
	int64_t n = operation->w.dims[last];
	for (int64_t i = 0; i + 1 < last; i++)
		batches *= operation->x.dims[i];
	for (int64_t i = 0; i < batches * m * n; i++) {
		const double *row = a + i / n * k, *column = b + i / n / m * k * n + i % n;
		double sum = 0;
		for (int64_t p = 0; p < k; p++)
			sum += row[p] * column[p * n];
		c[i] = (float)sum;
	}
}

static void
reduce(const struct dnn_operation *operation, const double *x, double *y)
{
	bool adds = operation->reduction == CUDNN_REDUCE_TENSOR_ADD;
	int64_t count = dnn_tensor_elements(&operation->x);
	for (int64_t i = dnn_tensor_elements(&operation->y); i-- > 0;)
		y[i] = adds ? 0 : -INFINITY;
	for (int64_t i = 0; i < count; i++) {
		double *to = &y[partner(&operation->x, &operation->y, i)];
		*to = adds ? *to + x[i] : x[i] > *to || isnan(x[i]) ? x[i] : *to;
	}
}

/* --- a run ----------------------------------------------------------------------------------------------------------- */

/* What operations have given by now. */
struct dnn_results {
	const struct dnn_run *run;
	double *values[DNN_MAX_OPERATIONS];
	int64_t count;
};

/* The tensor as an operation reads it; what is loaded is the caller's to free. NULL: there is none. */
static const double *
read_tensor(const struct dnn_results *results, const struct dnn_tensor *tensor, double **loaded)
{
	*loaded = NULL;
	if (tensor->rank == 0)
		return NULL;
	for (int64_t i = 0; i < results->count; i++)
		if (results->run->plan.graph.operations[i].y.id == tensor->id)
			return results->values[i];
	*loaded = load(results->run, tensor, results->run->plan.is_rounded && results->count == 0);
	return *loaded;
}

/* What a tensor within the graph keeps of its numbers. */
static void
round_to(cudnnDataType_t type, double *values, int64_t count)
{
	bool is_narrow = type == CUDNN_DATA_HALF || type == CUDNN_DATA_BFLOAT16;
	for (int64_t i = 0; is_narrow && i < count; i++)
		values[i] = element_rounded(element_of(type), (float)values[i]);
}

static void
compute(const struct dnn_operation *operation, const double *x, const double *w, double *y)
{
	switch (operation->kind) {
	case DNN_POINTWISE:
		apply(operation, x, w, y);
		break;
	case DNN_MATMUL:
		multiply(operation, x, w, y);
		break;
	case DNN_REDUCTION:
		reduce(operation, x, y);
		break;
	default:
		convolve(operation, x, w, y);
		break;
	}
}

void
dnn_run(const void *context)
{
	const struct dnn_run *run = context;
	const struct dnn_graph *graph = &run->plan.graph;
	struct dnn_results results = { .run = run };
	for (int64_t i = 0; i < graph->count; i++) {
		const struct dnn_operation *operation = &graph->operations[i];
		int64_t count = dnn_tensor_elements(&operation->y);
		double *loaded[2], *y = malloc(sizeof(double) * (size_t)count);
		const double *x = read_tensor(&results, &operation->x, &loaded[0]);
		const double *w = read_tensor(&results, &operation->w, &loaded[1]);
		compute(operation, x, w, y);
		round_to(operation->y.type, y, count);
		free(loaded[0]);
		free(loaded[1]);
		results.values[results.count++] = y;
		if (!operation->y.is_virtual)
			store(run, &operation->y, y);
	}
	while (results.count != 0)
		free(results.values[--results.count]);
}
