#include "model/chain.h"

#include <string.h>

#include "base/error.h"
#include "exec/operator.h"
#include "exec/program.h"
#include "model/compile.h"
#include "model/onnx.h"
#include "model/pack.h"
#include "model/spelling.h"

/* --- spelling and copying ----------------------------------------------------------------------------------------- */

void
chain_spell(struct spelling *spelling, const struct chain *chain)
{
	spelling_put_number(spelling, chain->kind);
	spelling_put_number(spelling, (uint64_t)chain->input_count << 32 | chain->link_count);
	for (uint32_t i = 0; i < chain->input_count; i++)
		spelling_put_type(spelling, &chain->inputs[i]);
	for (uint32_t k = 0; k < chain->link_count; k++) {
		const struct chain_link *link = &chain->links[k];
		operation_spell(spelling, &link->operation);
		spelling_put(spelling, link->inputs,
			     link->operation.input_count * sizeof(link->inputs[0]));
	}
	spelling_put(spelling, chain->kept, chain->result_count * sizeof(chain->kept[0]));
}

static void *
copy(struct arena *arena, const void *data, size_t bytes)
{
	void *to = arena_alloc(arena, bytes + 1);
	if (to != NULL && bytes != 0)
		memcpy(to, data, bytes);
	return to;
}

static const char *
copy_text(struct arena *arena, const char *text)
{
	return copy(arena, text, strlen(text) + 1);
}

/* Attributes of operations have no tensors, bodies or lists of strings. */
static int
copy_attribute(struct attribute *to, const struct attribute *from, struct arena *arena)
{
	*to = *from;
	to->name = copy_text(arena, from->name);
	if (to->name == NULL)
		return -1;
	switch (from->kind) {
	case ATTRIBUTE_INT:
	case ATTRIBUTE_FLOAT:
		return 0;
	case ATTRIBUTE_STRING:
		to->as.s = copy_text(arena, from->as.s);
		return to->as.s == NULL ? -1 : 0;
	case ATTRIBUTE_INTS:
		to->as.ints = copy(arena, from->as.ints, from->count * sizeof(int64_t));
		return to->as.ints == NULL ? -1 : 0;
	case ATTRIBUTE_FLOATS:
		to->as.floats = copy(arena, from->as.floats, from->count * sizeof(float));
		return to->as.floats == NULL ? -1 : 0;
	default:
		return error_set(ERR_UNIMPLEMENTED, "chain: attribute %s", from->name);
	}
}

static int
copy_constants(struct operation *to, const struct operation *from, struct arena *arena)
{
	const struct constant **constants =
		arena_calloc(arena, from->input_count + 1, sizeof(constants[0]));
	if (constants == NULL)
		return -1;
	to->constants = constants;
	for (uint32_t i = 0; i < from->input_count; i++) {
		const struct constant *constant = from->constants[i];
		if (constant == NULL)
			continue;
		struct constant *own = arena_alloc(arena, sizeof(*own));
		if (own == NULL)
			return -1;
		*own = *constant;
		own->data = copy(arena, constant->data, tensor_bytes(&constant->type));
		if (own->data == NULL)
			return -1;
		constants[i] = own;
	}
	return 0;
}

static int
copy_link(struct chain_link *to, const struct chain_link *from, struct arena *arena)
{
	const struct operation *operation = &from->operation;
	struct attribute *attributes =
		arena_calloc(arena, operation->attribute_count + 1, sizeof(attributes[0]));
	*to = *from;
	to->inputs = copy(arena, from->inputs, operation->input_count * sizeof(from->inputs[0]));
	to->operation.op_type = copy_text(arena, operation->op_type);
	to->operation.attributes = attributes;
	if (to->inputs == NULL || to->operation.op_type == NULL || attributes == NULL)
		return -1;
	for (uint32_t i = 0; i < operation->attribute_count; i++)
		if (copy_attribute(&attributes[i], &operation->attributes[i], arena) != 0)
			return -1;
	return operation->constants == NULL ? 0 : copy_constants(&to->operation, operation, arena);
}

struct chain *
chain_copy(const struct chain *chain, struct arena *arena)
{
	struct chain *own = copy(arena, chain, sizeof(*chain));
	if (own == NULL)
		return NULL;
	own->inputs = copy(arena, chain->inputs, chain->input_count * sizeof(chain->inputs[0]));
	own->kept = copy(arena, chain->kept, chain->result_count * sizeof(chain->kept[0]));
	own->links = arena_calloc(arena, chain->link_count, sizeof(own->links[0]));
	if (own->inputs == NULL || own->kept == NULL || own->links == NULL)
		return NULL;
	for (uint32_t k = 0; k < chain->link_count; k++)
		if (copy_link(&own->links[k], &chain->links[k], arena) != 0)
			return NULL;
	return own;
}

/* --- compiling ---------------------------------------------------------------------------------------------------- */

/* A graph that is made of a chain: the chain's inputs are its first values, then come the results, then known values. */
struct maker {
	const struct chain *chain;
	struct graph *graph;
};

/* The value that input `input` of the link is; -1 for want of memory. */
static int32_t
value_of(const struct maker *maker, const struct chain_link *link, uint32_t input)
{
	int32_t from = link->inputs[input];
	if (from >= 0)
		return from;
	if (from != CHAIN_VALUE)
		return (int32_t)maker->chain->input_count + ~from;
	int32_t index = graph_add_value(maker->graph, link->operation.op_type);
	if (index < 0)
		return -1;
	struct value *value = &maker->graph->values[index];
	value->constant = link->operation.constants[input];
	value->type = value->constant->type;
	value->has_type = true;
	return index;
}

/* Does the table say that types do not tell what comes out? */
static bool
is_open(const struct op *op)
{
	return (op->flags & (OPERATOR_IMPURE | OPERATOR_DATA_SHAPED | OPERATOR_TELLS_TYPES)) != 0;
}

static int
add_node(const struct maker *maker, const struct chain_link *link)
{
	const struct operation *operation = &link->operation;
	struct node *node = graph_add_node(maker->graph, operation->op_type, operation->input_count,
					   operation->output_count, 0);
	if (node == NULL)
		return -1;
	node->name = node->op_type;
	node->attribute_count = operation->attribute_count;
	node->attributes = (struct attribute *)operation->attributes;
	for (uint32_t i = 0; i < operation->input_count; i++)
		if ((node->inputs[i] = value_of(maker, link, i)) < 0)
			return -1;
	for (uint32_t i = 0; i < operation->output_count; i++)
		node->outputs[i] = (int32_t)(maker->chain->input_count + link->first_result + i);
	const struct op *op = operator_find(node);
	if (op == NULL)
		return -1;
	if (is_open(op))
		return error_set(ERR_FAILED_PRECONDITION,
				 "chain: what %s gives is not known before", operation->op_type);
	return 0;
}

static struct graph *
make_graph(const struct chain *chain, struct arena *arena)
{
	struct maker maker = { chain, graph_new(arena) };
	struct graph *graph = maker.graph;
	if (graph == NULL)
		return NULL;
	graph->opset = ONNX_OPSET_MAX;
	graph->inputs = arena_calloc(arena, chain->input_count + 1, sizeof(graph->inputs[0]));
	graph->outputs = arena_calloc(arena, chain->result_count + 1, sizeof(graph->outputs[0]));
	if (graph->inputs == NULL || graph->outputs == NULL)
		return NULL;
	for (uint32_t i = 0; i < chain->input_count + chain->result_count; i++)
		if (graph_add_value(graph, i < chain->input_count ? "input" : "result") < 0)
			return NULL;
	for (uint32_t i = 0; i < chain->input_count; i++)
		graph->inputs[graph->input_count++] = (int32_t)i;
	for (uint32_t r = 0; r < chain->result_count; r++)
		if (chain->kept[r])
			graph->outputs[graph->output_count++] = (int32_t)(chain->input_count + r);
	for (uint32_t k = 0; k < chain->link_count; k++)
		if (add_node(&maker, &chain->links[k]) != 0)
			return NULL;
	return graph;
}

struct program *
chain_compile(const struct chain *chain, unsigned threads)
{
	struct arena arena;
	struct pack pack;
	struct program *program = NULL;
	struct compile_options options = { .kind = chain->kind,
					   .threads = threads != 0 ? threads : 1,
					   .gathers_elements = true };
	arena_create(&arena, 0);
	struct graph *graph = make_graph(chain, &arena);
	if (graph != NULL) {
		/* No image: constants go with the program. */
		pack_create(&pack, graph, 0, NULL);
		pack.closed = true;
		program = compile(graph, &pack, chain->inputs, chain->input_count, &options);
		pack_destroy(&pack);
	}
	arena_destroy(&arena);
	if (program == NULL || !program_info(program)->tells_types)
		return program;
	program_unref(program);
	error_set(ERR_FAILED_PRECONDITION, "chain: shapes depend on data");
	return NULL;
}
