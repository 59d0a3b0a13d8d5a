/*
 * Problems: what a plan is for, a convolution or an attention. Each has a name that findings are kept under, operands and a
 * graph.
 */
#pragma once

#include "exec/cuda/plan_build.h"

struct plan_problem;

/* One kind of problem. */
struct plan_kind {
	/* For people: "convolution". */
	const char *name;
	/* The problem in words, PLANNER_KEY_BYTES. */
	void (*describe)(const struct plan_problem *problem, char *key);
	/* Add the operations to build. */
	void (*add)(const struct plan_problem *problem, struct plan_build *build);
	/* What a run of it needs: each operand's tensor, and bytes (0: a number of the host's). How many. */
	uint32_t (*list)(const struct plan_problem *problem, enum plan_tensor *tensors,
			 size_t *bytes);
};

struct plan_problem {
	const struct plan_kind *kind;
	/* FLOAT is to be computed exactly unless the node is told otherwise. */
	enum data_type data_type;
	union {
		struct plan_conv conv;
		struct attention attention;
	};
};

extern const struct plan_kind plan_kind_conv;
extern const struct plan_kind plan_kind_attention;
