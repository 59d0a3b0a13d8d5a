/*
 * The steps of recurrent networks, a direction at a time; op_recurrent.c reads them from nodes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum recurrent_kind {
	RECURRENT_RNN,
	RECURRENT_GRU,
	RECURRENT_LSTM,
};

enum {
	RECURRENT_DIRECTIONS = 2,
	RECURRENT_FUNCTIONS = 3,
};

enum recurrent_activation {
	RECURRENT_RELU,
	RECURRENT_TANH,
	RECURRENT_SIGMOID,
	RECURRENT_AFFINE,
	RECURRENT_LEAKY_RELU,
	RECURRENT_THRESHOLDED_RELU,
	RECURRENT_SCALED_TANH,
	RECURRENT_HARD_SIGMOID,
	RECURRENT_ELU,
	RECURRENT_SOFTSIGN,
	RECURRENT_SOFTPLUS,
};

/* An activation with its parameters. */
struct recurrent_function {
	/* The host's. */
	float (*call)(float x, float alpha, float beta);
	enum recurrent_activation activation;
	float alpha;
	float beta;
	bool takes_alpha;
	bool takes_beta;
};

struct recurrent {
	enum recurrent_kind kind;
	/* 1, 3 or 4. */
	int64_t gates;
	int64_t directions;
	int64_t length;
	int64_t batch;
	int64_t in;
	int64_t hidden;
	/* The only direction is backwards. */
	bool starts_reverse;
	bool couples_input_forget;
	bool linear_before_reset;
	/* Gates are cut to -clip … clip before their function; INFINITY: not. */
	float clip;
	struct recurrent_function functions[RECURRENT_DIRECTIONS][RECURRENT_FUNCTIONS];
};

/* Elements from one index to the next, and to the first. */
struct recurrent_steps {
	int64_t offset;
	int64_t time;
	int64_t batch;
};

/* One direction's operands; b, p, lengths, initial and y pointers may be NULL. */
struct recurrent_direction {
	int64_t index;
	bool reverse;
	const float *x;
	/* [gates * hidden, in] and [gates * hidden, hidden]. */
	const float *w;
	const float *r;
	/* Biases of w, then of r; and the peepholes of gates i, o, f. */
	const float *b;
	const float *p;
	const int32_t *lengths;
	/* Whole tensors: state_steps lead to this direction's part. */
	const float *initial_h;
	const float *initial_c;
	float *y;
	float *y_h;
	float *y_c;
	struct recurrent_steps x_steps;
	struct recurrent_steps y_steps;
	struct recurrent_steps state_steps;
};

/* Bytes of scratch that recurrent_run needs. */
size_t
recurrent_scratch(const struct recurrent *shape);

void
recurrent_run(const struct recurrent *shape, const struct recurrent_direction *direction,
	      void *scratch);

/* 0 when all lengths are 0 … shape->length (or NULL); -1 with OUT_OF_RANGE. */
int
recurrent_check_lengths(const struct recurrent *shape, const int32_t *lengths);

/* The function that ONNX calls `name`, with its default parameters; -1 when there is none (no error set). */
int
recurrent_function_find(const char *name, struct recurrent_function *function);
