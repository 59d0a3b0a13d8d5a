#include "model/operation.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "exec/operator.h"
#include "exec/program.h"
#include "model/compile.h"
#include "model/onnx.h"
#include "model/pack.h"

enum {
	/* Programs kept; the least recently used goes first. */
	CACHE_ENTRIES = 256,
	/* What hashes, so that equal operations hash alike: the operation spelled out. */
	FIRST_KEY_BYTES = 256,
};

/* An operation spelled out as bytes: equal for operations that are. */
struct key {
	size_t bytes;
	size_t room;
	unsigned char *data;
	bool failed;
};

struct entry {
	uint64_t hash;
	struct key key;
	struct program *program;
};

/* The most recently used first. */
static struct {
	pthread_mutex_t lock;
	uint32_t count;
	struct entry entries[CACHE_ENTRIES];
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- keys --------------------------------------------------------------------------------------------------------- */

static void
key_put(struct key *key, const void *data, size_t bytes)
{
	if (key->bytes + bytes > key->room) {
		size_t room = 2 * (key->bytes + bytes) + FIRST_KEY_BYTES;
		unsigned char *larger = realloc(key->data, room);
		if (larger == NULL) {
			key->failed = true;
			return;
		}
		key->data = larger;
		key->room = room;
	}
	if (bytes != 0)
		memcpy(key->data + key->bytes, data, bytes);
	key->bytes += bytes;
}

static void
key_put_number(struct key *key, uint64_t number)
{
	key_put(key, &number, sizeof(number));
}

static void
key_put_text(struct key *key, const char *text)
{
	key_put(key, text, strlen(text) + 1);
}

static void
key_put_type(struct key *key, const struct tensor_type *type)
{
	key_put_number(key, type->data_type);
	key_put_number(key, type->rank);
	key_put(key, type->dims, type->rank * sizeof(type->dims[0]));
}

static void
key_put_constant(struct key *key, const struct constant *constant)
{
	key_put_number(key, constant != NULL);
	if (constant == NULL)
		return;
	key_put_type(key, &constant->type);
	key_put(key, constant->data, tensor_bytes(&constant->type));
}

static void
key_put_attribute(struct key *key, const struct attribute *attribute)
{
	key_put_text(key, attribute->name);
	key_put_number(key, attribute->kind);
	key_put_number(key, attribute->count);
	switch (attribute->kind) {
	case ATTRIBUTE_INT:
		key_put(key, &attribute->as.i, sizeof(attribute->as.i));
		break;
	case ATTRIBUTE_FLOAT:
		key_put(key, &attribute->as.f, sizeof(attribute->as.f));
		break;
	case ATTRIBUTE_STRING:
		key_put_text(key, attribute->as.s);
		break;
	case ATTRIBUTE_INTS:
		key_put(key, attribute->as.ints, attribute->count * sizeof(int64_t));
		break;
	case ATTRIBUTE_FLOATS:
		key_put(key, attribute->as.floats, attribute->count * sizeof(float));
		break;
	case ATTRIBUTE_STRINGS:
		for (uint32_t i = 0; i < attribute->count; i++)
			key_put_text(key, attribute->as.strings[i]);
		break;
	case ATTRIBUTE_TENSOR:
		key_put_constant(key, attribute->as.tensor);
		break;
	default:
		/* Bodies: never equal. */
		key_put(key, &attribute, sizeof(attribute));
		break;
	}
}

static int
key_create(struct key *key, const struct operation *operation)
{
	*key = (struct key){ 0 };
	key_put_text(key, operation->op_type);
	key_put_number(key, operation->kind);
	key_put_number(key, operation->output_count);
	for (uint32_t i = 0; i < operation->attribute_count; i++)
		key_put_attribute(key, &operation->attributes[i]);
	for (uint32_t i = 0; i < operation->input_count; i++) {
		key_put_type(key, &operation->inputs[i]);
		key_put_constant(key,
				 operation->constants != NULL ? operation->constants[i] : NULL);
	}
	if (!key->failed)
		return 0;
	free(key->data);
	return error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory", operation->op_type);
}

/* --- cache -------------------------------------------------------------------------------------------------------- */

/* Under the lock: the entry with that key, moved to the front; NULL when there is none. */
static struct entry *
find_entry(const struct key *key, uint64_t hash)
{
	for (uint32_t i = 0; i < cache.count; i++) {
		struct entry found = cache.entries[i];
		if (found.hash != hash || found.key.bytes != key->bytes ||
		    memcmp(found.key.data, key->data, key->bytes) != 0)
			continue;
		memmove(cache.entries + 1, cache.entries, i * sizeof(found));
		cache.entries[0] = found;
		return &cache.entries[0];
	}
	return NULL;
}

static struct program *
find(const struct key *key)
{
	uint64_t hash = XXH3_64bits(key->data, key->bytes);
	pthread_mutex_lock(&cache.lock);
	struct entry *entry = find_entry(key, hash);
	struct program *program = entry != NULL ? program_ref(entry->program) : NULL;
	pthread_mutex_unlock(&cache.lock);
	return program;
}

/* Keep a program of the caller's; takes the key over. Returns the program that is kept, which another thread may have made. */
static struct program *
add(struct key *key, struct program *program)
{
	struct entry entry = { XXH3_64bits(key->data, key->bytes), *key, program_ref(program) };
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
	free(gone.key.data);
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
	struct key key;
	if (key_create(&key, operation) != 0)
		return NULL;
	struct program *program = find(&key);
	free(key.data);
	return program;
}

struct program *
operation_compile(const struct operation *operation, const struct model_options *options)
{
	struct key key;
	unsigned threads = options->threads != 0 ? options->threads : 1;
	if (key_create(&key, operation) != 0)
		return NULL;
	struct program *program = find(&key);
	if (program == NULL) {
		program = compile_operation(operation, threads);
		if (program != NULL)
			return add(&key, program);
	}
	free(key.data);
	return program;
}
