#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "model/onnx_import.h"

enum {
	/* Bytes of a file that are in memory at once while it is hashed. */
	STRIDE = 8 << 20,
	/* A file that was changed so recently could be changed again without its times telling. */
	YOUNG_SECONDS = 2,
};

/* What tells one state of a file from another, as git and make have it. */
struct stamp {
	uint64_t device;
	uint64_t inode;
	uint64_t size;
	struct timespec modified;
	struct timespec changed;
};

static void
write_hash(XXH128_hash_t hash, char text[ONNX_HASH_BYTES])
{
	snprintf(text, ONNX_HASH_BYTES, "%016llx%016llx", (unsigned long long)hash.high64,
		 (unsigned long long)hash.low64);
}

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
	write_hash(XXH3_128bits_digest(state), hash);
	XXH3_freeState(state);
}

/* Path in folder (PATH_MAX bytes) of the note on files as they are now; -1 when no note may be made. */
static int
note_path(const struct onnx_files *files, const char *folder, char *path)
{
	char name[ONNX_HASH_BYTES];
	time_t now = time(NULL);
	XXH3_state_t *state = XXH3_createState();
	int result = 0;
	XXH3_128bits_reset(state);
	for (const struct onnx_mapping *file = files->mappings; file != NULL; file = file->older) {
		const struct stat *status = &file->status;
		struct stamp stamp = { status->st_dev, status->st_ino, (uint64_t)status->st_size,
				       status->st_mtim, status->st_ctim };
		XXH3_128bits_update(state, &stamp, sizeof(stamp));
		if (status->st_mtim.tv_sec + YOUNG_SECONDS >= now ||
		    status->st_ctim.tv_sec + YOUNG_SECONDS >= now)
			result = -1;
	}
	write_hash(XXH3_128bits_digest(state), name);
	XXH3_freeState(state);
	if (snprintf(path, PATH_MAX, "%s/%s.known", folder, name) >= PATH_MAX)
		return -1;
	return result;
}

bool
onnx_hash_find(const struct onnx_files *files, const char *folder, char hash[ONNX_HASH_BYTES])
{
	char path[PATH_MAX];
	if (note_path(files, folder, path) != 0)
		return false;
	ssize_t bytes = file_read_into(path, hash, ONNX_HASH_BYTES - 1);
	if (bytes != ONNX_HASH_BYTES - 1) {
		error_clear();
		return false;
	}
	hash[bytes] = '\0';
	return true;
}

void
onnx_hash_note(const struct onnx_files *files, const char *folder, const char *hash)
{
	char path[PATH_MAX];
	if (note_path(files, folder, path) == 0 && file_write(path, hash, strlen(hash)) != 0) {
		log_write(LOG_WARN, "a file's hash is not kept: %s", error_last()->message);
		error_clear();
	}
}
