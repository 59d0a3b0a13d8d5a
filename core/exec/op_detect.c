/* Operators of object detection: NonMaxSuppression, and as Suppress for the compiler (model/suppress.h), RoiAlign. */
#include "exec/op_detect.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "exec/axis.h"
#include "exec/box.h"
#include "exec/parallel.h"

/* --- NonMaxSuppression -------------------------------------------------------------------------------------------- */

/* One run's operands. */
struct suppression_at {
	const float *boxes;
	const float *scores;
	int64_t most;
	float iou;
	float least_score;
};

struct suppression_run {
	const struct suppression *nms;
	const struct suppression_at *at;
	struct suppression_scratch scratch;
};

static int
by_score(const void *a, const void *b, void *scores)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	float x_score = ((const float *)scores)[x], y_score = ((const float *)scores)[y];
	if (x_score != y_score)
		return x_score > y_score ? -1 : 1;
	return (x > y) - (x < y);
}

/* Boxes of one class, best first, each kept unless one hides it that was; they go to order's front. How many. */
static int64_t
keep_boxes(const struct suppression *nms, const struct suppression_at *at, int64_t class,
	   int64_t *order)
{
	const float *scores = at->scores + class * nms->count;
	const float *boxes = at->boxes + class / nms->classes * nms->count * 4;
	int64_t candidates = 0, kept = 0;
	for (int64_t i = 0; i < nms->count; i++) {
		if (!nms->has_least_score || scores[i] > at->least_score)
			order[candidates++] = i;
	}
	qsort_r(order, (size_t)candidates, sizeof(*order), by_score, (void *)scores);
	for (int64_t i = 0; i < candidates && kept < at->most; i++) {
		struct box box = box_at(boxes, order[i], nms->centred);
		bool stays = true;
		for (int64_t k = 0; k < kept && stays; k++) {
			struct box other = box_at(boxes, order[k], nms->centred);
			stays = !box_hides(&box, &other, at->iou);
		}
		/* Those kept so far take the places in front, which were looked at already. */
		if (stays)
			order[kept++] = order[i];
	}
	return kept;
}

static void
keep_in_classes(void *context, int64_t begin, int64_t end)
{
	const struct suppression_run *run = context;
	for (int64_t i = begin; i < end; i++)
		run->scratch.kept[i] =
			keep_boxes(run->nms, run->at, i, run->scratch.order + i * run->nms->count);
}

/* Rows {batch, class, box} of what is kept, in that order; how many. */
static int64_t
list_kept(const struct suppression_run *run, int64_t *rows)
{
	int64_t total = 0, classes = run->nms->classes;
	for (int64_t i = 0; i < run->nms->batches * classes; i++) {
		for (int64_t k = 0; k < run->scratch.kept[i]; k++, total++) {
			int64_t *row = rows + 3 * total;
			row[0] = i / classes;
			row[1] = i % classes;
			row[2] = run->scratch.order[i * run->nms->count + k];
		}
	}
	return total;
}

size_t
suppression_scratch_bytes(const struct suppression *nms)
{
	return (size_t)(nms->batches * nms->classes * (nms->count + 1)) * sizeof(int64_t);
}

struct suppression_scratch
suppression_scratch(const struct suppression *nms, void *memory)
{
	int64_t *kept = memory;
	return (struct suppression_scratch){ kept, kept + nms->batches * nms->classes };
}

static void
suppress(struct suppression_run *run, void *memory)
{
	const struct suppression *nms = run->nms;
	run->scratch = suppression_scratch(nms, memory);
	parallel_for(nms->threads, nms->batches * nms->classes, 1, keep_in_classes, run);
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
	*nms = (struct suppression){
		.batches = boxes->dims[0],
		.classes = scores->dims[1],
		.count = boxes->dims[1],
		.has_least_score = operator_has_input(call, 4),
		.centred = node_int(call->node, "center_point_box", 0) != 0,
		.threads = call->threads != 0 ? call->threads : 1,
	};
	return 0;
}

/* NonMaxSuppression where all is known: what is kept, its memory the call's arena or scratch's. */
struct suppressed {
	struct suppression nms;
	struct suppression_at at;
	struct suppression_run run;
};

static int
suppress_known(const struct operator_call *call, struct suppressed *known, struct arena *arena)
{
	if (read_suppression(call, &known->nms) != 0)
		return -1;
	double most = operator_scalar(call, 2, 0);
	known->at = (struct suppression_at){
		.boxes = call->constants[0]->data,
		.scores = call->constants[1]->data,
		.most = most > 0 ? (int64_t)fmin(most, 1e15) : 0,
		.iou = (float)operator_scalar(call, 3, 0),
		.least_score = (float)operator_scalar(call, 4, 0),
	};
	known->run = (struct suppression_run){ .nms = &known->nms, .at = &known->at };
	void *memory = arena_alloc(arena, suppression_scratch_bytes(&known->nms));
	if (memory == NULL)
		return -1;
	suppress(&known->run, memory);
	return 0;
}

static int
infer_suppression(struct operator_call *call)
{
	struct suppressed known = { 0 };
	struct arena scratch;
	arena_create(&scratch, 0);
	int64_t dims[] = { 0, 3 };
	int result = suppress_known(call, &known, &scratch);
	for (int64_t i = 0; result == 0 && i < known.nms.batches * known.nms.classes; i++)
		dims[0] += known.run.scratch.kept[i];
	arena_destroy(&scratch);
	return result == 0 ? operator_output(call, 0, DATA_TYPE_INT64, 2, dims) : -1;
}

static int
run_suppression(const void *state, const struct operands *operands)
{
	const struct suppressed *known = state;
	list_kept(&known->run, operands->outputs[0]);
	return 0;
}

static int
prepare_suppression(struct operator_call *call)
{
	struct suppressed *known = operator_state(call, sizeof(*known));
	call->kernel->run = run_suppression;
	return known == NULL ? -1 : suppress_known(call, known, call->arena);
}

/* --- Suppress: the same with a shape that is known -------------------------------------------------------------------- */

int
op_detect_suppress(const void *state, const struct operands *operands)
{
	const struct suppression *nms = state;
	const float *iou = operands->inputs[3], *least = operands->inputs[4];
	struct suppression_at at = {
		.boxes = operands->inputs[0],
		.scores = operands->inputs[1],
		.most = *(const int64_t *)operands->inputs[2],
		.iou = iou != NULL ? *iou : 0,
		.least_score = least != NULL ? *least : 0,
	};
	struct suppression_run run = { .nms = nms, .at = &at };
	suppress(&run, operands->scratch);
	int64_t *rows = operands->outputs[0], *total = operands->outputs[1];
	*total = list_kept(&run, rows);
	memset(rows + *total * 3, 0, (size_t)((nms->rows - *total) * 3) * sizeof(*rows));
	return 0;
}

/* Room for the most that may be kept: of a class all boxes, or as many as a known input 2 allows. */
static int
infer_suppress(struct operator_call *call)
{
	struct suppression nms = { 0 };
	if (read_suppression(call, &nms) != 0)
		return -1;
	int64_t a_class = nms.count, one = 1;
	const struct constant *most = call->constants[2];
	if (most != NULL && most->type.data_type == DATA_TYPE_INT64) {
		int64_t limit = *(const int64_t *)most->data;
		a_class = limit < 0 ? 0 : limit < a_class ? limit : a_class;
	}
	int64_t dims[] = { nms.batches * nms.classes * a_class, 3 };
	operator_output(call, 1, DATA_TYPE_INT64, 1, &one);
	return operator_output(call, 0, DATA_TYPE_INT64, 2, dims);
}

static int
prepare_suppress(struct operator_call *call)
{
	struct suppression *nms = operator_state(call, sizeof(*nms));
	if (nms == NULL || read_suppression(call, nms) != 0)
		return -1;
	nms->rows = call->outputs[0].dims[0];
	call->kernel->run = op_detect_suppress;
	call->kernel->scratch_bytes = suppression_scratch_bytes(nms);
	return 0;
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
	{ .domain = "tidepool",
	  .type = "Suppress",
	  .since = 1,
	  .inputs = { 3, 5 },
	  .outputs = { 2, 2 },
	  .infer = infer_suppress,
	  .prepare = prepare_suppress },
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
