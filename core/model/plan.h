/*
 * The memory plan: which tensors share memory, since one is a view of the other or is overwritten by the only node that
 * still reads it, how long each piece is needed, and where in one workspace it lies.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "exec/operator.h"
#include "exec/step.h"

/* A piece of memory and the values in it. */
struct storage {
	size_t bytes;
	/* Nodes from the first that writes it to the last that reads it. */
	uint32_t first;
	uint32_t last;
	/* PLACE_INPUT, PLACE_OUTPUT or PLACE_WORKSPACE; PLACE_NONE without elements. */
	enum place place;
	/* Of the program's inputs or outputs. */
	uint32_t index;
	/* In the workspace. */
	size_t offset;
};

struct plan {
	struct arena *arena;
	uint32_t count;
	uint32_t room;
	struct storage *storages;
	/* Storage of each value; -1 for constants. */
	int32_t *of_value;
	/* Where in its storage each value begins, in bytes. */
	size_t *shifts;
	/* The value that each value is a part of; -1: of none. Never itself a part. */
	int32_t *wholes;
	/* For each node: its inputs are made in their places in its output, so there is nothing for it to do. */
	bool *assembled;
	size_t workspace_bytes;
};

/* Put Copy nodes where a graph output would share memory with an input, a constant or another output. */
int
plan_separate_outputs(struct graph *graph, struct arena *scratch);

/* Find the storages of graph's values, which lie as layouts says. Everything in arena. */
int
plan_create(struct plan *plan, const struct graph *graph, const enum layout *layouts,
	    struct arena *arena);

/*
 * Find which values can be made right where a Concat would copy them to: wholes, shifts and assembled are filled in. A
 * Concat copies what is not in place. Everything in plan's arena.
 */
int
plan_concats(struct plan *plan, const struct graph *graph, const enum layout *layouts);

/* Memory for the time of node `node` only. Its index, or -1 with the error set. */
int32_t
plan_add_scratch(struct plan *plan, uint32_t node, size_t bytes);

/*
 * Give every storage of the workspace its offset: largest first, each at the lowest place that is free for as long as it
 * lives (the greedy-by-size heuristic of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference").
 */
int
plan_place(struct plan *plan);
