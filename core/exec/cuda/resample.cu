/* Resampling: kernels that read an image between its pixels. */
#include "exec/cuda/kernel.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_detect.h"
#include "exec/op_resize.h"
#include "exec/op_sample.h"
}

/* --- Resize ------------------------------------------------------------------------------------------------------------------- */

/* What a kernel needs of one axis; the host's tables of taps stay on the host, places are worked out here (exec/resize.c). */
struct resize_line {
	int64_t in;
	int64_t out;
	double scale;
	double roi_start;
	double roi_end;
	uint32_t taps;
};

struct resize_job {
	struct resize_rule rule;
	uint32_t rank;
	struct resize_line lines[TENSOR_MAX_RANK];
	float extrapolation;
};

static __device__ double
place_of(const struct resize_rule &rule, const struct resize_line &line, int64_t i)
{
	double in = (double)line.in, at = (double)i, out = line.scale * in;
	switch (rule.coordinates) {
	case RESIZE_HALF_PIXEL:
		return (at + 0.5) / line.scale - 0.5;
	case RESIZE_HALF_PIXEL_SYMMETRIC:
		return in / 2 * (1 - (double)line.out / out) + (at + 0.5) / line.scale - 0.5;
	case RESIZE_PYTORCH_HALF_PIXEL:
		return line.out > 1 ? (at + 0.5) / line.scale - 0.5 : 0;
	case RESIZE_ALIGN_CORNERS:
		return line.out > 1 ? at * (in - 1) / (out - 1) : 0;
	case RESIZE_TF_CROP_AND_RESIZE:
		if (line.out == 1)
			return 0.5 * (line.roi_start + line.roi_end) * (in - 1);
		return line.roi_start * (in - 1) +
		       at * (line.roi_end - line.roi_start) * (in - 1) / (out - 1);
	case RESIZE_TF_HALF_PIXEL_FOR_NN:
		return (at + 0.5) / line.scale;
	default:
		return at / line.scale;
	}
}

static __device__ __forceinline__ int64_t
clamp_index(double place, int64_t in)
{
	if (!(place > 0))
		return 0;
	return place >= (double)(in - 1) ? in - 1 : (int64_t)place;
}

static __device__ __forceinline__ double
round_place(enum resize_rounding rounding, double place)
{
	switch (rounding) {
	case RESIZE_ROUND_PREFER_CEIL:
		return floor(place + 0.5);
	case RESIZE_FLOOR:
		return floor(place);
	case RESIZE_CEIL:
		return ceil(place);
	default:
		return ceil(place - 0.5);
	}
}

/* Keys' cubic convolution kernel at distance t. */
template <typename R>
static __device__ __forceinline__ R
cubic(R t, R a)
{
	t = fabs(t);
	if (t <= 1)
		return ((a + 2) * t - (a + 3)) * t * t + 1;
	return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : R(0);
}

static __device__ __forceinline__ double
weight_of(const struct resize_rule &rule, const struct resize_line &line, double at, double place)
{
	double stretch = rule.antialiases && line.scale < 1 ? line.scale : 1;
	bool outside = at < 0 || at > (double)(line.in - 1);
	if (outside && rule.excludes_outside)
		return 0;
	double t = (at - place) * stretch;
	if (rule.mode == RESIZE_CUBIC)
		return cubic(t, (double)rule.cubic_a);
	double weight = 1 - fabs(t);
	return weight > 0 ? weight : 0;
}

/* Elements of any type are copied. */
template <typename T>
static __global__ void
nearest_kernel(struct resize_job job, const T *in, T *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t from = 0, step = 1, rest = i;
		for (int d = (int)job.rank - 1; d >= 0; d--) {
			const struct resize_line &line = job.lines[d];
			double place = place_of(job.rule, line, rest % line.out);
			from += clamp_index(round_place(job.rule.rounding, place), line.in) * step;
			rest /= line.out;
			step *= line.in;
		}
		out[i] = in[from];
	}
}

/* One axis: in[outer][in][inner] to out[outer][out][inner], each a weighted sum of the elements around its place. */
static __global__ void
resize_kernel(struct resize_rule rule, struct resize_line line, int64_t inner, const float *in,
	      float *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		const float *from = in + i / inner / line.out * line.in * inner + i % inner;
		double place = place_of(rule, line, i / inner % line.out);
		if (rule.mode == RESIZE_NEAREST) {
			out[i] = from[clamp_index(round_place(rule.rounding, place), line.in) *
				      inner];
			continue;
		}
		double first = floor(place) - (double)(line.taps / 2 - 1), weights = 0;
		float sum = 0;
		for (uint32_t k = 0; k < line.taps; k++)
			weights += weight_of(rule, line, first + k, place);
		for (uint32_t k = 0; k < line.taps; k++) {
			double weight = weight_of(rule, line, first + k, place);
			weight = weights != 0 ? weight / weights : weight;
			sum += (float)weight * from[clamp_index(first + k, line.in) * inner];
		}
		out[i] = sum;
	}
}

/* Cropping: what lies outside the input gets the node's value. */
static __global__ void
extrapolate_kernel(struct resize_job job, float *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t rest = i;
		for (int d = (int)job.rank - 1; d >= 0; d--) {
			const struct resize_line &line = job.lines[d];
			double place = place_of(job.rule, line, rest % line.out);
			rest /= line.out;
			if (!(place >= 0 && place <= (double)(line.in - 1)))
				out[i] = job.extrapolation;
		}
	}
}

static struct resize_job
job_of(const struct resize *resize)
{
	struct resize_job job = {};
	job.rule = resize->rule;
	job.rank = resize->rank;
	job.extrapolation = resize->extrapolation;
	for (uint32_t i = 0; i < resize->rank; i++) {
		const struct resize_axis *axis = &resize->passes[i].axis;
		job.lines[i] = { axis->in,        axis->out,     axis->scale,
				 axis->roi_start, axis->roi_end, axis->taps };
	}
	return job;
}

static int
run_nearest(const struct resize_job *job, size_t bytes, const struct operands *operands, int64_t n)
{
	switch (bytes) {
#define CASE(size, type)                                                                           \
	case size:                                                                                 \
		KERNEL_LAUNCH_FLAT(nearest_kernel<type>, grid_for(n), BLOCK, stream_of(operands),  \
				   *job, (const type *)operands->inputs[0],                        \
				   (type *)operands->outputs[0], n);                               \
		break;
		CASE(1, uint8_t)
		CASE(2, uint16_t)
		CASE(4, uint32_t)
		CASE(8, uint64_t)
#undef CASE
	}
	return launched(operands, "nearest_kernel");
}

/* An axis at a time, between two buffers; the last one to out. */
static void
put_passes(const struct resize *resize, const struct resize_job *job, const float *in,
	   float *buffers, float *out, const struct operands *operands)
{
	uint32_t left = 0, next = 0;
	for (uint32_t i = 0; i < resize->rank; i++)
		left += resize->is_needed[i];
	for (uint32_t i = 0; i < resize->rank; i++) {
		const struct pass *pass = &resize->passes[i];
		if (!resize->is_needed[i])
			continue;
		float *to = --left == 0 ? out : buffers + next++ % 2 * resize->room;
		int64_t n = pass->outer * pass->axis.out * pass->inner;
		KERNEL_LAUNCH_FLAT(resize_kernel, grid_for(n), BLOCK, stream_of(operands),
				   resize->rule, job->lines[i], pass->inner, in, to, n);
		in = to;
	}
	if (in != out && next == 0)
		cudaMemcpyAsync(out, in, tensor_bytes(&resize->out), cudaMemcpyDeviceToDevice,
				stream_of(operands));
}

extern "C" int
cuda_resample_resize(const void *state, const struct operands *operands)
{
	const struct resize *resize = (const struct resize *)state;
	struct resize_job job = job_of(resize);
	cudaStream_t stream = stream_of(operands);
	int64_t n = tensor_elements(&resize->out), count = tensor_elements(&resize->in);
	bool crops = resize->rule.coordinates == RESIZE_TF_CROP_AND_RESIZE;
	if (resize->rule.mode == RESIZE_NEAREST && !crops)
		return run_nearest(&job, data_type_bytes(resize->data_type), operands, n);
	float *buffers = (float *)operands->scratch;
	const float *in = (const float *)operands->inputs[0];
	float *out = (float *)operands->outputs[0];
	if (resize->data_type != DATA_TYPE_FLOAT) {
		float *converted = buffers + 2 * resize->room;
		kernel_cast(stream, DATA_TYPE_FLOAT, converted, resize->data_type, in, count);
		in = converted;
		out = converted + count;
	}
	bool moves = false;
	for (uint32_t i = 0; i < resize->rank; i++)
		moves |= resize->is_needed[i];
	if (moves)
		put_passes(resize, &job, in, buffers, out, operands);
	else
		cudaMemcpyAsync(out, in, (size_t)n * sizeof(float), cudaMemcpyDeviceToDevice,
				stream);
	if (crops)
		KERNEL_LAUNCH_FLAT(extrapolate_kernel, grid_for(n), BLOCK, stream, job, out, n);
	if (resize->data_type != DATA_TYPE_FLOAT)
		kernel_cast(stream, resize->data_type, operands->outputs[0], DATA_TYPE_FLOAT, out,
			    n);
	return launched(operands, "resize_kernel");
}

/* --- GridSample ----------------------------------------------------------------------------------------------------------------- */

/* Neighbours in one direction: indices (-1: outside, reads 0) and weights. */
struct taps {
	int count;
	int64_t at[OP_SAMPLE_TAPS];
	float weights[OP_SAMPLE_TAPS];
};

/* There and back between low and high. */
static __device__ float
reflect(float x, float low, float high)
{
	float span = high - low;
	if (span <= 0)
		return 0;
	float distance = fabsf(x - low);
	float turns = floorf(distance / span);
	float rest = distance - turns * span;
	return fmodf(turns, 2) == 0 ? low + rest : high - rest;
}

static __device__ int64_t
neighbour(const struct sampler &sampler, float x, int64_t dim)
{
	float last = (float)(dim - 1);
	if (!(x >= 0 && x <= last)) {
		if (sampler.padding == PADDING_ZEROS || x != x)
			return -1;
		if (sampler.padding == PADDING_REFLECTION)
			x = sampler.aligns_corners ? reflect(x, 0, last)
						   : reflect(x, -0.5f, last + 0.5f);
		x = fminf(fmaxf(x, 0), last);
	}
	return (int64_t)x;
}

static __device__ void
find_taps(const struct sampler &sampler, float given, int64_t dim, struct taps *taps)
{
	float length = (float)dim;
	float x = sampler.aligns_corners ? (given + 1) / 2 * (length - 1)
					 : ((given + 1) * length - 1) / 2;
	float first = rintf(x);
	taps->count = 1;
	taps->weights[0] = 1;
	if (sampler.mode == SAMPLE_LINEAR) {
		first = floorf(x);
		taps->count = 2;
		taps->weights[1] = x - first;
		taps->weights[0] = 1 - taps->weights[1];
	} else if (sampler.mode == SAMPLE_CUBIC) {
		first = floorf(x) - 1;
		taps->count = OP_SAMPLE_TAPS;
		for (int i = 0; i < OP_SAMPLE_TAPS; i++)
			taps->weights[i] = cubic(first + (float)i - x, -0.75f);
	}
	for (int i = 0; i < taps->count; i++)
		taps->at[i] = neighbour(sampler, first + (float)i, dim);
}

/* The weighted sum of a plane's elements; taps of the outermost of three dimensions first, which two dimensions lack. */
static __device__ float
weigh(const struct sampler &sampler, const float *plane, const struct taps *taps)
{
	const struct taps *y = &taps[1], *x = &taps[2];
	float sum = 0;
	for (int i = 0; i < taps[0].count; i++) {
		for (int k = 0; k < y->count && taps[0].at[i] >= 0; k++) {
			int64_t row = taps[0].at[i] * sampler.dims[sampler.rank - 2] + y->at[k];
			const float *in = plane + row * sampler.dims[sampler.rank - 1];
			for (int m = 0; m < x->count && y->at[k] >= 0; m++)
				if (x->at[m] >= 0)
					sum += taps[0].weights[i] * y->weights[k] * x->weights[m] *
					       in[x->at[m]];
		}
	}
	return sum;
}

/* A thread a place, all of its channels. The grid names the innermost dimension first. */
static __global__ void
sample_kernel(struct sampler sampler, const float *in, const float *grid, float *out)
{
	KERNEL_LOOP(i, sampler.batches * sampler.out_size)
	{
		struct taps taps[OP_SAMPLE_SPATIAL];
		int64_t batch = i / sampler.out_size;
		taps[0].count = 1;
		taps[0].at[0] = 0;
		taps[0].weights[0] = 1;
		for (uint32_t k = 0; k < sampler.rank; k++)
			find_taps(sampler, grid[i * sampler.rank + sampler.rank - 1 - k],
				  sampler.dims[k], &taps[OP_SAMPLE_SPATIAL - sampler.rank + k]);
		for (int64_t c = 0; c < sampler.channels; c++) {
			int64_t plane = batch * sampler.channels + c;
			out[plane * sampler.out_size + i % sampler.out_size] =
				weigh(sampler, in + plane * sampler.in_size, taps);
		}
	}
}

extern "C" int
cuda_resample_sample(const void *state, const struct operands *operands)
{
	const struct sampler *sampler = (const struct sampler *)state;
	KERNEL_LAUNCH_FLAT(sample_kernel, grid_for(sampler->batches * sampler->out_size), BLOCK,
			   stream_of(operands), *sampler, (const float *)operands->inputs[0],
			   (const float *)operands->inputs[1], (float *)operands->outputs[0]);
	return launched(operands, "sample_kernel");
}

/* --- RoiAlign ------------------------------------------------------------------------------------------------------------------- */

/* The four weighted neighbours of a place; false when it is outside the plane. */
static __device__ bool
bilinear(const struct roi_align &align, const float *plane, float y, float x, float *parts)
{
	int64_t height = align.height, width = align.width;
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
	parts[0] = (1 - dy) * (1 - dx) * plane[y0 * width + x0];
	parts[1] = (1 - dy) * dx * plane[y0 * width + x1];
	parts[2] = dy * (1 - dx) * plane[y1 * width + x0];
	parts[3] = dy * dx * plane[y1 * width + x1];
	return true;
}

/* A region in the input's elements, and how its bins are sampled. */
struct region {
	float x;
	float y;
	float bin_width;
	float bin_height;
	int64_t rows;
	int64_t columns;
};

static __device__ struct region
region_of(const struct roi_align &align, const float *corners)
{
	struct region region;
	region.x = corners[0] * align.scale - align.offset;
	region.y = corners[1] * align.scale - align.offset;
	float width = corners[2] * align.scale - align.offset - region.x;
	float height = corners[3] * align.scale - align.offset - region.y;
	if (align.offset == 0) {
		width = fmaxf(width, 1);
		height = fmaxf(height, 1);
	}
	region.bin_height = height / (float)align.out_height;
	region.bin_width = width / (float)align.out_width;
	region.rows = (int64_t)fminf(fmaxf(ceilf(region.bin_height), 1), (float)align.height + 1);
	region.columns = (int64_t)fminf(fmaxf(ceilf(region.bin_width), 1), (float)align.width + 1);
	if (align.samples > 0)
		region.rows = region.columns = align.samples;
	return region;
}

static __global__ void
roi_kernel(struct roi_align align, const float *in, const float *rois, const void *batches,
	   float *out, struct cuda_fault *fault, uint64_t label)
{
	int64_t size = align.out_height * align.out_width;
	KERNEL_LOOP(i, align.rois * align.channels * size)
	{
		int64_t roi = i / size / align.channels, channel = i / size % align.channels;
		int64_t batch = load_index(batches, align.batch_type == DATA_TYPE_INT64, roi);
		if (batch < 0 || batch >= align.batches) {
			report_fault(fault, label, batch, align.batches);
			continue;
		}
		struct region region = region_of(align, rois + roi * 4);
		const float *plane =
			in + (batch * align.channels + channel) * align.height * align.width;
		float y = region.y + (float)(i % size / align.out_width) * region.bin_height;
		float x = region.x + (float)(i % size % align.out_width) * region.bin_width;
		float sum = 0, most = 0;
		bool first = true;
		for (int64_t k = 0; k < region.rows * region.columns; k++) {
			float parts[4];
			float at_y = y + ((float)(k / region.columns) + 0.5f) * region.bin_height /
						 (float)region.rows;
			float at_x = x + ((float)(k % region.columns) + 0.5f) * region.bin_width /
						 (float)region.columns;
			if (!bilinear(align, plane, at_y, at_x, parts))
				continue;
			float largest = fmaxf(fmaxf(parts[0], parts[1]), fmaxf(parts[2], parts[3]));
			sum += parts[0] + parts[1] + parts[2] + parts[3];
			most = first ? largest : fmaxf(most, largest);
			first = false;
		}
		out[i] = align.takes_max ? most : sum / (float)(region.rows * region.columns);
	}
}

extern "C" int
cuda_resample_roi_align(const void *state, const struct operands *operands)
{
	const struct roi_align *align = (const struct roi_align *)state;
	int64_t n = align->rois * align->channels * align->out_height * align->out_width;
	KERNEL_LAUNCH_FLAT(roi_kernel, grid_for(n), BLOCK, stream_of(operands), *align,
			   (const float *)operands->inputs[0], (const float *)operands->inputs[1],
			   operands->inputs[2], (float *)operands->outputs[0],
			   cuda_op_compute(operands)->fault, label_of(operands));
	return launched(operands, "roi_kernel");
}
