/*
 * The operator table: everything that the engine knows about ONNX's operators. The compiler, the constant folder and the
 * interpreter of dynamic steps know no operator by name; they ask the table.
 *
 * How to add an operator
 * ----------------------
 * 1. Find its family's file, op_FAMILY.c (or begin one: define `const struct operator_family operator_family_NAME` there
 *    and name it in exec/operators.h).
 * 2. Add an entry to the family's table. What is left out is 0, the common case:
 *
 *	{ .type = "Gather", .since = 1, .inputs = { 2, 2 }, .outputs = { 1, 1 },
 *	  .infer = infer_gather, .prepare = prepare_gather },
 *
 *    since is the first opset version that this entry serves. When a later version changed what the operator means, write
 *    a second entry with the later `since`: the entry with the largest one that is not above the model's opset is taken.
 * 3. infer: from call->inputs (types) say what the outputs are: operator_output(call, 0, type, rank, dims), or use a ready
 *    rule: infer_same, infer_broadcast. Inputs that infer or prepare must know the value of (axes, a new shape, pads) are
 *    named in .known_inputs, a bit each: then call->constants[i] is never NULL for a present one, and they are no operands
 *    at run time. When such a value depends on data, the compiler moves the node to where it is known; nothing to do here.
 * 4. prepare: check what only it can check, choose the kernel, set call->kernel->run and ->state (operator_state allocates
 *    it) and what scratch the run needs. May take long. Create oneDNN primitives through exec/onednn.h.
 * 5. run: addresses in, result out. No allocation, no lock, no failure that prepare could have seen. state is shared by
 *    all runs of the program at once: it is read only.
 * 6. A spec in spec/exec/op_FAMILY_spec.lua that compares with known values, and spec/conformance runs ONNX's own data.
 *
 * Types and shapes come from outside: infer must check every rank and axis that it relies on and say what is wrong with
 * operator_error(call, "axis %d is out of range", axis), which names the node. prepare may rely on what infer checked. All
 * dims in a call are known (never TENSOR_DYNAMIC) and may be 0; a node whose outputs have no elements is not even prepared.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "exec/graph.h"
#include "exec/tensor.h"

struct backend;
struct element;
struct op;
struct operator_call;
struct interpreter;
struct parameters;

enum {
	/* The most that layout_block() says. */
	LAYOUT_BLOCK_MAX = 16,
	/* A node's outputs; inputs are not limited. */
	OPERATOR_MAX_OUTPUTS = 64,
	/* For operator counts: no limit. */
	OPERATOR_MANY = 255,
};

/* How a tensor lies in memory. */
enum layout {
	/* Rows last, without gaps. */
	LAYOUT_PLAIN,
	/*
	 * Channels (dimension 1) in blocks of layout_block(), the block innermost; channels padded with zeros: oneDNN's nCw16c,
	 * nChw16c, …, or nCw8c, nChw8c, …
	 */
	LAYOUT_BLOCKED,
	/* Channels (dimension 1) innermost, without gaps: NWC, NHWC, NDHWC. */
	LAYOUT_LAST,
};

/* How an operator takes blocks. The layout pass puts reorders where two do not fit. What takes LAYOUT_LAST: exec/last.h. */
enum operator_layouts {
	/* All inputs and outputs plain. */
	OPERATOR_LAYOUTS_PLAIN,
	/* One data input: output 0 lies as input 0 does, whichever that is. */
	OPERATOR_LAYOUTS_UNARY,
	/*
	 * All inputs and output 0 alike (but single elements, which are plain): blocked when one is and the operator's `blocks`
	 * says so, else plain.
	 */
	OPERATOR_LAYOUTS_ALIKE,
	/* Wants input 0 and output 0 blocked when `blocks` says so (convolutions, pooling). */
	OPERATOR_LAYOUTS_SPATIAL,
};

enum operator_flags {
	/* Output 0 is input 0's memory under another type: no run, no copy (Reshape). */
	OPERATOR_VIEW = 1 << 0,
	/* run may be given the same address for output 0 and a dead input of as many elements and bytes. */
	OPERATOR_IN_PLACE = 1 << 1,
	/* Does what node->posts say to output 0; the second: only posts of one operand. */
	OPERATOR_POSTS = 1 << 2,
	OPERATOR_UNARY_POSTS = 1 << 6,
	/* Two runs on the same inputs may differ (RandomNormal), so it is not folded. */
	OPERATOR_IMPURE = 1 << 3,
	/* Outputs' shapes depend on the data of all inputs: infer needs all of them known (NonZero). */
	OPERATOR_DATA_SHAPED = 1 << 4,
	/* Only the types of its inputs matter, not their values (Shape). */
	OPERATOR_TYPE_ONLY = 1 << 5,
	/* prepare only rewrites the call and prepares another operator, by operator_prepare_as. */
	OPERATOR_ADAPTER = 1 << 8,
	/* Of inputs from the second on only the types matter (CastLike). */
	OPERATOR_LIKE = 1 << 9,
	/* The run tells the outputs' types; those that it is prepared for are bounds. */
	OPERATOR_TELLS_TYPES = 1 << 7,
};

/* What a run gets: addresses, all of them; NULL for an absent optional and for known inputs. */
struct operands {
	const void *const *inputs;
	void *const *outputs;
	/* The kernel's scratch_bytes, 64-byte aligned; not kept between runs. */
	void *scratch;
	/* What device_launch's run is given: where kernels of other devices put their work; NULL on the host. */
	void *queue;
	/* "node NAME (TYPE)", for what a kernel finds wrong later; lives as long as the program. */
	const char *label;
	/* For what is told only by the run (Interpret): outputs' types go here, unless NULL. */
	struct tensor_type *output_types;
};

/* Returns 0, or -1 with the error set. Any thread; many at once on the same state. */
typedef int
kernel_run_f(const void *state, const struct operands *operands);

/* A node made ready to run for concrete types. */
struct kernel {
	kernel_run_f *run;
	const void *state;
	/* Releases what state holds outside the arena (oneDNN primitives); NULL: nothing. */
	void (*destroy)(const void *state);
	size_t scratch_bytes;
	/* Multiply-adds times two; 0: about one an output element. */
	uint64_t flops;
	/* Runs on the host though the device is another: by a copy of its operands. Such a run is not to be recorded. */
	bool staged;
	/* Converts operands to a type that there is a kernel for, and results back. */
	bool converts;
};

/* Writes the packed form of a constant to `to`, context is what operator_pack was given. */
typedef int
operator_pack_f(void *context, const struct constant *from, void *to);

/* Where packed constants go: the model's image when it is built, or found again. model/pack.c and the interpreter have one. */
struct parameters {
	/*
	 * The form of `constant` under `key` that exists already: writes its descriptor (size bytes, as given to add) and
	 * returns 1; 0 when there is none.
	 */
	int (*find)(struct parameters *parameters, const struct constant *constant, const char *key,
		    void *descriptor, size_t size);
	/*
	 * Input `input` of the call is to be read in a packed form: bytes long, made by pack unless it exists already. -1
	 * with the error set.
	 */
	int (*add)(struct parameters *parameters, const struct operator_call *call, uint32_t input,
		   const char *key, const void *descriptor, size_t size, size_t bytes,
		   operator_pack_f *pack, void *context);
};

/* One node as the functions of its operator see it. */
struct operator_call {
	const struct op *op;
	const struct node *node;
	uint32_t input_count;
	uint32_t output_count;
	/* data_type DATA_TYPE_NONE for an optional input that is absent. */
	const struct tensor_type *inputs;
	/* Values known when compiling; NULL entries for the rest. */
	const struct constant *const *constants;
	/* infer fills them in; prepare reads them. data_type stays DATA_TYPE_NONE for outputs that nobody wants. */
	struct tensor_type *outputs;

	/* --- for prepare --- */
	/* Whose kernel is wanted; NULL: the host's. */
	const struct backend *backend;
	const enum layout *input_layouts;
	const enum layout *output_layouts;
	/* Threads that run may use. */
	unsigned threads;
	/* For state; lives as long as the kernel. */
	struct arena *arena;
	struct parameters *parameters;
	struct kernel *kernel;
};

/* One operator, from one opset version on. */
struct op {
	/* NULL: ONNX's own domain. "tidepool" for what our passes make. */
	const char *domain;
	const char *type;
	int since;
	/* Fewest and most; OPERATOR_MANY: no limit. */
	uint8_t inputs[2];
	uint8_t outputs[2];
	/* A bit an input (bit 31: all of them) whose value infer and prepare need. */
	uint32_t known_inputs;
	uint32_t flags;
	enum operator_layouts layouts;
	int (*infer)(struct operator_call *call);
	/* Optional for OPERATOR_VIEW. */
	int (*prepare)(struct operator_call *call);
	/* Instead of infer and prepare: runs bodies, on the interpreter (exec/interpret.h). -1 with an error. */
	int (*control)(struct interpreter *interpreter, const struct node *node);
	/* Can it run blocked with these types? NULL: no. Called with types filled in, before prepare. */
	bool (*blocks)(const struct operator_call *call);
	/*
	 * Fills in what it does element by element, its inputs broadcast to output 0. NULL, or false: with these types and
	 * inputs it is nothing of that kind.
	 */
	bool (*element)(const struct operator_call *call, struct element *element);
};

struct operator_family {
	const struct op *operators;
	size_t count;
};

/* --- for the compiler -------------------------------------------------------------------------------------------- */

/* The entry for that operator, or NULL with UNIMPLEMENTED naming operator, domain, opset and node. */
const struct op *
operator_find(const struct node *node);

/* Check counts and known inputs, then infer; every output is checked. -1 with an error that names the node. */
int
operator_infer(struct operator_call *call);

/* Prepare for call->backend; call->kernel is zeroed first. -1 with an error that names the node. */
int
operator_prepare(struct operator_call *call);

/* For adapters: prepare call, which is one of another operator than its caller's, in the caller's kernel. */
int
operator_prepare_as(struct operator_call *call);

/* As operator_prepare, for the host whatever the backend is. */
int
operator_prepare_host(struct operator_call *call);

/* True when the value of that input must be known to infer. */
bool
operator_needs_value(const struct op *op, uint32_t input);

/* Channels in a block of LAYOUT_BLOCKED, as oneDNN's kernels for this processor want them: 16 with AVX-512, else 8. */
int64_t
layout_block(void);

/*
 * The memory of a tensor that lies so, as a plain tensor: blocked, its blocks of channels are a dimension and the last; with
 * channels last, they are the last.
 */
struct tensor_type
layout_view(const struct tensor_type *type, enum layout layout);

/* Does a tensor of that type lie in memory the same as in LAYOUT_PLAIN? */
bool
layout_is_moot(const struct tensor_type *type, enum layout layout);

/* Bytes of a tensor that lies so: padded when blocked. */
size_t
layout_bytes(const struct tensor_type *type, enum layout layout);

/* --- for operators ------------------------------------------------------------------------------------------------ */

/* Set INVALID_ARGUMENT (operator_unimplemented: UNIMPLEMENTED) "node NAME (TYPE): …"; returns -1. */
int
operator_error(const struct operator_call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int
operator_unimplemented(const struct operator_call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Is that optional input there, is that optional output wanted? */
bool
operator_has_input(const struct operator_call *call, uint32_t input);
bool
operator_has_output(const struct operator_call *call, uint32_t output);

/* Say what an output is. dims is copied. Returns 0. */
int
operator_output(struct operator_call *call, uint32_t output, enum data_type data_type,
		uint32_t rank, const int64_t *dims);

/* Output 0 has exactly input 0's type. */
int
infer_same(struct operator_call *call);

/* Output 0: all inputs, of one element type, broadcast against each other. */
int
infer_broadcast(struct operator_call *call);

/* As infer_broadcast, giving BOOL. */
int
infer_compare(struct operator_call *call);

/* *dims (rank entries, TENSOR_MAX_RANK room) become what they and other give by ONNX's broadcast; -1: they do not fit. */
int
operator_broadcast(const struct operator_call *call, uint32_t *rank, int64_t *dims,
		   const struct tensor_type *other);

/* axis, maybe negative, as 0 … rank-1 (0 … rank with end: rank + 1 is for axes of a new dim). -1 with the error set. */
int
operator_axis(const struct operator_call *call, int64_t axis, uint32_t rank, uint32_t *index);

/* The integers (INT32 or INT64) of a known input; at most room of them. How many, -1 with the error set. */
int
operator_read_ints(const struct operator_call *call, uint32_t input, int64_t *values,
		   uint32_t room);

/*
 * The integers of the known input `input` when the operator has them there and it is present, else of the attribute
 * `name`; *found false when neither is given. How many, -1 with the error set.
 */
int
operator_ints(const struct operator_call *call, uint32_t input, const char *name, int64_t *values,
	      uint32_t room, bool *found);

/* A known input's only element as a number; fallback when the input is absent. */
double
operator_scalar(const struct operator_call *call, uint32_t input, double fallback);

/* Try one way to prepare; leaves a zeroed kernel and the error behind when it fails. */
int
operator_try(struct operator_call *call, int (*prepare)(struct operator_call *call));

/* Zeroed memory for the kernel's state, set as call->kernel->state. NULL with the error set. */
void *
operator_state(struct operator_call *call, size_t bytes);

/*
 * Read constant input `input` in a packed form of bytes, made by pack(context, constant, to). key names the kind of
 * packing; descriptor (size bytes, plain data) what it is exactly, which operator_packed returns when the same constant
 * was packed under this key before: use that form then, since the image holds no other.
 */
int
operator_pack(struct operator_call *call, uint32_t input, const char *key, const void *descriptor,
	      size_t size, size_t bytes, operator_pack_f *pack, void *context);
bool
operator_packed(const struct operator_call *call, uint32_t input, const char *key, void *descriptor,
		size_t size);
