/* Where the parameters of an image lie: in the file's pages, or in a copy of them at the same place. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "model/image.h"

enum { PAGE_BYTES = 4096 };

/* Whole pages; the mapping goes on to the end of the last. */
static size_t
mapped_bytes(const struct image *image)
{
	return (image->bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

int
image_copy_out(const struct image *image)
{
	size_t bytes = mapped_bytes(image);
	void *copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copy == MAP_FAILED)
		return error_set(ERR_RESOURCE_EXHAUSTED, "image: no %zu bytes for a copy", bytes);
	/* Larger pages are fewer to lock; it goes without. */
	(void)madvise(copy, bytes, MADV_HUGEPAGE);
	memcpy(copy, image->data, image->bytes);
	/* Takes the place of the file's pages in one step. */
	if (mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, image->data) != MAP_FAILED)
		return 0;
	error_set_errno("image: a copy cannot take its place");
	munmap(copy, bytes);
	return -1;
}

int
image_put_back(const struct image *image)
{
	int fd = open(image->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno("%s", image->path);
	void *memory = mmap((void *)image->data, mapped_bytes(image), PROT_READ,
			    MAP_PRIVATE | MAP_FIXED, fd, (off_t)image->file_offset);
	int result = memory == MAP_FAILED ? error_set_errno("%s", image->path) : 0;
	close(fd);
	return result;
}

int
image_move_to(struct image *image, const char *path, uint64_t offset)
{
	image->path = path;
	image->file_offset = offset;
	if (image->bytes == 0 || image_put_back(image) == 0)
		return 0;
	image->path = NULL;
	return -1;
}
