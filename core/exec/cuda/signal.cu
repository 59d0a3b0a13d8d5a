/*
 * Discrete Fourier transforms of any length, all lines at once, a prime factor of the length a pass, in Stockham's order
 * (Cochran et al., "What is the fast Fourier transform?", 1967), which leaves nothing to be put in order after it. In
 * double precision, as exec/fft.h.
 */
#include "exec/cuda/number.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/cuda/signal.h"
}

enum {
	/* Numbers that lines have together, at most, in each of two buffers; a longer line is alone. */
	NUMBERS_AT_ONCE = 1 << 20,
};

/* Some lines on their way through a transform. */
struct batch {
	struct spectrum spectrum;
	int64_t first;
	int64_t lines;
};

/* One pass: n numbers are left to combine at a stride of s, p of them now. */
struct pass {
	int64_t length;
	int64_t n;
	int64_t s;
	int64_t p;
	double sign;
};

/* Number 0 of a line among a tensor's numbers, and from each to the next. */
struct line {
	int64_t at;
	int64_t step;
};

static __device__ struct line
line_in(const struct spectrum &spectrum, int64_t i)
{
	const struct axis &axis = spectrum.axis;
	if (spectrum.frames != 0)
		return { i / spectrum.frames * spectrum.length +
				 i % spectrum.frames * spectrum.frame_step,
			 1 };
	return { i / axis.inner * axis.dim * axis.inner + i % axis.inner, axis.inner };
}

static __device__ struct line
line_out(const struct spectrum &spectrum, int64_t i)
{
	int64_t inner = spectrum.frames != 0 ? 1 : spectrum.axis.inner;
	return { i / inner * spectrum.wanted * inner + i % inner, inner };
}

static __global__ void
roots_kernel(double2 *roots, int64_t length)
{
	KERNEL_LOOP(k, length)
	{
		double angle = -2 * 3.14159265358979323846 * (double)k / (double)length;
		roots[k] = { cos(angle), sin(angle) };
	}
}

/* Which number of a line stands at place k of it, and whether conjugated; what was not given is 0. */
static __device__ int64_t
source_of(const struct spectrum &spectrum, int64_t k, bool *is_image)
{
	int64_t length = spectrum.fft.length, half = length / 2 + 1;
	*is_image = spectrum.is_half && k >= (spectrum.given < half ? spectrum.given : half);
	return *is_image ? length - k : k;
}

template <typename T>
static __global__ void
read_kernel(struct batch batch, const T *in, const T *window, double2 *out)
{
	const struct spectrum &spectrum = batch.spectrum;
	int64_t length = spectrum.fft.length;
	KERNEL_LOOP(i, batch.lines * length)
	{
		bool is_image;
		int64_t k = source_of(spectrum, i % length, &is_image);
		double2 x = { 0, 0 };
		if (k < spectrum.given) {
			struct line line = line_in(spectrum, batch.first + i / length);
			const T *from = in + (line.at + k * line.step) * spectrum.in_parts;
			double weight = window != NULL ? (double)window[k] : 1;
			x.x = (double)from[0] * weight;
			x.y = spectrum.in_parts == 2 ? (double)from[1] * weight : 0;
		}
		if (is_image)
			x.y = -x.y;
		out[i] = x;
	}
}

static __global__ void
pass_kernel(struct pass pass, const double2 *roots, const double2 *in, double2 *out, int64_t total)
{
	int64_t m = pass.n / pass.p, turn = pass.length / pass.p;
	KERNEL_LOOP(i, total)
	{
		int64_t j = i % pass.length, q = j % pass.s, t = j / pass.s;
		int64_t c = t % pass.p, k = t / pass.p;
		const double2 *from = in + i / pass.length * pass.length + q + pass.s * k;
		double2 sum = { 0, 0 };
		for (int64_t r = 0; r < pass.p; r++) {
			double2 x = from[pass.s * m * r];
			int64_t e = turn * (r * c % pass.p) + pass.s * k * c;
			double2 root = roots[e < pass.length ? e : e - pass.length];
			root.y *= pass.sign;
			sum.x += x.x * root.x - x.y * root.y;
			sum.y += x.x * root.y + x.y * root.x;
		}
		out[i] = sum;
	}
}

template <typename T>
static __global__ void
write_kernel(struct batch batch, const double2 *in, T *out)
{
	const struct spectrum &spectrum = batch.spectrum;
	int64_t length = spectrum.fft.length;
	double scale = spectrum.inverse ? 1.0 / (double)length : 1;
	KERNEL_LOOP(i, batch.lines * spectrum.wanted)
	{
		int64_t k = i % spectrum.wanted, own = i / spectrum.wanted;
		struct line line = line_out(spectrum, batch.first + own);
		double2 x = in[own * length + k];
		T *to = out + (line.at + k * line.step) * spectrum.out_parts;
		to[0] = T(x.x * scale);
		if (spectrum.out_parts == 2)
			to[1] = T(x.y * scale);
	}
}

static int64_t
lines_of(const struct spectrum *spectrum)
{
	if (spectrum->frames != 0)
		return spectrum->batch * spectrum->frames;
	return spectrum->axis.outer * spectrum->axis.inner;
}

static int64_t
lines_at_once(const struct spectrum *spectrum)
{
	int64_t all = lines_of(spectrum), some = NUMBERS_AT_ONCE / spectrum->fft.length;
	some = some < 1 ? 1 : some;
	return some < all ? some : all;
}

extern "C" size_t
cuda_signal_scratch(const struct spectrum *spectrum)
{
	int64_t lines = lines_at_once(spectrum);
	return (size_t)((2 * lines + 1) * spectrum->fft.length) * sizeof(double2);
}

/* The transforms of lines in `from`, each way of a pass between both buffers; where they are then. */
static double2 *
put_passes(const struct spectrum *spectrum, int64_t lines, const double2 *roots, double2 *from,
	   double2 *to, cudaStream_t stream)
{
	const struct fft *fft = &spectrum->fft;
	struct pass pass = { fft->length, fft->length, 1, 0, spectrum->inverse ? -1.0 : 1.0 };
	for (uint32_t i = 0; i < fft->factor_count; i++) {
		int64_t total = lines * fft->length;
		pass.p = fft->factors[i];
		KERNEL_LAUNCH_FLAT(pass_kernel, grid_for(total), BLOCK, stream, pass, roots, from,
				   to, total);
		pass.n /= pass.p;
		pass.s *= pass.p;
		double2 *written = to;
		to = from;
		from = written;
	}
	return from;
}

template <typename T>
static int
transform(const struct spectrum *spectrum, const struct operands *operands)
{
	cudaStream_t stream = stream_of(operands);
	int64_t length = spectrum->fft.length, all = lines_of(spectrum);
	int64_t most = lines_at_once(spectrum);
	double2 *roots = (double2 *)operands->scratch, *line = roots + length;
	const T *window = spectrum->has_window ? (const T *)operands->inputs[2] : NULL;
	KERNEL_LAUNCH_FLAT(roots_kernel, grid_for(length), BLOCK, stream, roots, length);
	for (int64_t first = 0; first < all; first += most) {
		int64_t lines = all - first < most ? all - first : most;
		struct batch batch = { *spectrum, first, lines };
		KERNEL_LAUNCH_FLAT(read_kernel<T>, grid_for(lines * length), BLOCK, stream, batch,
				   (const T *)operands->inputs[0], window, line);
		double2 *out =
			put_passes(spectrum, lines, roots, line, line + most * length, stream);
		KERNEL_LAUNCH_FLAT(write_kernel<T>, grid_for(lines * spectrum->wanted), BLOCK,
				   stream, batch, out, (T *)operands->outputs[0]);
	}
	return launched(operands, "pass_kernel");
}

extern "C" int
cuda_signal_run(const void *state, const struct operands *operands)
{
	const struct spectrum *spectrum = (const struct spectrum *)state;
	if (spectrum->data_type == DATA_TYPE_DOUBLE)
		return transform<double>(spectrum, operands);
	return transform<float>(spectrum, operands);
}
