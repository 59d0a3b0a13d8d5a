#include "model/operation.h"

#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "exec/operator.h"
#include "exec/program.h"
#include "model/compile.h"
#include "model/onnx.h"
#include "model/pack.h"
#include "model/spelling.h"

enum {
	/* Programs kept; the least recently used goes first. */
	CACHE_ENTRIES = 256,
};

struct entry {
	uint64_t hash;
	struct spelling key;
	struct program *program;
};

/* The most recently used first. */
static struct {
	pthread_mutex_t lock;
	uint32_t count;
	struct entry entries[CACHE_ENTRIES];
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- spelling ------------------------------------------------------------------------------------------------------ */

static int
spell(struct spelling *key, const struct operation *operation)
{
	*key = (struct spelling){ 0 };
	operation_spell(key, operation);
	for (uint32_t i = 0; i < operation->input_count; i++)
		spelling_put_type(key, &operation->inputs[i]);
	if (!key->failed)
		return 0;
	spelling_destroy(key);
	return error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory", operation->op_type);
}

void
operation_spell(struct spelling *spelling, const struct operation *operation)
{
	const uint32_t counts[] = { operation->kind, operation->output_count,
				    operation->attribute_count, operation->input_count,
				    operation->constants != NULL };
	spelling_put_text(spelling, operation->op_type);
	spelling_put(spelling, counts, sizeof(counts));
	for (uint32_t i = 0; i < operation->attribute_count; i++)
		spelling_put_attribute(spelling, &operation->attributes[i]);
	for (uint32_t i = 0; i < operation->input_count && operation->constants != NULL; i++)
		spelling_put_constant(spelling, operation->constants[i]);
}

/* --- cache -------------------------------------------------------------------------------------------------------- */

/* Under the lock: the entry with that key, moved to the front; NULL when there is none. */
static struct entry *
find_entry(const struct spelling *key, uint64_t hash)
{
	for (uint32_t i = 0; i < cache.count; i++) {
		struct entry found = cache.entries[i];
		if (found.hash != hash || !spelling_equal(&found.key, key))
			continue;
		memmove(cache.entries + 1, cache.entries, i * sizeof(found));
		cache.entries[0] = found;
		return &cache.entries[0];
	}
	return NULL;
}

static struct program *
find(const struct spelling *key)
{
	uint64_t hash = spelling_hash(key);
	pthread_mutex_lock(&cache.lock);
	struct entry *entry = find_entry(key, hash);
	struct program *program = entry != NULL ? program_ref(entry->program) : NULL;
	pthread_mutex_unlock(&cache.lock);
	return program;
}

/* Keep a program of the caller's; takes the key over. Returns the program that is kept, which another thread may have made. */
static struct program *
add(struct spelling *key, struct program *program)
{
	struct entry entry = { spelling_hash(key), *key, program_ref(program) };
	struct entry gone = { 0 };
	pthread_mutex_lock(&cache.lock);
	struct entry *other = find_entry(key, entry.hash);
	if (other != NULL) {
		gone = entry;
		program_unref(program);
		program = program_ref(other->program);
	} else {
		if (cache.count == CACHE_ENTRIES)
			gone = cache.entries[--cache.count];
		memmove(cache.entries + 1, cache.entries, cache.count++ * sizeof(entry));
		cache.entries[0] = entry;
	}
	pthread_mutex_unlock(&cache.lock);
	spelling_destroy(&gone.key);
	program_unref(gone.program);
	return program;
}

/* --- compiling ---------------------------------------------------------------------------------------------------- */

/* A value for input `input`: a constant, or the graph's next input, whose type goes to types. */
static int32_t
add_input(struct graph *graph, const struct operation *operation, uint32_t input,
	  struct tensor_type *types)
{
	const struct constant *constant =
		operation->constants != NULL ? operation->constants[input] : NULL;
	if (operation->inputs[input].data_type == DATA_TYPE_NONE && constant == NULL)
		return -1;
	int32_t index = graph_add_value(graph, operation->op_type);
	if (index < 0)
		return -1;
	struct value *value = &graph->values[index];
	if (constant != NULL) {
		value->constant = constant;
		value->type = constant->type;
		value->has_type = true;
	} else {
		types[graph->input_count] = operation->inputs[input];
		graph->inputs[graph->input_count++] = index;
	}
	return index;
}

/* The graph of the one node; the types of its inputs that are no constants go to types. */
static struct graph *
create_graph(const struct operation *operation, struct tensor_type *types, struct arena *arena)
{
	struct graph *graph = graph_new(arena);
	if (graph == NULL)
		return NULL;
	graph->opset = ONNX_OPSET_MAX;
	graph->inputs = arena_calloc(arena, operation->input_count, sizeof(int32_t));
	graph->outputs = arena_calloc(arena, operation->output_count, sizeof(int32_t));
	struct node *node = graph_add_node(graph, operation->op_type, operation->input_count,
					   operation->output_count, 0);
	if (graph->inputs == NULL || graph->outputs == NULL || node == NULL)
		return NULL;
	node->name = node->op_type;
	node->attribute_count = operation->attribute_count;
	node->attributes = (struct attribute *)operation->attributes;
	for (uint32_t i = 0; i < operation->input_count; i++)
		node->inputs[i] = add_input(graph, operation, i, types);
	for (uint32_t i = 0; i < operation->output_count; i++) {
		node->outputs[i] = graph_add_value(graph, operation->op_type);
		graph->outputs[graph->output_count++] = node->outputs[i];
		if (node->outputs[i] < 0)
			return NULL;
	}
	return graph;
}

static struct program *
compile_operation(const struct operation *operation, unsigned threads)
{
	struct arena arena;
	struct pack pack;
	struct program *program = NULL;
	struct compile_options options = { .kind = operation->kind, .threads = threads };
	arena_create(&arena, 0);
	struct tensor_type *types = arena_calloc(&arena, operation->input_count, sizeof(types[0]));
	struct graph *graph = types != NULL ? create_graph(operation, types, &arena) : NULL;
	if (graph != NULL) {
		/* No image: constants go with the program. */
		pack_create(&pack, graph, 0, NULL);
		pack.closed = true;
		program = compile(graph, &pack, types, graph->input_count, &options);
		pack_destroy(&pack);
	}
	arena_destroy(&arena);
	return program;
}

struct program *
operation_find(const struct operation *operation)
{
	struct spelling key;
	if (spell(&key, operation) != 0)
		return NULL;
	struct program *program = find(&key);
	spelling_destroy(&key);
	return program;
}

struct program *
operation_compile(const struct operation *operation, const struct model_options *options)
{
	struct spelling key;
	unsigned threads = options->threads != 0 ? options->threads : 1;
	if (spell(&key, operation) != 0)
		return NULL;
	struct program *program = find(&key);
	if (program == NULL) {
		program = compile_operation(operation, threads);
		if (program != NULL)
			return add(&key, program);
	}
	spelling_destroy(&key);
	return program;
}
