/*
 * Import of ONNX files into graphs. Files are from outside: every field is checked, nothing crashes or grows beyond a
 * small multiple of the file. One thread at a time an import.
 *
 * Errors: INVALID_ARGUMENT naming the node or tensor and the field at fault; UNIMPLEMENTED naming what is sound ONNX but
 * not supported (element types, sequences, sparse tensors, newer versions); NOT_FOUND for files that are not there;
 * RESOURCE_EXHAUSTED for want of memory. That operators exist is for the compiler to check.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "exec/graph.h"

enum {
	/* What model files may declare. */
	ONNX_IR_VERSION_MIN = 3,
	ONNX_IR_VERSION_MAX = 13,
	ONNX_OPSET_MAX = 24,
	/* A content hash as text: 16 bytes in hex, and a NUL. */
	ONNX_HASH_BYTES = 33,
};

struct onnx_mapping;

/* The files behind an import. Constants' data may lie in them: keep it for as long as the graph is read. */
struct onnx_files {
	/* The model file: mapped, or the caller's bytes. */
	const unsigned char *data;
	size_t size;
	/* Folder that external data is looked for in, ending in /; NULL: external data is refused. */
	char *folder;
	/* Mapped files, the newest first. */
	struct onnx_mapping *mappings;
};

/*
 * Map the file at path and import it. The graph lives in arena. files is filled in (also on error) and must be given to
 * onnx_files_destroy after the graph's last use. NULL with the error set. May block.
 */
struct graph *
onnx_import(const char *path, struct onnx_files *files, struct arena *arena);

/* As onnx_import, from size bytes at data, which stay in place. External data is refused. */
struct graph *
onnx_import_bytes(const void *data, size_t size, struct onnx_files *files, struct arena *arena);

/* Unmap the files. */
void
onnx_files_destroy(struct onnx_files *files);

/*
 * Let go of the pages of the model's files that hold size bytes at data, or a constant's: they are read again when they are
 * asked for. For whoever has copied them, so that an import never holds a model twice. Does nothing for what was imported
 * from the caller's bytes, and for constants that lie elsewhere.
 */
void
onnx_drop(const struct onnx_files *files, const void *data, size_t size);
void
onnx_release(const struct onnx_files *files, const struct constant *constant);

/* Content hash of the model's files (XXH3). Reads them whole. */
void
onnx_hash(const struct onnx_files *files, char hash[ONNX_HASH_BYTES]);

/* The hash that folder has a note of (known.h); and make one. */
bool
onnx_hash_find(const struct onnx_files *files, const char *folder, char hash[ONNX_HASH_BYTES]);
void
onnx_hash_note(const struct onnx_files *files, const char *folder, const char *hash);

/* One serialized tensor (TensorProto, the .pb files of ONNX's test data); data is in arena. name may be NULL. */
int
onnx_read_tensor(const void *data, size_t size, struct arena *arena, struct constant *tensor,
		 const char **name) __attribute__((warn_unused_result));
