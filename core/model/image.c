#include "model/image.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/file.h"
#include "model/narrow_image.h"
#include "model/pack.h"

enum {
	/* Of the file's layout and of what is packed how; goes up with every change of either. */
	IMAGE_VERSION = 3,
	/* The parameters' place in the file, so that they are mapped at a page. */
	DATA_ALIGNMENT = 4096,
	/* How far the kernel reads on while a group of an image on disk is copied. */
	READ_AHEAD_BYTES = 32 << 20,
};

static const char MAGIC[8] = "TIDEIMG";

/* The file: this, the groups, the pack's entries, zeros up to a page, the parameters. */
struct image_header {
	char magic[8];
	uint32_t version;
	uint32_t group_count;
	uint32_t entry_count;
	uint32_t reserved;
	struct image_key key;
	uint64_t data_offset;
	uint64_t data_bytes;
	/* XXH3 of header (this being 0), groups and entries. */
	uint64_t checksum;
};

/* The image with what it owns. */
struct mapped_image {
	struct image image;
	/* The whole mapping; the image's data lies in it. */
	void *mapping;
	size_t mapping_bytes;
	char *path;
	struct image_group *groups;
};

static size_t
round_to_page(size_t bytes)
{
	return (bytes + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
}

static uint64_t
checksum(const struct image_header *header, const struct image_group *groups,
	 const struct pack_entry *entries)
{
	struct image_header blank = *header;
	blank.checksum = 0;
	XXH3_state_t *state = XXH3_createState();
	if (state == NULL)
		return 0;
	XXH3_64bits_reset(state);
	XXH3_64bits_update(state, &blank, sizeof(blank));
	XXH3_64bits_update(state, groups, header->group_count * sizeof(groups[0]));
	XXH3_64bits_update(state, entries, header->entry_count * sizeof(entries[0]));
	uint64_t hash = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	return hash;
}

/* Advise the kernel on the pages that bytes `from` … `to` of the parameters touch. */
static int
advise(const struct image *image, uint64_t from, uint64_t to, int advice)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)image->data + from) & ~(page - 1);
	uintptr_t end = (uintptr_t)image->data + to;
	return madvise((void *)begin, end - begin, advice);
}

int
image_fetch(const struct image *image, uint32_t group, uint32_t end)
{
	const struct image_group *part = &image->groups[group];
	uint64_t ends = part->offset + part->bytes;
	uint64_t ahead = ends + READ_AHEAD_BYTES;
	uint64_t last = image->groups[end - 1].offset + image->groups[end - 1].bytes;
	if (image->path == NULL)
		return 0;
	if (ends < last)
		advise(image, ends, ahead < last ? ahead : last, MADV_WILLNEED);
	/* Reads the pages without touching them: a file that was cut short is an error, not a signal. Older kernels lack it. */
	if (advise(image, part->offset, ends, MADV_POPULATE_READ) == 0 || errno == EINVAL)
		return 0;
	return error_set(ERR_DATA_LOSS, "%s: group %u cannot be read: %s", image->path, group,
			 strerror(errno));
}

const struct image *
image_on_host(const struct image *image)
{
	return image->narrow != NULL ? &image->narrow->image : image;
}

uint64_t
image_bytes_of(const struct image *image, uint32_t first, uint32_t end)
{
	if (first >= end)
		return 0;
	const struct image_group *last = &image->groups[end - 1];
	return last->offset + last->bytes - image->groups[first].offset;
}

void
image_delete(struct image *image)
{
	struct mapped_image *mapped = (struct mapped_image *)image;
	if (mapped == NULL)
		return;
	if (mapped->mapping != NULL)
		munmap(mapped->mapping, mapped->mapping_bytes);
	free(mapped->path);
	free(mapped->groups);
	free(mapped);
}

/* An image of so many groups whose mapping is yet to come. */
static struct mapped_image *
new_image(const char *path, const struct image_group *groups, uint32_t group_count)
{
	struct mapped_image *mapped = calloc(1, sizeof(*mapped));
	if (mapped == NULL)
		goto fail;
	mapped->path = path != NULL ? strdup(path) : NULL;
	mapped->groups = calloc(group_count + 1, sizeof(groups[0]));
	if ((path != NULL && mapped->path == NULL) || mapped->groups == NULL)
		goto fail;
	if (group_count != 0)
		memcpy(mapped->groups, groups, group_count * sizeof(groups[0]));
	mapped->image = (struct image){ .group_count = group_count,
					.groups = mapped->groups,
					.path = mapped->path };
	return mapped;
fail:
	error_set(ERR_RESOURCE_EXHAUSTED, "image: no memory");
	image_delete(mapped != NULL ? &mapped->image : NULL);
	return NULL;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static struct image_header
header_of(const struct pack *pack, const struct image_key *key)
{
	struct image_header header = {
		.version = IMAGE_VERSION,
		.group_count = pack->group_count,
		.entry_count = pack->count,
		.key = *key,
		.data_bytes = pack_bytes(pack),
	};
	memcpy(header.magic, MAGIC, sizeof(MAGIC));
	header.data_offset =
		round_to_page(sizeof(header) + pack->group_count * sizeof(pack->groups[0]) +
			      pack->count * sizeof(pack->entries[0]));
	header.checksum = checksum(&header, pack->groups, pack->entries);
	return header;
}

static int
write_file(const struct image *image, const struct pack *pack, const struct image_key *key,
	   const char *path, uint64_t *data_offset)
{
	static const char zeros[DATA_ALIGNMENT];
	struct image_header header = header_of(pack, key);
	size_t groups = pack->group_count * sizeof(pack->groups[0]);
	size_t entries = pack->count * sizeof(pack->entries[0]);
	const struct file_part parts[] = {
		{ &header, sizeof(header) },
		{ pack->groups, groups },
		{ pack->entries, entries },
		{ zeros, header.data_offset - sizeof(header) - groups - entries },
		{ image->data, image->bytes },
	};
	*data_offset = header.data_offset;
	return file_write_parts(path, parts, sizeof(parts) / sizeof(parts[0]));
}

int
image_keep(struct image *image, const struct pack *pack, const struct image_key *key,
	   const char *path)
{
	struct mapped_image *mapped = (struct mapped_image *)image;
	uint64_t data_offset;
	assert(image->path == NULL && pack->closed);
	if (write_file(image, pack, key, path, &data_offset) != 0)
		return -1;
	mapped->path = strdup(path);
	if (mapped->path == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "image: no memory");
	return image_move_to(image, mapped->path, data_offset);
}

struct image *
image_build(struct pack *pack)
{
	struct mapped_image *mapped = new_image(NULL, pack->groups, pack->group_count);
	if (mapped == NULL)
		return NULL;
	mapped->image.bytes = pack_bytes(pack);
	mapped->mapping = pack_close(pack, &mapped->mapping_bytes);
	mapped->image.data = mapped->mapping;
	return &mapped->image;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static int
damaged(const char *path, const char *what)
{
	return error_set(ERR_DATA_LOSS, "%s: %s", path, what);
}

/* Header, sizes and checksum of the size bytes at file. */
static int
check_header(const struct image_header *header, size_t size, const struct image_key *key,
	     const char *path)
{
	if (size < sizeof(*header) || memcmp(header->magic, MAGIC, sizeof(MAGIC)) != 0)
		return damaged(path, "not an image");
	if (header->version != IMAGE_VERSION || memcmp(&header->key, key, sizeof(*key)) != 0)
		return damaged(path, "an image of something else");
	uint64_t tables = sizeof(*header) +
			  header->group_count * (uint64_t)sizeof(struct image_group) +
			  header->entry_count * (uint64_t)sizeof(struct pack_entry);
	if (header->data_offset < tables || header->data_offset % DATA_ALIGNMENT != 0 ||
	    header->data_offset > size || header->data_bytes != size - header->data_offset)
		return damaged(path, "cut short");
	const struct image_group *groups = (const void *)(header + 1);
	const struct pack_entry *entries = (const void *)(groups + header->group_count);
	if (checksum(header, groups, entries) != header->checksum)
		return damaged(path, "damaged");
	return 0;
}

/* Do groups follow each other, and entries lie within them and name constants? */
static bool
is_consistent(const struct image_header *header, const struct pack *pack)
{
	const struct image_group *groups = (const void *)(header + 1);
	const struct pack_entry *entries = (const void *)(groups + header->group_count);
	uint64_t end = 0;
	for (uint32_t i = 0; i < header->group_count; i++) {
		if (groups[i].offset != end || groups[i].bytes > header->data_bytes - end)
			return false;
		end += groups[i].bytes;
	}
	for (uint32_t i = 0; i < header->entry_count; i++) {
		const struct pack_entry *entry = &entries[i];
		if (entry->group >= header->group_count ||
		    entry->value >= pack->graph->value_count ||
		    pack->graph->values[entry->value].constant == NULL ||
		    entry->descriptor_bytes > PACK_DESCRIPTOR_BYTES ||
		    entry->offset > groups[entry->group].bytes ||
		    entry->bytes > groups[entry->group].bytes - entry->offset)
			return false;
	}
	return end == header->data_bytes;
}

/* Copies of the file's tables, for pack. */
static int
read_tables(struct pack *pack, const struct image_header *header)
{
	const struct image_group *groups = (const void *)(header + 1);
	const struct pack_entry *entries = (const void *)(groups + header->group_count);
	pack->groups = malloc((header->group_count + 1) * sizeof(groups[0]));
	pack->entries = malloc((header->entry_count + 1) * sizeof(entries[0]));
	if (pack->groups == NULL || pack->entries == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "image: no memory");
	memcpy(pack->groups, groups, header->group_count * sizeof(groups[0]));
	memcpy(pack->entries, entries, header->entry_count * sizeof(entries[0]));
	pack->group_count = header->group_count;
	pack->count = header->entry_count;
	pack->closed = true;
	return 0;
}

struct image *
image_open(struct pack *pack, const struct image_key *key, const char *path)
{
	size_t size;
	const struct image_header *header = file_map(path, &size);
	if (header == NULL)
		return NULL;
	struct mapped_image *mapped = NULL;
	if (check_header(header, size, key, path) != 0)
		goto fail;
	if (!is_consistent(header, pack)) {
		damaged(path, "inconsistent");
		goto fail;
	}
	mapped = new_image(path, (const void *)(header + 1), header->group_count);
	if (mapped == NULL || read_tables(pack, header) != 0)
		goto fail;
	mapped->mapping = (void *)header;
	mapped->mapping_bytes = size;
	mapped->image.data = (const unsigned char *)header + header->data_offset;
	mapped->image.bytes = header->data_bytes;
	mapped->image.file_offset = header->data_offset;
	return &mapped->image;
fail:
	image_delete(mapped != NULL ? &mapped->image : NULL);
	munmap((void *)header, size);
	return NULL;
}

/* Cut bytes into groups of group_bytes. */
static struct image_group *
cut_groups(uint64_t bytes, uint64_t group_bytes, uint32_t count)
{
	struct image_group *groups = calloc(count, sizeof(*groups));
	for (uint32_t i = 0; i < count && groups != NULL; i++) {
		uint64_t left = bytes - i * group_bytes;
		groups[i] = (struct image_group){ i * group_bytes,
						  left < group_bytes ? left : group_bytes };
	}
	return groups;
}

struct image *
image_hollow(uint64_t bytes, uint64_t group_bytes)
{
	struct mapped_image *mapped = NULL;
	if (bytes == 0 || group_bytes == 0) {
		error_set(ERR_INVALID_ARGUMENT, "image of %llu bytes in groups of %llu",
			  (unsigned long long)bytes, (unsigned long long)group_bytes);
		return NULL;
	}
	uint32_t count = (uint32_t)((bytes + group_bytes - 1) / group_bytes);
	struct image_group *groups = cut_groups(bytes, group_bytes, count);
	if (groups == NULL)
		error_set(ERR_RESOURCE_EXHAUSTED, "image: no memory");
	else
		mapped = new_image(NULL, groups, count);
	free(groups);
	if (mapped == NULL)
		return NULL;
	mapped->image.bytes = bytes;
	mapped->mapping_bytes = round_to_page(bytes);
	void *memory = mmap(NULL, mapped->mapping_bytes, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		error_set_errno("image of %zu bytes", mapped->mapping_bytes);
		image_delete(&mapped->image);
		return NULL;
	}
	mapped->mapping = memory;
	mapped->image.data = memory;
	return &mapped->image;
}
