/*
 * What a program is made of. Written by the compiler (model/compile.c), run by program.c, seen by nobody else.
 */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "exec/backend.h"
#include "exec/operator.h"
#include "exec/program.h"

/* Where an operand is, to be resolved with a run's binding. */
enum place {
	/* An absent optional, a known input, or a tensor without elements. */
	PLACE_NONE,
	/* Program input or output `index`. */
	PLACE_INPUT,
	PLACE_OUTPUT,
	PLACE_WORKSPACE,
	/* Group `index` of the image. */
	PLACE_GROUP,
	/* In the program's own memory. */
	PLACE_LITERAL,
};

struct location {
	enum place place;
	uint32_t index;
	/* From the start of the place. */
	size_t offset;
	const void *literal;
};

/* One kernel and its operands. */
struct step {
	/* For people: the node's, and for errors both. */
	const char *name;
	const char *op_type;
	const char *label;
	struct kernel kernel;
	uint32_t input_count;
	uint32_t output_count;
	struct location *inputs;
	struct location *outputs;
	/* Where its scratch is in the workspace. */
	size_t scratch;
	/* Its kernel tells the outputs' types when it runs. */
	bool reports_types;
	/* Groups 0 … groups - 1 must have arrived before it runs; never less than an earlier step's. */
	uint32_t groups;
	/* As struct program_step has them. */
	uint64_t bytes;
	/* What a run takes on a simulated device; 0 where programs really run. */
	uint64_t duration_ns;
};

/* Steps between two waits: one launch. */
struct segment {
	uint32_t first_step;
	uint32_t end_step;
	/* Groups that it is the first to need. */
	uint32_t first_group;
	uint32_t end_group;
	/* Of its steps together. */
	uint64_t duration_ns;
	uint64_t flops;
};

struct program {
	_Atomic uint32_t references;
	/* Holds everything, this struct too. */
	struct arena arena;
	struct program_info info;
	const struct backend *backend;
	/* Different from all others'; part of the key of a launch. */
	uint64_t id;
	/* What kernels of other devices cannot read where it is: copied into the workspace, at the offset, before a run. */
	const void *literals;
	size_t literal_bytes;
	size_t literal_offset;
	/* All steps put the same work each time. */
	bool repeatable;
	unsigned threads;
	/* The most inputs and outputs of a step. */
	uint32_t operand_count;
	uint32_t segment_count;
	struct segment *segments;
	/* What each segment took when it ran, waits for groups left out, averaged; 0 until then. Any thread. */
	_Atomic uint64_t *measured_ns;
	/* Runs that were put, up to the last one that its backend is to watch. Any thread. */
	_Atomic uint32_t watched;
	struct step *steps;
};

/* A program without steps, one reference, its memory in an arena of its own. NULL with the error set. */
struct program *
program_new(void);

/* Fill in what follows from the steps: segments, counts, flops, whether it runs inline. */
int
program_finish(struct program *program);
