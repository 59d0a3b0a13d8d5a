#include "model/narrow_image.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/file.h"
#include "model/pack.h"

enum {
	NARROW_VERSION = 1,
	/* Of every part in host memory, and of the parameters in the file. */
	PART_ALIGNMENT = 64,
	DATA_ALIGNMENT = 4096,
	/* Parameters of fewer bytes stay as they are. */
	LEAST_BYTES = 16 << 10,
};

static const char MAGIC[8] = "TIDENAR";

/* The file: this, the groups, first_parts, the parts, zeros up to a page, the parameters. */
struct narrow_header {
	char magic[8];
	uint32_t version;
	uint32_t form;
	uint32_t group_count;
	uint32_t part_count;
	struct image_key key;
	/* Of the packed image, which the parts cover. */
	uint64_t wide_bytes;
	uint64_t data_offset;
	uint64_t data_bytes;
	double error;
	double worst_error;
	/* XXH3 of the header (this being 0) and the tables. */
	uint64_t checksum;
};

/* With what it owns. */
struct mapped_narrow {
	struct narrow_image narrow;
	char *path;
	/* The file's bytes, mapped or in anonymous memory. */
	void *mapping;
	size_t mapping_bytes;
};

static uint64_t
round_up(uint64_t bytes, uint64_t to)
{
	return (bytes + to - 1) / to * to;
}

void
narrow_image_delete(struct narrow_image *narrow)
{
	struct mapped_narrow *mapped = (struct mapped_narrow *)narrow;
	if (mapped == NULL)
		return;
	if (mapped->mapping != NULL)
		munmap(mapped->mapping, mapped->mapping_bytes);
	free(mapped->path);
	free(mapped);
}

/* --- layout ------------------------------------------------------------------------------------------------------- */

/* The tables that a narrow image begins with, growing. */
struct layout {
	const struct image *wide;
	const struct pack *pack;
	enum narrow_form form;
	struct image_group *groups;
	uint32_t *first_parts;
	struct narrow_part *parts;
	uint32_t part_count;
	uint64_t data_bytes;
	struct narrow_error error;
	double worst_error;
};

static bool
is_finite(const float *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!isfinite(values[i]))
			return false;
	return true;
}

/* The form of an entry: a packed float parameter is floats, however they are ordered. */
static enum narrow_form
form_of(const struct layout *layout, const struct pack_entry *entry)
{
	const struct constant *constant = layout->pack->graph->values[entry->value].constant;
	const struct image_group *group = &layout->wide->groups[entry->group];
	if (constant->type.data_type != DATA_TYPE_FLOAT || entry->bytes % sizeof(float) != 0 ||
	    entry->bytes < LEAST_BYTES)
		return NARROW_FP32;
	const void *values = layout->wide->data + group->offset + entry->offset;
	return is_finite(values, entry->bytes / sizeof(float)) ? layout->form : NARROW_FP32;
}

static uint64_t
host_bytes(const struct narrow_part *part)
{
	if (part->form == NARROW_FP32)
		return part->bytes;
	return narrow_bytes(part->form, part->bytes / sizeof(float));
}

/* Append a part to the group; one that follows another that stays as it is becomes part of that. */
static void
add_part(struct layout *layout, uint32_t group, uint64_t offset, uint64_t bytes,
	 enum narrow_form form)
{
	struct image_group *host = &layout->groups[group];
	struct narrow_part *last = layout->part_count > layout->first_parts[group]
					   ? &layout->parts[layout->part_count - 1]
					   : NULL;
	if (bytes == 0)
		return;
	if (form == NARROW_FP32 && last != NULL && last->form == NARROW_FP32) {
		last->bytes += bytes;
		host->bytes = round_up(last->host_offset + last->bytes, PART_ALIGNMENT);
		return;
	}
	struct narrow_part *part = &layout->parts[layout->part_count++];
	*part = (struct narrow_part){
		.offset = offset, .bytes = bytes, .host_offset = host->bytes, .form = form
	};
	host->bytes = round_up(part->host_offset + host_bytes(part), PART_ALIGNMENT);
}

/* Entries of a group follow each other in the pack, by offset. */
static void
lay_out_group(struct layout *layout, uint32_t group, uint32_t *entry)
{
	const struct pack *pack = layout->pack;
	uint64_t at = 0;
	layout->first_parts[group] = layout->part_count;
	layout->groups[group].offset = layout->data_bytes;
	for (; *entry < pack->count && pack->entries[*entry].group == group; ++*entry) {
		const struct pack_entry *next = &pack->entries[*entry];
		assert(next->offset >= at);
		/* The padding between two parameters. */
		add_part(layout, group, at, next->offset - at, NARROW_FP32);
		add_part(layout, group, next->offset, next->bytes, form_of(layout, next));
		at = next->offset + next->bytes;
	}
	add_part(layout, group, at, layout->wide->groups[group].bytes - at, NARROW_FP32);
	layout->data_bytes =
		round_up(layout->data_bytes + layout->groups[group].bytes, PART_ALIGNMENT);
}

static void
free_layout(struct layout *layout)
{
	free(layout->groups);
	free(layout->first_parts);
	free(layout->parts);
}

static int
lay_out(struct layout *layout)
{
	uint32_t count = layout->wide->group_count, entry = 0;
	layout->groups = calloc(count + 1, sizeof(layout->groups[0]));
	layout->first_parts = calloc(count + 1, sizeof(layout->first_parts[0]));
	/* A parameter and the padding before it, and the rest of each group. */
	layout->parts =
		calloc(2 * (size_t)layout->pack->count + count + 1, sizeof(layout->parts[0]));
	if (layout->groups == NULL || layout->first_parts == NULL || layout->parts == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "narrow image: no memory");
	for (uint32_t group = 0; group < count; group++)
		lay_out_group(layout, group, &entry);
	layout->first_parts[count] = layout->part_count;
	return 0;
}

/* --- making ------------------------------------------------------------------------------------------------------- */

static void
fill_part(struct layout *layout, const struct narrow_part *part, const unsigned char *from,
	  unsigned char *to)
{
	if (part->form == NARROW_FP32) {
		memcpy(to + part->host_offset, from + part->offset, part->bytes);
		return;
	}
	struct narrow_error error = { 0 };
	narrow_pack(part->form, to + part->host_offset, (const float *)(from + part->offset),
		    part->bytes / sizeof(float), &error);
	layout->error.values += error.values;
	layout->error.moved += error.moved;
	layout->worst_error = fmax(layout->worst_error, narrow_relative_error(&error));
}

static void
fill(struct layout *layout, unsigned char *data)
{
	for (uint32_t group = 0; group < layout->wide->group_count; group++)
		for (uint32_t i = layout->first_parts[group]; i < layout->first_parts[group + 1];
		     i++)
			fill_part(layout, &layout->parts[i],
				  layout->wide->data + layout->wide->groups[group].offset,
				  data + layout->groups[group].offset);
}

static uint64_t
tables_bytes(const struct narrow_header *header)
{
	return header->group_count * (uint64_t)sizeof(struct image_group) +
	       round_up((header->group_count + 1) * (uint64_t)sizeof(uint32_t), 8) +
	       header->part_count * (uint64_t)sizeof(struct narrow_part);
}

static uint64_t
checksum(const struct narrow_header *header)
{
	struct narrow_header blank = *header;
	blank.checksum = 0;
	return XXH3_64bits_withSeed(header + 1, tables_bytes(header),
				    XXH3_64bits(&blank, sizeof(blank)));
}

/* Where the tables of a file are. */
static struct image_group *
groups_of(const struct narrow_header *header)
{
	return (struct image_group *)(uintptr_t)(header + 1);
}

static uint32_t *
first_parts_of(const struct narrow_header *header)
{
	return (uint32_t *)(groups_of(header) + header->group_count);
}

static struct narrow_part *
parts_of(const struct narrow_header *header)
{
	uint64_t words = round_up((header->group_count + 1) * (uint64_t)sizeof(uint32_t), 8);
	return (struct narrow_part *)((char *)first_parts_of(header) + words);
}

/* The bytes of the file, in anonymous memory; *size says how many. */
static struct narrow_header *
make(struct layout *layout, const struct image_key *key, size_t *size)
{
	uint32_t count = layout->wide->group_count;
	struct narrow_header header = { .version = NARROW_VERSION,
					.form = layout->form,
					.group_count = count,
					.part_count = layout->part_count,
					.key = *key,
					.wide_bytes = layout->wide->bytes,
					.data_bytes = layout->data_bytes };
	memcpy(header.magic, MAGIC, sizeof(MAGIC));
	header.data_offset = round_up(sizeof(header) + tables_bytes(&header), DATA_ALIGNMENT);
	*size = header.data_offset + header.data_bytes;
	struct narrow_header *file =
		mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (file == MAP_FAILED) {
		error_set_errno("narrow image of %zu bytes", *size);
		return NULL;
	}
	*file = header;
	memcpy(groups_of(file), layout->groups, count * sizeof(struct image_group));
	memcpy(first_parts_of(file), layout->first_parts, (count + 1) * sizeof(uint32_t));
	memcpy(parts_of(file), layout->parts, layout->part_count * sizeof(struct narrow_part));
	fill(layout, (unsigned char *)file + header.data_offset);
	file->error = narrow_relative_error(&layout->error);
	file->worst_error = layout->worst_error;
	file->checksum = checksum(file);
	return file;
}

static struct narrow_header *
build(const struct image *wide, const struct pack *pack, enum narrow_form form,
      const struct image_key *key, size_t *size)
{
	struct layout layout = { .wide = wide, .pack = pack, .form = form };
	struct narrow_header *file = lay_out(&layout) == 0 ? make(&layout, key, size) : NULL;
	free_layout(&layout);
	return file;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Do the parts of the group cover it, each within the group's host memory? */
static bool
covers(const struct narrow_header *header, uint32_t group, uint64_t wide_bytes)
{
	const struct image_group *host = &groups_of(header)[group];
	const uint32_t *first = first_parts_of(header);
	uint64_t at = 0;
	if (first[group] > first[group + 1] || first[group + 1] > header->part_count ||
	    host->offset > header->data_bytes || host->bytes > header->data_bytes - host->offset)
		return false;
	for (uint32_t i = first[group]; i < first[group + 1]; i++) {
		const struct narrow_part *part = &parts_of(header)[i];
		if (part->offset != at || part->bytes > wide_bytes - at ||
		    part->form > NARROW_INT8 || part->host_offset > host->bytes ||
		    host_bytes(part) > host->bytes - part->host_offset)
			return false;
		at += part->bytes;
	}
	return at == wide_bytes;
}

static bool
is_usable(const struct narrow_header *header, size_t size, const struct image *wide,
	  enum narrow_form form, const struct image_key *key)
{
	if (size < sizeof(*header) || memcmp(header->magic, MAGIC, sizeof(MAGIC)) != 0 ||
	    header->version != NARROW_VERSION || header->form != form ||
	    memcmp(&header->key, key, sizeof(*key)) != 0 || header->wide_bytes != wide->bytes ||
	    header->group_count != wide->group_count ||
	    sizeof(*header) + tables_bytes(header) > header->data_offset ||
	    header->data_offset > size || header->data_bytes != size - header->data_offset ||
	    checksum(header) != header->checksum)
		return false;
	for (uint32_t group = 0; group < wide->group_count; group++)
		if (!covers(header, group, wide->groups[group].bytes))
			return false;
	return true;
}

/* The file mapped, or NULL: there is none, or not for this image. */
static struct narrow_header *
map(const struct image *wide, enum narrow_form form, const struct image_key *key, const char *path,
    size_t *size)
{
	struct narrow_header *file = file_map(path, size);
	if (file == NULL)
		return NULL;
	if (is_usable(file, *size, wide, form, key))
		return file;
	munmap(file, *size);
	return NULL;
}

/* The image over the file's bytes, which are its own from now on, also on failure. */
static struct narrow_image *
adopt(struct narrow_header *file, size_t size, const char *path)
{
	struct mapped_narrow *mapped = calloc(1, sizeof(*mapped));
	char *copy = path != NULL ? strdup(path) : NULL;
	if (mapped == NULL || (path != NULL && copy == NULL)) {
		error_set(ERR_RESOURCE_EXHAUSTED, "narrow image: no memory");
		munmap(file, size);
		free(mapped);
		free(copy);
		return NULL;
	}
	mapped->path = copy;
	mapped->mapping = file;
	mapped->mapping_bytes = size;
	mapped->narrow = (struct narrow_image){
		.image = { .data = (const unsigned char *)file + file->data_offset,
			   .bytes = file->data_bytes,
			   .group_count = file->group_count,
			   .groups = groups_of(file),
			   .path = copy,
			   .file_offset = file->data_offset },
		.form = file->form,
		.first_parts = first_parts_of(file),
		.parts = parts_of(file),
		.error = file->error,
		.worst_error = file->worst_error,
	};
	return &mapped->narrow;
}

struct narrow_image *
narrow_image_open(const struct image *wide, const struct pack *pack, enum narrow_form form,
		  const struct image_key *key, const char *path)
{
	size_t size = 0;
	struct narrow_header *file = path != NULL ? map(wide, form, key, path, &size) : NULL;
	if (file != NULL)
		return adopt(file, size, path);
	file = build(wide, pack, form, key, &size);
	return file == NULL ? NULL : adopt(file, size, NULL);
}

int
narrow_image_keep(struct narrow_image *narrow, const char *path)
{
	struct mapped_narrow *mapped = (struct mapped_narrow *)narrow;
	const struct narrow_header *file = mapped->mapping;
	assert(mapped->path == NULL);
	if (file_write(path, file, mapped->mapping_bytes) != 0)
		return -1;
	mapped->path = strdup(path);
	if (mapped->path == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "narrow image: no memory");
	return image_move_to(&narrow->image, mapped->path, file->data_offset);
}
