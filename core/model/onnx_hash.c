#include "model/known.h"
#include "model/onnx_import.h"

enum {
	/* Bytes of a file that are in memory at once while it is hashed. */
	STRIDE = 8 << 20,
};

static_assert((int)ONNX_HASH_BYTES == (int)KNOWN_HASH_BYTES, "hashes are written alike");

static void
hash_mapping(XXH3_state_t *state, const struct onnx_files *files, const struct onnx_mapping *file)
{
	for (size_t at = 0; at < file->size; at += STRIDE) {
		size_t bytes = file->size - at < STRIDE ? file->size - at : STRIDE;
		XXH3_128bits_update(state, file->data + at, bytes);
		onnx_drop(files, file->data + at, bytes);
	}
}

void
onnx_hash(const struct onnx_files *files, char hash[ONNX_HASH_BYTES])
{
	XXH3_state_t *state = XXH3_createState();
	XXH3_128bits_reset(state);
	for (const struct onnx_mapping *file = files->mappings; file != NULL; file = file->older)
		hash_mapping(state, files, file);
	known_format(XXH3_128bits_digest(state), hash);
	XXH3_freeState(state);
}

static struct known
stamp_of(const struct onnx_files *files)
{
	struct known known = { 0 };
	for (const struct onnx_mapping *file = files->mappings; file != NULL; file = file->older)
		known_add(&known, &file->status);
	return known;
}

bool
onnx_hash_find(const struct onnx_files *files, const char *folder, char hash[ONNX_HASH_BYTES])
{
	struct known known = stamp_of(files);
	return known_find(&known, folder, hash);
}

void
onnx_hash_note(const struct onnx_files *files, const char *folder, const char *hash)
{
	struct known known = stamp_of(files);
	const struct onnx_mapping *file = files->mappings;
	while (file != NULL && file->older != NULL)
		file = file->older;
	if (file != NULL)
		known_note(&known, folder, file->path, hash);
}
