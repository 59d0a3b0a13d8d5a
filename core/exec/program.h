/*
 * A program: a graph compiled for concrete input types and one kind of device. Immutable once compiled, so any number of
 * runs may share it. Parameters are named by (group, offset) in the model's image, activations by their place in one
 * workspace; addresses are bound a run at a time, so the same program runs wherever its model happens to lie.
 */
#pragma once

#include "base/arena.h"
#include "device/device.h"
#include "exec/tensor.h"

struct program;

struct program_info {
	uint32_t input_count;
	uint32_t output_count;
	const struct tensor_type *inputs;
	/* Upper bounds where a shape depends on data; the run writes what it was. */
	const struct tensor_type *outputs;
	/* One block for activations and scratch, 64-byte aligned; 0 when none is needed. */
	size_t workspace_bytes;
	/* Groups of the image that the program uses are 0 … group_count - 1. */
	uint32_t group_count;
	uint32_t step_count;
	/* Multiply-adds times two, roughly; decides threads and whether a run is worth a hand-over to another thread. */
	uint64_t flops;
	/* Little work, compiled for one thread: may be run by program_run_now. */
	bool runs_inline;
	/* Shapes depend on data: what outputs says of some is an upper bound. */
	bool tells_types;
};

/* Where one run finds its memory: device addresses, all of them. Outlives the run. */
struct program_binding {
	/* Address of each group on the device. */
	void *const *groups;
	void *workspace;
	/* A tensor each, 64-byte aligned; inputs are not written, outputs overlap nothing. */
	const void *const *inputs;
	void *const *outputs;
	/* output_count types, written by the run before its completion; may be NULL when no shape depends on data. */
	struct tensor_type *output_types;
};

const struct program_info *
program_info(const struct program *program);

/* What it takes in host memory, but for what kernels hold outside (oneDNN's primitives). */
size_t
program_bytes(const struct program *program);

/*
 * Put one run on a compute stream. Before the first step that needs group k the stream waits for group_ready[k] (NULL
 * entries, or a NULL array: already there). arena holds what the steps need until the run is done. Submit thread.
 */
int
program_submit(const struct program *program, const struct program_binding *binding,
	       struct device_stream *stream, struct device_event *const *group_ready,
	       struct arena *arena) __attribute__((warn_unused_result));

/* Run at once on the calling thread; info.runs_inline and an idle stream of a device that runs inline are needed. */
int
program_run_now(const struct program *program, const struct program_binding *binding,
		struct device_stream *stream, struct arena *arena)
	__attribute__((warn_unused_result));

/* A step, for people: the node it was made of, its operator, its multiply-adds times two, what it moves. */
struct program_step {
	const char *name;
	const char *op_type;
	uint64_t flops;
	/* That it reads and writes of tensors that are no constants. */
	uint64_t bytes;
	/* Runs on the host though the device is another. */
	bool staged;
	/* Converts what it is given to another type, which it computes in. */
	bool converts;
};
struct program_step
program_step(const struct program *program, uint32_t step);

/* A part of a program, between two waits for groups. */
struct program_part {
	/* Groups 0 … groups - 1 must have arrived before it runs. */
	uint32_t groups;
	/* What it takes, without waiting: as simulated, else as measured on this machine so far; 0: not known. */
	uint64_t ns;
};
uint32_t
program_part_count(const struct program *program);
struct program_part
program_part(const struct program *program, uint32_t part);
/*
 * ns of a whole run that waits for no group, by what is known of its parts; 0 while nothing is known of one of them. rate:
 * operations/s that the device is held to (compute_rate); 0: it runs as fast as it can.
 */
uint64_t
program_resident_ns(const struct program *program, uint64_t rate);

/* Run at once on the calling thread, taking the time of every step: ns has step_count entries. For measuring. */
int
program_profile(const struct program *program, const struct program_binding *binding, uint64_t *ns)
	__attribute__((warn_unused_result));

/* Run once on the calling thread, on memory that the host can reach. For measuring. */
int
program_run_here(const struct program *program, const struct program_binding *binding)
	__attribute__((warn_unused_result));

/* Programs are counted; any thread. */
struct program *
program_ref(struct program *program);
void
program_unref(struct program *program);
