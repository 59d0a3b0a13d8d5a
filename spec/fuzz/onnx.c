/* The ONNX importer: any bytes give a graph whose indices all hold, or an error. */
#include <stdlib.h>

#include "base/error.h"
#include "model/onnx.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_indices(const int32_t *indices, uint32_t count, int32_t low, const struct graph *graph)
{
	for (uint32_t i = 0; i < count; i++) {
		if (indices[i] < low || indices[i] >= (int32_t)graph->value_count)
			abort();
	}
}

/* Read every byte of the data, so that the sanitizer sees where it ends. */
static void
check_constant(const struct constant *constant)
{
	size_t bytes = tensor_bytes(&constant->type);
	for (size_t i = 0; i < bytes; i++)
		(void)((const volatile unsigned char *)constant->data)[i];
}

static void
check_graph(const struct graph *graph)
{
	check_indices(graph->inputs, graph->input_count, 0, graph);
	check_indices(graph->outputs, graph->output_count, 0, graph);
	for (uint32_t i = 0; i < graph->value_count; i++) {
		if (graph->values[i].constant != NULL)
			check_constant(graph->values[i].constant);
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		check_indices(node->inputs, node->input_count, -1, graph);
		check_indices(node->outputs, node->output_count, -1, graph);
		for (uint32_t k = 0; k < node->attribute_count; k++) {
			if (node->attributes[k].kind == ATTRIBUTE_GRAPH)
				check_graph(node->attributes[k].as.graph);
			if (node->attributes[k].kind == ATTRIBUTE_TENSOR)
				check_constant(node->attributes[k].as.tensor);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct onnx_files files;
	struct arena arena;
	arena_create(&arena, 0);
	error_clear();
	struct graph *graph = onnx_import_bytes(data, size, &files, &arena);
	if (graph != NULL)
		check_graph(graph);
	else if (error_last()->code == ERR_OK)
		abort();
	onnx_files_destroy(&files);
	arena_destroy(&arena);
	return 0;
}
