#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "model/onnx_import.h"

static int
map_descriptor(int fd, const char *path, struct onnx_mapping *mapping)
{
	if (fstat(fd, &mapping->status) != 0)
		return error_set_errno("%s", path);
	if (!S_ISREG(mapping->status.st_mode))
		return error_set(ERR_INVALID_ARGUMENT, "%s: not a regular file", path);
	mapping->size = (size_t)mapping->status.st_size;
	if (mapping->size == 0)
		return 0;
	mapping->data = mmap(NULL, mapping->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapping->data == MAP_FAILED)
		return error_set_errno("%s", path);
	return 0;
}

static struct onnx_mapping *
map_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		error_set_errno("%s", path);
		return NULL;
	}
	struct onnx_mapping *mapping = calloc(1, sizeof(*mapping));
	char *copy = strdup(path);
	if (mapping == NULL || copy == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory", path);
		goto fail;
	}
	if (map_descriptor(fd, path, mapping) != 0)
		goto fail;
	mapping->path = copy;
	close(fd);
	return mapping;
fail:
	free(copy);
	free(mapping);
	close(fd);
	return NULL;
}

/* The folder part of path, ending in /; in malloc'ed memory. */
static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup("./");
	if (folder == NULL)
		error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory", path);
	return folder;
}

int
onnx_files_open(struct onnx_files *files, const char *path)
{
	*files = (struct onnx_files){ .folder = folder_of(path) };
	if (files->folder == NULL)
		return -1;
	files->mappings = map_file(path);
	if (files->mappings == NULL)
		return -1;
	files->data = files->mappings->data;
	files->size = files->mappings->size;
	return 0;
}

void
onnx_files_destroy(struct onnx_files *files)
{
	struct onnx_mapping *mapping = files->mappings;
	while (mapping != NULL) {
		struct onnx_mapping *older = mapping->older;
		if (mapping->data != NULL)
			munmap(mapping->data, mapping->size);
		free(mapping->path);
		free(mapping);
		mapping = older;
	}
	free(files->folder);
	*files = (struct onnx_files){ 0 };
}

/* The real path of location, which must lie below folder whatever links lead there; malloc'ed. */
static char *
resolve_below(const char *folder, const char *location)
{
	char *joined = NULL;
	char *real = NULL;
	char *root = realpath(folder, NULL);
	if (root == NULL || asprintf(&joined, "%s%s", folder, location) < 0) {
		error_set_errno("%s", folder);
		goto out;
	}
	real = realpath(joined, NULL);
	if (real == NULL) {
		error_set_errno("%s", joined);
		goto out;
	}
	size_t length = strlen(root);
	if (strncmp(real, root, length) != 0 || (length > 1 && real[length] != '/')) {
		error_set(ERR_INVALID_ARGUMENT, "location '%s' leads out of the model's folder",
			  location);
		free(real);
		real = NULL;
	}
out:
	free(joined);
	free(root);
	return real;
}

int
onnx_files_external(struct onnx_files *files, const char *location, const unsigned char **data,
		    size_t *size)
{
	if (files == NULL || files->folder == NULL)
		return error_set(ERR_INVALID_ARGUMENT,
				 "data is in another file, which only a model read from a file "
				 "may have");
	if (location[0] == '\0' || location[0] == '/')
		return error_set(ERR_INVALID_ARGUMENT, "location '%s' is not a relative path",
				 location);
	char *path = resolve_below(files->folder, location);
	if (path == NULL)
		return -1;
	struct onnx_mapping *mapping = files->mappings;
	while (mapping != NULL && strcmp(mapping->path, path) != 0)
		mapping = mapping->older;
	if (mapping == NULL) {
		mapping = map_file(path);
		if (mapping == NULL) {
			free(path);
			return -1;
		}
		mapping->older = files->mappings;
		files->mappings = mapping;
	}
	free(path);
	*data = mapping->data;
	*size = mapping->size;
	return 0;
}

/* Tell the kernel that the whole pages within size bytes at data are not needed. */
static void
drop_pages(const void *data, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = ((uintptr_t)data + page - 1) & ~(page - 1);
	uintptr_t end = ((uintptr_t)data + size) & ~(page - 1);
	if (first < end)
		madvise((void *)first, end - first, MADV_DONTNEED);
}

bool
onnx_files_hold(const struct onnx_files *files, const void *data)
{
	for (const struct onnx_mapping *at = files->mappings; at != NULL; at = at->older)
		if ((const unsigned char *)data >= at->data &&
		    (const unsigned char *)data < at->data + at->size)
			return true;
	return false;
}

void
onnx_drop(const struct onnx_files *files, const void *data, size_t size)
{
	if (onnx_files_hold(files, data))
		drop_pages(data, size);
}

void
onnx_release(const struct onnx_files *files, const struct constant *constant)
{
	onnx_drop(files, constant->data, tensor_bytes(&constant->type));
}
