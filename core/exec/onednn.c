#include "exec/onednn.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"

enum {
	/* Most arguments of one primitive: sources of a concat, posts with operands. */
	MAX_ARGUMENTS = 80,
};

struct argument {
	int argument;
	enum onednn_place place;
	uint32_t index;
	dnnl_memory_desc_t desc;
};

/* A primitive with the memory objects of one run: addresses are put into them, which only one run at a time can do. */
struct bound {
	atomic_flag busy;
	uint32_t count;
	dnnl_exec_arg_t *args;
	dnnl_memory_t scratchpad;
};

struct onednn {
	dnnl_primitive_desc_t desc;
	dnnl_primitive_t primitive;
	dnnl_memory_desc_t scratchpad;
	bool has_scratchpad;
	uint32_t argument_count;
	uint32_t argument_room;
	struct argument *arguments;
	struct bound bound;
};

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_status_t engine_status;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;

static void
open_engine(void)
{
	engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0);
	if (engine_status == dnnl_success)
		engine_status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
}

dnnl_engine_t
onednn_engine(void)
{
	pthread_once(&engine_once, open_engine);
	if (engine_status == dnnl_success)
		return engine;
	error_set(ERR_UNAVAILABLE, "oneDNN: no CPU engine, status %d", (int)engine_status);
	return NULL;
}

uint64_t
onednn_platform(void)
{
	const dnnl_version_t *version = dnnl_version();
	uint64_t number = (uint64_t)version->major << 16 | (uint64_t)version->minor << 8 |
			  (uint64_t)version->patch;
	return number << 32 | (uint64_t)dnnl_get_effective_cpu_isa();
}

int
onednn_check(const struct operator_call *call, dnnl_status_t status, const char *what)
{
	if (status == dnnl_success)
		return 0;
	if (status == dnnl_unimplemented)
		return operator_unimplemented(call, "oneDNN has no %s for these types", what);
	return operator_error(call, "oneDNN's %s failed with status %d", what, (int)status);
}

static void
destroy_arguments(dnnl_exec_arg_t *args, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		dnnl_memory_destroy(args[i].memory);
}

static void
destroy_onednn(const void *state)
{
	const struct onednn *onednn = state;
	destroy_arguments(onednn->bound.args, onednn->bound.count);
	if (onednn->primitive != NULL)
		dnnl_primitive_destroy(onednn->primitive);
	if (onednn->desc != NULL)
		dnnl_primitive_desc_destroy(onednn->desc);
}

/* Memory objects for the arguments, without addresses, and the scratchpad's behind them. Returns how many were made. */
static uint32_t
create_arguments(const struct onednn *onednn, dnnl_exec_arg_t *args)
{
	for (uint32_t i = 0; i < onednn->argument_count; i++) {
		args[i].arg = onednn->arguments[i].argument;
		if (dnnl_memory_create(&args[i].memory, &onednn->arguments[i].desc, engine,
				       DNNL_MEMORY_NONE) != dnnl_success)
			return i;
	}
	uint32_t count = onednn->argument_count;
	if (onednn->has_scratchpad) {
		args[count].arg = DNNL_ARG_SCRATCHPAD;
		if (dnnl_memory_create(&args[count].memory, &onednn->scratchpad, engine,
				       DNNL_MEMORY_NONE) == dnnl_success)
			count++;
	}
	return count;
}

static int
execute(const struct onednn *onednn, const struct operands *operands, dnnl_exec_arg_t *args,
	uint32_t count)
{
	for (uint32_t i = 0; i < onednn->argument_count; i++) {
		const struct argument *argument = &onednn->arguments[i];
		const void *address = argument->place == ONEDNN_INPUT
					      ? operands->inputs[argument->index]
					      : operands->outputs[argument->index];
		dnnl_memory_set_data_handle(args[i].memory, (void *)address);
	}
	if (onednn->has_scratchpad)
		dnnl_memory_set_data_handle(args[onednn->argument_count].memory, operands->scratch);
	dnnl_status_t status = dnnl_primitive_execute(onednn->primitive, stream, (int)count, args);
	if (status != dnnl_success)
		return error_set(ERR_INTERNAL, "oneDNN: execution failed with status %d",
				 (int)status);
	return 0;
}

/* A run beside another of the same program: memory objects of its own. */
static int
run_unbound(const struct onednn *onednn, const struct operands *operands)
{
	dnnl_exec_arg_t args[MAX_ARGUMENTS + 1];
	uint32_t count = create_arguments(onednn, args);
	int result = -1;
	if (count == onednn->bound.count)
		result = execute(onednn, operands, args, count);
	else
		error_set(ERR_RESOURCE_EXHAUSTED, "oneDNN: no memory object");
	destroy_arguments(args, count);
	return result;
}

static int
run_onednn(const void *state, const struct operands *operands)
{
	/* The memory objects are the one thing that a run changes, under `busy`. */
	struct onednn *onednn = (struct onednn *)state;
	struct bound *bound = &onednn->bound;
	if (atomic_flag_test_and_set_explicit(&bound->busy, memory_order_acquire))
		return run_unbound(onednn, operands);
	int result = execute(onednn, operands, bound->args, bound->count);
	atomic_flag_clear_explicit(&bound->busy, memory_order_release);
	return result;
}

struct onednn *
onednn_begin_from(struct operator_call *call, dnnl_primitive_desc_t desc)
{
	struct onednn *onednn = operator_state(call, sizeof(*onednn));
	if (onednn == NULL) {
		dnnl_primitive_desc_destroy(desc);
		return NULL;
	}
	onednn->desc = desc;
	call->kernel->destroy = destroy_onednn;
	if (onednn_check(call, dnnl_primitive_create(&onednn->primitive, desc), "primitive") != 0)
		return NULL;
	const dnnl_memory_desc_t *scratchpad = onednn_query(onednn, dnnl_query_scratchpad_md);
	call->kernel->scratch_bytes = dnnl_memory_desc_get_size(scratchpad);
	onednn->has_scratchpad = call->kernel->scratch_bytes != 0;
	onednn->scratchpad = *scratchpad;
	atomic_flag_clear(&onednn->bound.busy);
	return onednn;
}

struct onednn *
onednn_begin(struct operator_call *call, const_dnnl_op_desc_t op_desc, dnnl_primitive_attr_t attr)
{
	dnnl_primitive_attr_t own = NULL;
	dnnl_primitive_desc_t desc = NULL;
	struct onednn *onednn = NULL;
	if (onednn_engine() == NULL)
		return NULL;
	dnnl_status_t status = dnnl_success;
	if (attr == NULL)
		status = dnnl_primitive_attr_create(&own);
	if (status == dnnl_success)
		status = dnnl_primitive_attr_set_scratchpad_mode(attr != NULL ? attr : own,
								 dnnl_scratchpad_mode_user);
	if (status == dnnl_success)
		status = dnnl_primitive_desc_create(&desc, op_desc, attr != NULL ? attr : own,
						    engine, NULL);
	if (onednn_check(call, status, "primitive") == 0)
		onednn = onednn_begin_from(call, desc);
	if (own != NULL)
		dnnl_primitive_attr_destroy(own);
	return onednn;
}

const dnnl_memory_desc_t *
onednn_query(const struct onednn *onednn, dnnl_query_t what)
{
	return dnnl_primitive_desc_query_md(onednn->desc, what, 0);
}

/* Room for one more argument, in the arena. */
static int
grow_arguments(struct operator_call *call, struct onednn *onednn)
{
	if (onednn->argument_count < onednn->argument_room)
		return 0;
	if (onednn->argument_count == MAX_ARGUMENTS)
		return operator_unimplemented(call, "more than %d arguments", MAX_ARGUMENTS);
	uint32_t room = onednn->argument_room == 0 ? 4 : 2 * onednn->argument_room;
	struct argument *arguments = arena_alloc(call->arena, room * sizeof(arguments[0]));
	dnnl_exec_arg_t *args = arena_calloc(call->arena, room + 1, sizeof(args[0]));
	if (arguments == NULL || args == NULL)
		return -1;
	if (onednn->argument_count != 0)
		memcpy(arguments, onednn->arguments, onednn->argument_count * sizeof(arguments[0]));
	onednn->arguments = arguments;
	onednn->argument_room = room;
	destroy_arguments(onednn->bound.args, onednn->bound.count);
	onednn->bound.count = 0;
	onednn->bound.args = args;
	return 0;
}

int
onednn_argument(struct operator_call *call, int argument, const dnnl_memory_desc_t *desc,
		enum onednn_place place, uint32_t index)
{
	struct onednn *onednn = (struct onednn *)call->kernel->state;
	if (grow_arguments(call, onednn) != 0)
		return -1;
	onednn->arguments[onednn->argument_count++] =
		(struct argument){ argument, place, index, *desc };
	/* The memory objects are made anew, which happens a few times a kernel. */
	destroy_arguments(onednn->bound.args, onednn->bound.count);
	onednn->bound.count = create_arguments(onednn, onednn->bound.args);
	if (onednn->bound.count != onednn->argument_count + onednn->has_scratchpad)
		return error_set(ERR_RESOURCE_EXHAUSTED, "oneDNN: no memory object");
	call->kernel->run = run_onednn;
	return 0;
}

static dnnl_data_type_t
element_type(enum data_type data_type)
{
	switch (data_type) {
	case DATA_TYPE_FLOAT:
		return dnnl_f32;
	case DATA_TYPE_INT8:
		return dnnl_s8;
	case DATA_TYPE_UINT8:
		return dnnl_u8;
	case DATA_TYPE_INT32:
		return dnnl_s32;
	case DATA_TYPE_BFLOAT16:
		return dnnl_bf16;
	default:
		return dnnl_data_type_undef;
	}
}

/* C order, or blocks of 16 channels. */
static dnnl_format_tag_t
format_tag(uint32_t rank, enum layout layout)
{
	static const dnnl_format_tag_t plain[] = { dnnl_a,    dnnl_a,     dnnl_ab,    dnnl_abc,
						   dnnl_abcd, dnnl_abcde, dnnl_abcdef };
	static const dnnl_format_tag_t blocked[][6] = {
		{ [3] = dnnl_aBc8b, [4] = dnnl_aBcd8b, [5] = dnnl_aBcde8b },
		{ [3] = dnnl_aBc16b, [4] = dnnl_aBcd16b, [5] = dnnl_aBcde16b },
	};
	if (layout == LAYOUT_PLAIN)
		return rank < 7 ? plain[rank] : dnnl_format_tag_undef;
	return rank < 6 ? blocked[layout_block() == LAYOUT_BLOCK_MAX][rank] : dnnl_format_tag_undef;
}

int
onednn_tensor(const struct operator_call *call, const struct tensor_type *type, enum layout layout,
	      dnnl_memory_desc_t *desc)
{
	dnnl_data_type_t element = element_type(type->data_type);
	if (element == dnnl_data_type_undef)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(type->data_type));
	dnnl_dims_t dims = { 1 };
	memcpy(dims, type->dims, type->rank * sizeof(dims[0]));
	int rank = type->rank == 0 ? 1 : (int)type->rank;
	return onednn_check(call,
			    dnnl_memory_desc_init_by_tag(desc, rank, dims, element,
							 format_tag(type->rank, layout)),
			    "tensor");
}

/* The post as an element-wise function of oneDNN's; false when it is one with an operand. */
static bool
eltwise_of(const struct post *post, dnnl_alg_kind_t *function, float *alpha, float *beta)
{
	*alpha = post->alpha;
	*beta = post->beta;
	switch (post->kind) {
	case POST_RELU:
		*alpha = 0;
		*function = dnnl_eltwise_relu;
		return true;
	case POST_CLIP:
		*function = dnnl_eltwise_clip;
		return true;
	case POST_LEAKY_RELU:
		*function = dnnl_eltwise_relu;
		return true;
	case POST_ELU:
		*function = dnnl_eltwise_elu;
		return true;
	case POST_SIGMOID:
		*function = dnnl_eltwise_logistic;
		return true;
	case POST_TANH:
		*function = dnnl_eltwise_tanh;
		return true;
	case POST_SWISH:
		*function = dnnl_eltwise_swish;
		return true;
	case POST_HARD_SWISH:
		*function = dnnl_eltwise_hardswish;
		return true;
	case POST_GELU_ERF:
		*function = dnnl_eltwise_gelu_erf;
		return true;
	case POST_GELU_TANH:
		*function = dnnl_eltwise_gelu_tanh;
		return true;
	case POST_LINEAR:
		*function = dnnl_eltwise_linear;
		return true;
	default:
		return false;
	}
}

/*
 * The descriptor of a post's operand: laid out like the result when it has as many elements, else input `input` with the
 * result's rank, plain (the last dimensions count: a matrix product may see several of the node's as one).
 */
static int
operand_desc(struct operator_call *call, uint32_t input, const dnnl_memory_desc_t *desc,
	     dnnl_memory_desc_t *operand)
{
	const struct tensor_type *own = &call->inputs[input];
	struct tensor_type type = { .data_type = own->data_type, .rank = (uint32_t)desc->ndims };
	int64_t elements = 1;
	for (int i = 0; i < desc->ndims; i++) {
		int from = i - desc->ndims + (int)own->rank;
		type.dims[i] = from < 0 ? 1 : own->dims[from];
		elements *= desc->dims[i];
	}
	if (elements == tensor_elements(own)) {
		*operand = *desc;
		return 0;
	}
	return onednn_tensor(call, &type, LAYOUT_PLAIN, operand);
}

static dnnl_status_t
append_post(struct operator_call *call, const struct post *post, const dnnl_memory_desc_t *desc,
	    dnnl_post_ops_t posts)
{
	dnnl_alg_kind_t function;
	float alpha, beta;
	if (eltwise_of(post, &function, &alpha, &beta))
		return dnnl_post_ops_append_eltwise(posts, 1, function, alpha, beta);
	dnnl_memory_desc_t operand;
	if (operand_desc(call, post->input, desc, &operand) != 0)
		return dnnl_unimplemented;
	return dnnl_post_ops_append_binary(
		posts, post->kind == POST_MUL ? dnnl_binary_mul : dnnl_binary_add, &operand);
}

/* oneDNN 2.6 gives two element-wise posts of one kind the same parameters, silently. */
static bool
has_twins(const struct post *posts, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = i + 1; k < count; k++)
			if (posts[i].kind == posts[k].kind && posts[i].kind != POST_ADD &&
			    posts[i].kind != POST_MUL)
				return true;
	return false;
}

int
onednn_posts(struct operator_call *call, const struct post *posts, uint32_t count,
	     const dnnl_memory_desc_t *desc, dnnl_primitive_attr_t attr)
{
	dnnl_post_ops_t list;
	if (has_twins(posts, count))
		return operator_unimplemented(call, "two posts of one kind");
	dnnl_status_t status = dnnl_post_ops_create(&list);
	if (status != dnnl_success)
		return onednn_check(call, status, "post-operation");
	for (uint32_t i = 0; i < count && status == dnnl_success; i++)
		status = append_post(call, &posts[i], desc, list);
	if (status == dnnl_success)
		status = dnnl_primitive_attr_set_post_ops(attr, list);
	dnnl_post_ops_destroy(list);
	return onednn_check(call, status, "post-operation");
}

int
onednn_post_arguments(struct operator_call *call, const struct post *posts, uint32_t count,
		      const dnnl_memory_desc_t *desc)
{
	for (uint32_t i = 0; i < count; i++) {
		if (posts[i].kind != POST_ADD && posts[i].kind != POST_MUL)
			continue;
		dnnl_memory_desc_t operand;
		int argument = DNNL_ARG_ATTR_MULTIPLE_POST_OP((int)i) | DNNL_ARG_SRC_1;
		if (operand_desc(call, posts[i].input, desc, &operand) != 0 ||
		    onednn_argument(call, argument, &operand, ONEDNN_INPUT, posts[i].input) != 0)
			return -1;
	}
	return 0;
}

struct packing {
	const struct operator_call *call;
	const dnnl_memory_desc_t *plain;
	const dnnl_memory_desc_t *wanted;
};

static dnnl_status_t
reorder(const struct packing *packing, const void *from, void *to)
{
	dnnl_primitive_desc_t desc = NULL;
	dnnl_primitive_t primitive = NULL;
	dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, NULL }, { DNNL_ARG_TO, NULL } };
	dnnl_status_t status = dnnl_reorder_primitive_desc_create(&desc, packing->plain, engine,
								  packing->wanted, engine, NULL);
	if (status == dnnl_success)
		status = dnnl_primitive_create(&primitive, desc);
	if (status == dnnl_success)
		status = dnnl_memory_create(&args[0].memory, packing->plain, engine, (void *)from);
	if (status == dnnl_success)
		status = dnnl_memory_create(&args[1].memory, packing->wanted, engine, to);
	if (status == dnnl_success)
		status = dnnl_primitive_execute(primitive, stream, 2, args);
	dnnl_memory_destroy(args[0].memory);
	dnnl_memory_destroy(args[1].memory);
	dnnl_primitive_destroy(primitive);
	dnnl_primitive_desc_destroy(desc);
	return status;
}

static int
pack_by_reorder(void *context, const struct constant *from, void *to)
{
	const struct packing *packing = context;
	return onednn_check(packing->call, reorder(packing, from->data, to), "reorder");
}

int
onednn_pack(struct operator_call *call, uint32_t input, const char *key,
	    const dnnl_memory_desc_t *plain, const dnnl_memory_desc_t *wanted)
{
	if (dnnl_memory_desc_equal(plain, wanted))
		return 0;
	struct packing packing = { call, plain, wanted };
	return operator_pack(call, input, key, wanted, sizeof(*wanted),
			     dnnl_memory_desc_get_size(wanted), pack_by_reorder, &packing);
}
