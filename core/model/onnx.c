#include "model/onnx.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "model/onnx_import.h"

int
onnx_check_name(const char *name, const char *what)
{
	for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++) {
		if (*at < 0x20 || *at == 0x7f)
			return error_set(ERR_INVALID_ARGUMENT,
					 "%s: its name has a control character (byte %02x)", what,
					 *at);
	}
	return 0;
}

const char *
onnx_domain(const char *domain)
{
	return strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

int64_t
onnx_opset_version(size_t count, Onnx__OperatorSetId *const *imports, const char *domain)
{
	for (size_t i = 0; i < count; i++) {
		const char *own = imports[i]->domain != NULL ? imports[i]->domain : "";
		if (strcmp(onnx_domain(own), onnx_domain(domain)) == 0)
			return imports[i]->version;
	}
	return 0;
}

static int
check_opset(const Onnx__OperatorSetId *import)
{
	const char *domain = onnx_domain(import->domain != NULL ? import->domain : "");
	if (onnx_check_name(domain, "opset_import") != 0)
		return -1;
	if (import->version < 1 || import->version > INT32_MAX)
		return error_set(ERR_INVALID_ARGUMENT,
				 "opset_import: version %" PRId64 " of domain '%s'",
				 import->version, domain);
	if (domain[0] == '\0' && import->version > ONNX_OPSET_MAX)
		return error_set(ERR_UNIMPLEMENTED,
				 "opset_import: opset %" PRId64 " is newer than %d, the newest "
				 "that is supported",
				 import->version, ONNX_OPSET_MAX);
	return 0;
}

int
onnx_check_opsets(size_t count, Onnx__OperatorSetId *const *imports)
{
	if (count > ONNX_IMPORTS_MAX)
		return error_set(ERR_UNIMPLEMENTED,
				 "opset_import: %zu entries; at most %d are supported", count,
				 ONNX_IMPORTS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (check_opset(imports[i]) != 0)
			return -1;
	}
	return 0;
}

static int
check_model(const Onnx__Model *model)
{
	if (!model->has_ir_version || model->ir_version < 1)
		return error_set(ERR_INVALID_ARGUMENT, "ir_version is missing");
	if (model->ir_version < ONNX_IR_VERSION_MIN || model->ir_version > ONNX_IR_VERSION_MAX)
		return error_set(ERR_UNIMPLEMENTED,
				 "ir_version %" PRId64 "; %d to %d are supported",
				 model->ir_version, ONNX_IR_VERSION_MIN, ONNX_IR_VERSION_MAX);
	if (model->graph == NULL)
		return error_set(ERR_INVALID_ARGUMENT, "graph is missing");
	if (model->n_opset_import == 0)
		return error_set(ERR_INVALID_ARGUMENT, "opset_import is missing");
	return onnx_check_opsets(model->n_opset_import, model->opset_import);
}

/* Decode and check the model in files. */
static struct graph *
import_files(struct onnx_files *files, struct arena *arena, struct arena *scratch)
{
	size_t size;
	unsigned char *skeleton =
		onnx_skeleton(files->data, files->size, ONNX_MESSAGE_MODEL, scratch, &size);
	if (skeleton == NULL)
		return NULL;
	ProtobufCAllocator allocator = onnx_allocator(scratch);
	error_clear();
	Onnx__Model *model = onnx__model__unpack(&allocator, size, skeleton);
	if (model == NULL) {
		/* Unless it was the allocator that gave up. */
		if (error_last()->code == ERR_OK)
			error_set(ERR_INVALID_ARGUMENT,
				  "not an ONNX file: a field is of the wrong type");
		return NULL;
	}
	struct onnx_import import = {
		.files = files, .model = model, .arena = arena, .scratch = scratch
	};
	if (check_model(model) != 0 || onnx_functions_index(&import) != 0)
		return NULL;
	return onnx_graph_build(&import, model->graph, NULL, NULL);
}

struct graph *
onnx_import_bytes(const void *data, size_t size, struct onnx_files *files, struct arena *arena)
{
	struct arena scratch;
	*files = (struct onnx_files){ .data = data, .size = size };
	arena_create(&scratch, 0);
	struct graph *graph = import_files(files, arena, &scratch);
	arena_destroy(&scratch);
	return graph;
}

struct graph *
onnx_import(const char *path, struct onnx_files *files, struct arena *arena)
{
	struct arena scratch;
	if (onnx_files_open(files, path) != 0)
		return NULL;
	arena_create(&scratch, 0);
	struct graph *graph = import_files(files, arena, &scratch);
	arena_destroy(&scratch);
	if (graph == NULL)
		error_wrap("%s", path);
	return graph;
}
