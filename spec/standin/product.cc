#include "product.h"

#include <string.h>

/* --- matrices -------------------------------------------------------------------------------------------------------- */

template <typename F>
static void
multiply(int64_t m, int64_t n, int64_t k, const F *__restrict a, const F *b, F *__restrict c)
{
	for (int64_t j = 0; j < n; j++) {
		F *column = c + j * m;
		for (int64_t i = 0; i < m; i++)
			column[i] = 0;
		for (int64_t p = 0; p < k; p++) {
			F factor = b[j * k + p];
			const F *from = a + p * m;
			for (int64_t i = 0; i < m; i++)
				column[i] += factor * from[i];
		}
	}
}

void
product_float(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c)
{
	multiply(m, n, k, a, b, c);
}

void
product_double(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c)
{
	multiply(m, n, k, a, b, c);
}

/* --- convolutions ---------------------------------------------------------------------------------------------------- */

/* One row of out and one of in that a tap of the kernel joins: x of out meets x * stride + shift of in. */
template <typename F>
static void
join_rows(const struct product_conv *conv, bool backward, F *__restrict in, F weight,
	  F *__restrict out, int64_t shift)
{
	int64_t stride = conv->stride[2], first = 0, last = conv->out[2];
	while (first < last && first * stride + shift < 0)
		first++;
	while (last > first && (last - 1) * stride + shift >= conv->in[2])
		last--;
	if (backward) {
		for (int64_t x = first; x < last; x++)
			in[x * stride + shift] += weight * out[x];
	} else if (stride == 1) {
		for (int64_t x = first; x < last; x++)
			out[x] += weight * in[x + shift];
	} else {
		for (int64_t x = first; x < last; x++)
			out[x] += weight * in[x * stride + shift];
	}
}

/* One channel of out with one of in. */
template <typename F>
static void
join_planes(const struct product_conv *conv, bool backward, F *in, const F *weights, F *out)
{
	const int64_t *kernel = conv->kernel;
	int64_t taps = kernel[0] * kernel[1] * kernel[2], rows = conv->out[0] * conv->out[1];
	for (int64_t tap = 0; tap < taps; tap++) {
		int64_t kx = tap % kernel[2], ky = tap / kernel[2] % kernel[1],
			kz = tap / kernel[2] / kernel[1];
		for (int64_t row = 0; row < rows; row++) {
			int64_t z = row / conv->out[1] * conv->stride[0] + kz * conv->dilation[0] -
				    conv->begin[0];
			int64_t y = row % conv->out[1] * conv->stride[1] + ky * conv->dilation[1] -
				    conv->begin[1];
			if (z < 0 || z >= conv->in[0] || y < 0 || y >= conv->in[1])
				continue;
			join_rows(conv, backward, in + (z * conv->in[1] + y) * conv->in[2],
				  weights[tap], out + row * conv->out[2],
				  kx * conv->dilation[2] - conv->begin[2]);
		}
	}
}

template <typename F>
static void
convolve(const struct product_conv *conv, bool backward, F *in, const F *weights, F *out)
{
	int64_t in_plane = conv->in[0] * conv->in[1] * conv->in[2];
	int64_t out_plane = conv->out[0] * conv->out[1] * conv->out[2];
	int64_t taps = conv->kernel[0] * conv->kernel[1] * conv->kernel[2];
	int64_t ins = conv->in_channels / conv->groups, outs = conv->out_channels / conv->groups;
	if (backward)
		memset(in, 0, sizeof(F) * (size_t)(conv->batch * conv->in_channels * in_plane));
	else
		memset(out, 0, sizeof(F) * (size_t)(conv->batch * conv->out_channels * out_plane));
	for (int64_t i = 0; i < conv->batch * conv->out_channels; i++) {
		int64_t n = i / conv->out_channels, k = i % conv->out_channels;
		for (int64_t c = 0; c < ins; c++)
			join_planes(conv, backward,
				    in + (n * conv->in_channels + k / outs * ins + c) * in_plane,
				    weights + (k * ins + c) * taps, out + i * out_plane);
	}
}

void
product_conv_float(const struct product_conv *conv, bool backward, float *in, const float *weights,
		   float *out)
{
	convolve(conv, backward, in, weights, out);
}

void
product_conv_double(const struct product_conv *conv, bool backward, double *in,
		    const double *weights, double *out)
{
	convolve(conv, backward, in, weights, out);
}
