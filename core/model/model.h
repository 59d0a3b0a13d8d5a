/*
 * A model: an ONNX file imported, optimised, packed for a kind of device, with the programs compiled for it so far.
 * Counted. model_open and model_compile take long and may be called from any thread; the rest is for any thread and cheap.
 */
#pragma once

#include "device/device.h"
#include "exec/narrow.h"
#include "exec/tensor.h"
#include "model/image.h"

struct backlog;
struct model;
struct program;
struct shelf;

enum {
	/* Programs of one model kept at once, one a set of input types; the least recently used goes first. */
	MODEL_PROGRAMS_MAX = 48,
	MODEL_GROUP_BYTES_DEFAULT = 2 << 20,
};

struct model_options {
	enum device_kind kind;
	/* Compute threads that programs are compiled for. */
	unsigned threads;
	/* Size of a group, about; a parameter larger than this is a group of its own. 0: the default. */
	size_t group_bytes;
	/* What parameters are in host memory and on the link. */
	enum narrow_form parameters;
	/* Directory for packed images, by content hash; NULL: pack into anonymous memory. */
	const char *cache_folder;
	/* What keeps that directory within its budget, and must outlive the model; NULL: nothing does. */
	struct shelf *shelf;
	/* Where an image that is made may wait in memory for model_keep; NULL: it is written before model_open ends. */
	struct backlog *backlog;
	/* The file's content hash where the caller knows it, as when it is named by it; NULL: found when it is needed. */
	const char *hash;
};

/* Where model_open and model_compile have spent their time, ns. */
struct model_times {
	/* Mapping and decoding the file. */
	uint64_t read;
	/* Finding its hash. */
	uint64_t hash;
	/* What can be rewritten before shapes are known. */
	uint64_t rewrite;
	/* Opening the packed image, or writing it before model_open ended. */
	uint64_t image;
	/* Programs: shapes, passes, kernels, and the packing of parameters when there was no image. */
	uint64_t compile;
};

/* An input or output as the model declares it: name, and type with TENSOR_DYNAMIC dims. */
struct model_port {
	const char *name;
	struct tensor_type type;
};

struct model_info {
	uint32_t input_count;
	uint32_t output_count;
	const struct model_port *inputs;
	const struct model_port *outputs;
	uint64_t parameter_bytes;
	uint32_t node_count;
	int opset;
};

/*
 * Import the ONNX file at path: check, optimise, pack or map the packed image. NULL: NOT_FOUND, INVALID_ARGUMENT naming the
 * field or the node of the file at fault, UNIMPLEMENTED naming operator, node and opset, RESOURCE_EXHAUSTED. May block.
 */
struct model *
model_open(const char *path, const struct model_options *options);

/* What a synthetic model is like. */
struct model_synthetic {
	const char *name;
	/* Of parameters; and of a group, 0: the default. */
	uint64_t bytes;
	uint64_t group_bytes;
	/* What activations and scratch take on the device. */
	uint64_t workspace_bytes;
	/* What a run takes with all groups there. */
	uint64_t run_ns;
	/* The same for 2 … batch_count + 1 rows; 0 and NULL: there are no programs for more than one. */
	uint32_t batch_count;
	const uint64_t *batch_ns;
};

/*
 * A model for simulated devices: no inputs or outputs, parameters of that size, and one program, each of whose steps needs
 * one more group and takes the group's share of run_ns. That for several rows has one input, a byte a row. RESOURCE_EXHAUSTED.
 */
struct model *
model_new_synthetic(const struct model_synthetic *synthetic);

struct model *
model_ref(struct model *model);
void
model_unref(struct model *model);

const struct model_info *
model_info(const struct model *model);

/* Hash of the ONNX file and of files beside it, 16 bytes in hex. Reads them when nobody has asked before: may block. */
const char *
model_hash(struct model *model);

struct model_times
model_times(const struct model *model);

const struct image *
model_image(const struct model *model);

/*
 * Write what waits in memory for it to the cache folder, and go on from there. -1: it cannot be
 * written, and stays in memory. Once, while nobody page-locks the image; blocks.
 */
int
model_keep(struct model *model);

/* Bytes of images that were made and wait for model_keep. */
uint64_t
model_waiting(const struct model *model);

/* How its parameters lie in host memory; NULL: as on the device. */
const struct narrow_image *
model_narrow(const struct model *model);

/* The program for these input types (a reference of the caller's), or NULL without an error: not compiled yet. */
struct program *
model_find_program(struct model *model, const struct tensor_type *inputs, uint32_t input_count);

/* As model_find_program, compiling if need be. INVALID_ARGUMENT names the input whose type or shape does not fit. May block. */
struct program *
model_compile(struct model *model, const struct tensor_type *inputs, uint32_t input_count);
