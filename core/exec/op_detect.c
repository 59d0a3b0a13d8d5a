/* Operators of object detection: NonMaxSuppression, RoiAlign. */
#include "exec/op_detect.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "exec/axis.h"
#include "exec/parallel.h"

/* --- NonMaxSuppression -------------------------------------------------------------------------------------------- */

/* Corners in order, so that y0 <= y1 and x0 <= x1. */
struct box {
	float y0, x0, y1, x1;
};

/* Which boxes stay depends on the data, so all of it is known when the call is inferred. */
struct suppression {
	const float *boxes;
	const float *scores;
	int64_t batches;
	int64_t classes;
	int64_t count;
	int64_t most;
	float iou;
	float least_score;
	bool has_least_score;
	/* Boxes are given by centre and size. */
	bool centred;
};

/* The result so far; triples may be NULL to count alone. */
struct selection {
	int64_t *triples;
	int64_t count;
};

static struct box
box_at(const struct suppression *nms, int64_t batch, int64_t index)
{
	const float *b = nms->boxes + (batch * nms->count + index) * 4;
	if (nms->centred)
		return (struct box){ b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2,
				     b[0] + b[2] / 2 };
	return (struct box){ fminf(b[0], b[2]), fminf(b[1], b[3]), fmaxf(b[0], b[2]),
			     fmaxf(b[1], b[3]) };
}

static float
area(const struct box *box)
{
	return (box->y1 - box->y0) * (box->x1 - box->x0);
}

static bool
overlaps(const struct box *a, const struct box *b, float iou)
{
	float height = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0);
	float width = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0);
	if (height <= 0 || width <= 0)
		return false;
	float both = height * width;
	return both > iou * (area(a) + area(b) - both);
}

static int
by_score(const void *a, const void *b, void *scores)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	float x_score = ((const float *)scores)[x], y_score = ((const float *)scores)[y];
	if (x_score != y_score)
		return x_score > y_score ? -1 : 1;
	return (x > y) - (x < y);
}

/* Boxes of one class, best first, each kept unless it overlaps one that was. order has room for all. */
static void
suppress_class(const struct suppression *nms, int64_t batch, int64_t class, int64_t *order,
	       struct selection *selection)
{
	const float *scores = nms->scores + (batch * nms->classes + class) * nms->count;
	int64_t candidates = 0, kept = 0;
	for (int64_t i = 0; i < nms->count; i++) {
		if (!nms->has_least_score || scores[i] > nms->least_score)
			order[candidates++] = i;
	}
	qsort_r(order, (size_t)candidates, sizeof(*order), by_score, (void *)scores);
	for (int64_t i = 0; i < candidates && kept < nms->most; i++) {
		struct box box = box_at(nms, batch, order[i]);
		bool stays = true;
		for (int64_t k = 0; k < kept && stays; k++) {
			struct box other = box_at(nms, batch, order[k]);
			stays = !overlaps(&box, &other, nms->iou);
		}
		if (!stays)
			continue;
		/* Those kept so far take the places in front, which were looked at already. */
		order[kept++] = order[i];
		if (selection->triples != NULL) {
			int64_t *triple = selection->triples + 3 * selection->count;
			triple[0] = batch;
			triple[1] = class;
			triple[2] = order[i];
		}
		selection->count++;
	}
}

static int
suppress(const struct suppression *nms, struct selection *selection)
{
	struct arena scratch;
	arena_create(&scratch, 0);
	int64_t *order = arena_calloc(&scratch, (size_t)nms->count, sizeof(*order));
	for (int64_t i = 0; i < nms->batches * nms->classes && order != NULL; i++)
		suppress_class(nms, i / nms->classes, i % nms->classes, order, selection);
	arena_destroy(&scratch);
	return order == NULL ? -1 : 0;
}

static int
read_suppression(const struct operator_call *call, struct suppression *nms)
{
	const struct tensor_type *boxes = &call->inputs[0], *scores = &call->inputs[1];
	if (boxes->rank != 3 || boxes->dims[2] != 4 || scores->rank != 3 ||
	    boxes->data_type != DATA_TYPE_FLOAT || scores->data_type != DATA_TYPE_FLOAT ||
	    scores->dims[0] != boxes->dims[0] || scores->dims[2] != boxes->dims[1])
		return operator_error(call, "boxes must be FP32[batch,n,4], scores "
					    "FP32[batch,classes,n]");
	double most = operator_scalar(call, 2, 0);
	*nms = (struct suppression){
		.boxes = call->constants[0]->data,
		.scores = call->constants[1]->data,
		.batches = boxes->dims[0],
		.classes = scores->dims[1],
		.count = boxes->dims[1],
		.most = most > 0 ? (int64_t)fmin(most, 1e15) : 0,
		.iou = (float)operator_scalar(call, 3, 0),
		.least_score = (float)operator_scalar(call, 4, 0),
		.has_least_score = operator_has_input(call, 4),
		.centred = node_int(call->node, "center_point_box", 0) != 0,
	};
	return 0;
}

static int
infer_suppression(struct operator_call *call)
{
	struct suppression nms;
	struct selection selection = { 0 };
	if (read_suppression(call, &nms) != 0 || suppress(&nms, &selection) != 0)
		return -1;
	int64_t dims[] = { selection.count, 3 };
	return operator_output(call, 0, DATA_TYPE_INT64, 2, dims);
}

static int
run_suppression(const void *state, const struct operands *operands)
{
	struct selection selection = { .triples = operands->outputs[0] };
	return suppress(state, &selection);
}

static int
prepare_suppression(struct operator_call *call)
{
	struct suppression *nms = operator_state(call, sizeof(*nms));
	call->kernel->run = run_suppression;
	return nms == NULL ? -1 : read_suppression(call, nms);
}

/* --- RoiAlign ----------------------------------------------------------------------------------------------------- */

struct roi_run {
	const struct roi_align *align;
	const struct operands *operands;
};

/* Four neighbours and their weights; false when the place is outside the plane. */
struct sample {
	int64_t at[4];
	float weights[4];
};

static bool
sample_create(struct sample *sample, const struct roi_align *align, float y, float x)
{
	int64_t height = align->height, width = align->width;
	if (!(y >= -1 && y <= (float)height && x >= -1 && x <= (float)width))
		return false;
	y = fmaxf(y, 0);
	x = fmaxf(x, 0);
	int64_t y0 = (int64_t)y, x0 = (int64_t)x;
	if (y0 >= height - 1)
		y = (float)(y0 = height - 1);
	if (x0 >= width - 1)
		x = (float)(x0 = width - 1);
	int64_t y1 = y0 + 1 < height ? y0 + 1 : y0, x1 = x0 + 1 < width ? x0 + 1 : x0;
	float dy = y - (float)y0, dx = x - (float)x0;
	*sample = (struct sample){
		.at = { y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1 },
		.weights = { (1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx },
	};
	return true;
}

/* One output element: samples of the bin at y, x of that size, their mean or the largest weighted neighbour. */
static float
align_bin(const struct roi_align *align, const float *plane, float y, float x, float bin_height,
	  float bin_width, int64_t rows, int64_t columns)
{
	float result = 0;
	bool first = true;
	for (int64_t i = 0; i < rows * columns; i++) {
		struct sample sample;
		float at_y = y + ((float)(i / columns) + 0.5f) * bin_height / (float)rows;
		float at_x = x + ((float)(i % columns) + 0.5f) * bin_width / (float)columns;
		if (!sample_create(&sample, align, at_y, at_x))
			continue;
		float parts[4];
		for (int k = 0; k < 4; k++)
			parts[k] = sample.weights[k] * plane[sample.at[k]];
		if (!align->takes_max) {
			result += parts[0] + parts[1] + parts[2] + parts[3];
			continue;
		}
		float largest = fmaxf(fmaxf(parts[0], parts[1]), fmaxf(parts[2], parts[3]));
		result = first ? largest : fmaxf(result, largest);
		first = false;
	}
	return align->takes_max ? result : result / (float)(rows * columns);
}

static void
align_roi(const struct roi_run *run, int64_t roi, int64_t batch)
{
	const struct roi_align *align = run->align;
	const float *corners = (const float *)run->operands->inputs[1] + roi * 4;
	float x = corners[0] * align->scale - align->offset;
	float y = corners[1] * align->scale - align->offset;
	float width = corners[2] * align->scale - align->offset - x;
	float height = corners[3] * align->scale - align->offset - y;
	if (align->offset == 0) {
		width = fmaxf(width, 1);
		height = fmaxf(height, 1);
	}
	float bin_height = height / (float)align->out_height;
	float bin_width = width / (float)align->out_width;
	/* No more samples than a plane has elements, whatever the corners say. */
	int64_t rows = (int64_t)fminf(fmaxf(ceilf(bin_height), 1), (float)align->height + 1);
	int64_t columns = (int64_t)fminf(fmaxf(ceilf(bin_width), 1), (float)align->width + 1);
	if (align->samples > 0)
		rows = columns = align->samples;
	int64_t out_size = align->out_height * align->out_width;
	for (int64_t c = 0; c < align->channels; c++) {
		int64_t plane = batch * align->channels + c;
		const float *in = (const float *)run->operands->inputs[0] +
				  plane * align->height * align->width;
		float *out =
			(float *)run->operands->outputs[0] + (roi * align->channels + c) * out_size;
		for (int64_t i = 0; i < out_size; i++)
			out[i] =
				align_bin(align, in, y + (float)(i / align->out_width) * bin_height,
					  x + (float)(i % align->out_width) * bin_width, bin_height,
					  bin_width, rows, columns);
	}
}

static void
align_rois(void *context, int64_t begin, int64_t end)
{
	const struct roi_run *run = context;
	const struct roi_align *align = run->align;
	for (int64_t roi = begin; roi < end; roi++)
		align_roi(run, roi, axis_integer(align->batch_type, run->operands->inputs[2], roi));
}

int
op_detect_roi_align(const void *state, const struct operands *operands)
{
	const struct roi_align *align = state;
	struct roi_run run = { align, operands };
	for (int64_t roi = 0; roi < align->rois; roi++) {
		int64_t batch = axis_integer(align->batch_type, operands->inputs[2], roi);
		if (batch < 0 || batch >= align->batches)
			return error_set(ERR_OUT_OF_RANGE,
					 "RoiAlign: batch index %" PRId64 " of %" PRId64, batch,
					 align->batches);
	}
	parallel_for(align->threads, align->rois, 1, align_rois, &run);
	return 0;
}

static int
infer_roi_align(struct operator_call *call)
{
	const struct tensor_type *x = &call->inputs[0], *rois = &call->inputs[1];
	const struct tensor_type *indices = &call->inputs[2];
	int64_t height = node_int(call->node, "output_height", 1);
	int64_t width = node_int(call->node, "output_width", 1);
	if (x->data_type == DATA_TYPE_FLOAT16 || x->data_type == DATA_TYPE_BFLOAT16)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(x->data_type));
	if (x->rank != 4 || x->data_type != DATA_TYPE_FLOAT || rois->rank != 2 ||
	    rois->dims[1] != 4 || rois->data_type != DATA_TYPE_FLOAT)
		return operator_error(call, "the input must be FP32[n,c,h,w], the regions "
					    "FP32[r,4]");
	if ((indices->data_type != DATA_TYPE_INT64 && indices->data_type != DATA_TYPE_INT32) ||
	    tensor_elements(indices) != rois->dims[0])
		return operator_error(call, "batch_indices must be one integer a region");
	if (height < 1 || width < 1 || node_int(call->node, "sampling_ratio", 0) > 1 << 15)
		return operator_error(call, "the output would be %" PRId64 "x%" PRId64, height,
				      width);
	int64_t dims[] = { rois->dims[0], x->dims[1], height, width };
	return operator_output(call, 0, DATA_TYPE_FLOAT, 4, dims);
}

static int
prepare_roi_align(struct operator_call *call)
{
	const struct tensor_type *x = &call->inputs[0];
	const char *usual = call->node->opset < 16 ? "output_half_pixel" : "half_pixel";
	const char *mode = node_string(call->node, "coordinate_transformation_mode", usual);
	struct roi_align *align = operator_state(call, sizeof(*align));
	if (align == NULL)
		return -1;
	*align = (struct roi_align){
		.batch_type = call->inputs[2].data_type,
		.batches = x->dims[0],
		.channels = x->dims[1],
		.height = x->dims[2],
		.width = x->dims[3],
		.rois = call->inputs[1].dims[0],
		.out_height = call->outputs[0].dims[2],
		.out_width = call->outputs[0].dims[3],
		.samples = node_int(call->node, "sampling_ratio", 0),
		.scale = node_float(call->node, "spatial_scale", 1),
		.offset = strcmp(mode, "half_pixel") == 0 ? 0.5f : 0,
		.takes_max = strcmp(node_string(call->node, "mode", "avg"), "max") == 0,
		.threads = call->threads,
	};
	call->kernel->run = op_detect_roi_align;
	return 0;
}

static const struct op detect_operators[] = {
	{ .type = "NonMaxSuppression",
	  .since = 10,
	  .inputs = { 2, 5 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_DATA_SHAPED,
	  .infer = infer_suppression,
	  .prepare = prepare_suppression },
	{ .type = "RoiAlign",
	  .since = 10,
	  .inputs = { 3, 3 },
	  .outputs = { 1, 1 },
	  .infer = infer_roi_align,
	  .prepare = prepare_roi_align },
};

const struct operator_family operator_family_detect = {
	detect_operators,
	sizeof(detect_operators) / sizeof(detect_operators[0]),
};
