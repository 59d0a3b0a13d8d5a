/* Matrix products and convolutions in plain loops, for the libraries' stand-ins. Types F are float and double. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* c (m, n) = a (m, k) b (k, n); column by column, without gaps. */
void
product_float(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c);
void
product_double(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c);

enum { PRODUCT_SPATIAL = 3 };

/* A convolution; in and out are those of the forward one. Fewer spatial dims: the first ones are 1. */
struct product_conv {
	int64_t batch;
	int64_t groups;
	/* Of all groups. */
	int64_t in_channels;
	int64_t out_channels;
	int64_t in[PRODUCT_SPATIAL];
	int64_t out[PRODUCT_SPATIAL];
	int64_t kernel[PRODUCT_SPATIAL];
	int64_t stride[PRODUCT_SPATIAL];
	int64_t dilation[PRODUCT_SPATIAL];
	int64_t begin[PRODUCT_SPATIAL];
};

/*
 * Rows last, without gaps; weights (out_channels, in_channels / groups, kernel). Forward: out becomes the convolution of in;
 * backward: in becomes the gradient by it, of out.
 */
void
product_conv_float(const struct product_conv *conv, bool backward, float *in, const float *weights,
		   float *out);
void
product_conv_double(const struct product_conv *conv, bool backward, double *in,
		    const double *weights, double *out);

#ifdef __cplusplus
}
#endif
