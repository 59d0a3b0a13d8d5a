#include "exec/operator.h"

#include <assert.h>
#include <inttypes.h>
#include <omp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "exec/backend.h"
#include "exec/isa.h"
#include "exec/operators.h"
#include "exec/widen.h"

enum {
	/* Stands for every input from here on in known_inputs. */
	KNOWN_ALL_BIT = 31,
};

static const struct operator_family *const families[] = {
#define X(name) &operator_family_##name,
	OPERATOR_FAMILIES(X)
#undef X
};

static bool
same_domain(const struct op *op, const char *domain)
{
	const char *own = op->domain != NULL ? op->domain : "";
	if (strcmp(domain, "ai.onnx") == 0)
		domain = "";
	return strcmp(own, domain) == 0;
}

/* The entry of the family with the largest `since` that the node's opset reaches, if later than best. */
static const struct op *
best_in_family(const struct operator_family *family, const struct node *node, const struct op *best)
{
	for (size_t i = 0; i < family->count; i++) {
		const struct op *entry = &family->operators[i];
		if (entry->since > node->opset || strcmp(entry->type, node->op_type) != 0 ||
		    !same_domain(entry, node->domain))
			continue;
		if (best == NULL || entry->since > best->since)
			best = entry;
	}
	return best;
}

const struct op *
operator_find(const struct node *node)
{
	const struct op *best = NULL;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		best = best_in_family(families[i], node, best);
	if (best == NULL)
		error_set(ERR_UNIMPLEMENTED,
			  "node %s: operator %s%s%s of opset %d is not supported", node->name,
			  node->domain, node->domain[0] != '\0' ? "." : "", node->op_type,
			  node->opset);
	return best;
}

static int
report(const struct operator_call *call, enum error_code code, const char *format, va_list args)
{
	char text[ERROR_MESSAGE_BYTES / 2];
	vsnprintf(text, sizeof(text), format, args);
	char title[NODE_TITLE_BYTES];
	return error_set(code, "%s: %s", node_title(call->node, title), text);
}

int
operator_error(const struct operator_call *call, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report(call, ERR_INVALID_ARGUMENT, format, args);
	va_end(args);
	return -1;
}

int
operator_unimplemented(const struct operator_call *call, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report(call, ERR_UNIMPLEMENTED, format, args);
	va_end(args);
	return -1;
}

bool
operator_has_input(const struct operator_call *call, uint32_t input)
{
	return input < call->input_count && call->inputs[input].data_type != DATA_TYPE_NONE;
}

bool
operator_has_output(const struct operator_call *call, uint32_t output)
{
	return output < call->output_count && call->node->outputs[output] >= 0;
}

bool
operator_needs_value(const struct op *op, uint32_t input)
{
	if (op->flags & OPERATOR_DATA_SHAPED)
		return true;
	uint32_t bit = input < KNOWN_ALL_BIT ? input : KNOWN_ALL_BIT;
	return (op->known_inputs >> bit & 1) != 0;
}

/* The inputs that the node has must be as many as the operator takes, the first ones present, known where they must be. */
static int
check_inputs(const struct operator_call *call)
{
	const struct op *op = call->op;
	uint32_t most = op->inputs[1] == OPERATOR_MANY ? UINT32_MAX : op->inputs[1];
	/* Inputs that posts read come after the operator's own. */
	if (call->input_count < op->inputs[0] ||
	    (call->input_count > most && call->node->post_count == 0))
		return operator_error(call, "%" PRIu32 " inputs, not %d to %d", call->input_count,
				      op->inputs[0], op->inputs[1]);
	for (uint32_t i = 0; i < call->input_count; i++) {
		bool present = operator_has_input(call, i);
		if (!present && i < op->inputs[0])
			return operator_error(call, "input %" PRIu32 " is missing", i);
		if (present && operator_needs_value(op, i) && call->constants[i] == NULL)
			return operator_error(call, "the value of input %" PRIu32 " is not known",
					      i);
	}
	return 0;
}

static int
check_outputs(const struct operator_call *call)
{
	char title[NODE_TITLE_BYTES];
	for (uint32_t i = 0; i < call->output_count; i++) {
		if (!operator_has_output(call, i))
			continue;
		if (tensor_type_check(&call->outputs[i]) != 0)
			return error_wrap("%s: output %" PRIu32, node_title(call->node, title), i);
		if (tensor_elements(&call->outputs[i]) < 0)
			return operator_error(call, "the shape of output %" PRIu32 " is not known",
					      i);
	}
	return 0;
}

int
operator_infer(struct operator_call *call)
{
	const struct op *op = call->op;
	uint32_t most = op->outputs[1] == OPERATOR_MANY ? OPERATOR_MAX_OUTPUTS : op->outputs[1];
	if (call->output_count < op->outputs[0] || call->output_count > most)
		return operator_error(call, "%" PRIu32 " outputs, not %d to %" PRIu32,
				      call->output_count, op->outputs[0], most);
	if (check_inputs(call) != 0)
		return -1;
	memset(call->outputs, 0, call->output_count * sizeof(call->outputs[0]));
	if (op->infer(call) != 0 && widen_infer(call) != 0)
		return -1;
	return check_outputs(call);
}

int
operator_try(struct operator_call *call, int (*prepare)(struct operator_call *call))
{
	*call->kernel = (struct kernel){ 0 };
	if (prepare(call) == 0) {
		assert(call->kernel->run != NULL);
		return 0;
	}
	if (call->kernel->destroy != NULL)
		call->kernel->destroy(call->kernel->state);
	*call->kernel = (struct kernel){ 0 };
	return -1;
}

int
operator_prepare_host(struct operator_call *call)
{
	/* oneDNN chooses for the number of threads that holds now, as run_segment sets it. */
	omp_set_num_threads((int)call->threads);
	if (!widen_is_needed(call) && operator_try(call, call->op->prepare) == 0)
		return 0;
	return operator_try(call, widen_prepare);
}

int
operator_prepare_as(struct operator_call *call)
{
	return call->backend == NULL ? call->op->prepare(call) : call->backend->prepare(call);
}

int
operator_prepare(struct operator_call *call)
{
	return call->backend == NULL ? operator_prepare_host(call)
				     : operator_try(call, call->backend->prepare);
}

int64_t
layout_block(void)
{
	return isa_level() == ISA_AVX512 ? LAYOUT_BLOCK_MAX : LAYOUT_BLOCK_MAX / 2;
}

struct tensor_type
layout_view(const struct tensor_type *type, enum layout layout)
{
	struct tensor_type view = *type;
	if (layout == LAYOUT_BLOCKED) {
		view.dims[1] = (view.dims[1] + layout_block() - 1) / layout_block();
		view.dims[view.rank++] = layout_block();
	} else if (layout == LAYOUT_LAST && view.rank > 2) {
		memmove(view.dims + 1, view.dims + 2, (view.rank - 2) * sizeof(view.dims[0]));
		view.dims[view.rank - 1] = type->dims[1];
	}
	return view;
}

bool
layout_is_moot(const struct tensor_type *type, enum layout layout)
{
	int64_t channels = type->rank > 1 ? type->dims[1] : 1;
	if (layout == LAYOUT_LAST && channels == 1)
		return true;
	for (uint32_t i = 2; i < type->rank; i++)
		if (type->dims[i] != 1)
			return false;
	return layout != LAYOUT_BLOCKED || channels % layout_block() == 0;
}

size_t
layout_bytes(const struct tensor_type *type, enum layout layout)
{
	struct tensor_type view = layout_view(type, layout);
	return tensor_bytes(&view);
}

int
operator_output(struct operator_call *call, uint32_t output, enum data_type data_type,
		uint32_t rank, const int64_t *dims)
{
	if (output >= call->output_count)
		return 0;
	if (rank > TENSOR_MAX_RANK)
		return operator_error(call,
				      "output %" PRIu32 " would have rank %" PRIu32 ", above %d",
				      output, rank, TENSOR_MAX_RANK);
	struct tensor_type type = { .data_type = data_type, .rank = rank };
	if (rank != 0)
		memcpy(type.dims, dims, rank * sizeof(dims[0]));
	call->outputs[output] = type;
	return 0;
}

int
infer_same(struct operator_call *call)
{
	call->outputs[0] = call->inputs[0];
	return 0;
}

int
operator_broadcast(const struct operator_call *call, uint32_t *rank, int64_t *dims,
		   const struct tensor_type *other)
{
	if (other->rank > *rank) {
		uint32_t more = other->rank - *rank;
		memmove(dims + more, dims, *rank * sizeof(dims[0]));
		for (uint32_t i = 0; i < more; i++)
			dims[i] = 1;
		*rank = other->rank;
	}
	for (uint32_t i = 0; i < other->rank; i++) {
		int64_t *dim = &dims[*rank - other->rank + i];
		if (*dim == 1)
			*dim = other->dims[i];
		else if (other->dims[i] != *dim && other->dims[i] != 1)
			return operator_error(
				call, "dimensions %" PRId64 " and %" PRId64 " do not broadcast",
				*dim, other->dims[i]);
	}
	return 0;
}

static int
infer_broadcast_as(struct operator_call *call, enum data_type data_type)
{
	int64_t dims[TENSOR_MAX_RANK];
	uint32_t rank = 0;
	uint32_t most = call->op->inputs[1];
	for (uint32_t i = 0; i < call->input_count && i < most; i++) {
		if (call->inputs[i].data_type != call->inputs[0].data_type)
			return operator_error(call, "input %" PRIu32 " is %s, input 0 is %s", i,
					      data_type_name(call->inputs[i].data_type),
					      data_type_name(call->inputs[0].data_type));
		if (operator_broadcast(call, &rank, dims, &call->inputs[i]) != 0)
			return -1;
	}
	return operator_output(call, 0, data_type, rank, dims);
}

int
infer_broadcast(struct operator_call *call)
{
	return infer_broadcast_as(call, call->inputs[0].data_type);
}

int
infer_compare(struct operator_call *call)
{
	return infer_broadcast_as(call, DATA_TYPE_BOOL);
}

int
operator_axis(const struct operator_call *call, int64_t axis, uint32_t rank, uint32_t *index)
{
	if (axis < -(int64_t)rank || axis >= (int64_t)rank)
		return operator_error(call, "axis %" PRId64 " is out of range for rank %" PRIu32,
				      axis, rank);
	*index = (uint32_t)(axis < 0 ? axis + rank : axis);
	return 0;
}

int
operator_read_ints(const struct operator_call *call, uint32_t input, int64_t *values, uint32_t room)
{
	const struct constant *constant = call->constants[input];
	assert(constant != NULL);
	int64_t count = tensor_elements(&constant->type);
	if (constant->type.rank > 1 || count > room)
		return operator_error(
			call, "input %" PRIu32 " must be a list of at most %" PRIu32 " integers",
			input, room);
	for (int64_t i = 0; i < count; i++) {
		if (constant->type.data_type == DATA_TYPE_INT64)
			values[i] = ((const int64_t *)constant->data)[i];
		else if (constant->type.data_type == DATA_TYPE_INT32)
			values[i] = ((const int32_t *)constant->data)[i];
		else
			return operator_error(call, "input %" PRIu32 " is %s, not integers", input,
					      data_type_name(constant->type.data_type));
	}
	return (int)count;
}

int
operator_ints(const struct operator_call *call, uint32_t input, const char *name, int64_t *values,
	      uint32_t room, bool *found)
{
	*found = true;
	if (operator_needs_value(call->op, input) && operator_has_input(call, input))
		return operator_read_ints(call, input, values, room);
	uint32_t count;
	const int64_t *ints = node_ints(call->node, name, &count);
	*found = ints != NULL;
	if (count > room)
		return operator_error(call,
				      "attribute %s has %" PRIu32 " entries, more than %" PRIu32,
				      name, count, room);
	if (count != 0)
		memcpy(values, ints, count * sizeof(ints[0]));
	return (int)count;
}

double
operator_scalar(const struct operator_call *call, uint32_t input, double fallback)
{
	if (!operator_has_input(call, input) || tensor_elements(&call->inputs[input]) < 1)
		return fallback;
	const void *data = call->constants[input]->data;
	switch (call->inputs[input].data_type) {
	case DATA_TYPE_FLOAT:
		return *(const float *)data;
	case DATA_TYPE_DOUBLE:
		return *(const double *)data;
	case DATA_TYPE_INT64:
		return (double)*(const int64_t *)data;
	case DATA_TYPE_INT32:
		return *(const int32_t *)data;
	case DATA_TYPE_UINT8:
	case DATA_TYPE_BOOL:
		return *(const uint8_t *)data;
	case DATA_TYPE_INT8:
		return *(const int8_t *)data;
	default:
		return fallback;
	}
}

void *
operator_state(struct operator_call *call, size_t bytes)
{
	void *state = arena_calloc(call->arena, 1, bytes);
	call->kernel->state = state;
	return state;
}

int
operator_pack(struct operator_call *call, uint32_t input, const char *key, const void *descriptor,
	      size_t size, size_t bytes, operator_pack_f *pack, void *context)
{
	assert(call->constants[input] != NULL);
	return call->parameters->add(call->parameters, call, input, key, descriptor, size, bytes,
				     pack, context);
}

bool
operator_packed(const struct operator_call *call, uint32_t input, const char *key, void *descriptor,
		size_t size)
{
	return call->parameters->find(call->parameters, call->constants[input], key, descriptor,
				      size) == 1;
}
