#include "model/pack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "model/cut.h"
#include "model/onnx.h"

enum {
	FIRST_ROOM = 64,
	/* Of the image's memory, so that it lies on large pages. */
	LARGE_PAGE = 2 << 20,
};

void
pack_create(struct pack *pack, const struct graph *graph, size_t group_bytes,
	    const struct onnx_files *files)
{
	*pack = (struct pack){ .graph = graph, .group_bytes = group_bytes, .files = files };
}

void
pack_destroy(struct pack *pack)
{
	if (pack->memory != NULL)
		munmap(pack->memory, pack->memory_bytes);
	free(pack->entries);
	free(pack->groups);
	*pack = (struct pack){ 0 };
}

int32_t
pack_value(const struct pack *pack, const struct constant *constant)
{
	for (uint32_t i = 0; i < pack->graph->value_count; i++)
		if (pack->graph->values[i].constant == constant)
			return (int32_t)i;
	return -1;
}

const struct pack_entry *
pack_find(const struct pack *pack, const struct constant *constant, const char *key)
{
	int32_t value = pack_value(pack, constant);
	for (uint32_t i = 0; i < pack->count && value >= 0; i++)
		if (pack->entries[i].value == (uint32_t)value &&
		    strncmp(pack->entries[i].key, key, PACK_KEY_BYTES) == 0)
			return &pack->entries[i];
	return NULL;
}

/* Twice the room for entries. */
static int
grow_entries(struct pack *pack)
{
	if (pack->count < pack->room)
		return 0;
	uint32_t room = pack->room == 0 ? FIRST_ROOM : 2 * pack->room;
	struct pack_entry *entries = realloc(pack->entries, room * sizeof(entries[0]));
	if (entries == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for %u parameters", room);
	pack->entries = entries;
	pack->room = room;
	return 0;
}

static size_t
round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

/* What the graph's constants take as they are, which is about what the image will take. */
static size_t
constant_bytes(const struct graph *graph)
{
	size_t bytes = 0;
	for (uint32_t i = 0; i < graph->value_count; i++)
		if (graph->values[i].constant != NULL)
			bytes += tensor_bytes(&graph->values[i].constant->type);
	return bytes;
}

/* Memory for an image of so many bytes; it may move. Only what is written to takes room. */
static int
grow_memory(struct pack *pack, size_t bytes)
{
	if (bytes <= pack->memory_bytes)
		return 0;
	size_t wanted = pack->memory != NULL ? pack->memory_bytes * 2 : constant_bytes(pack->graph);
	size_t room = round_up(wanted > bytes ? wanted : bytes, LARGE_PAGE);
	void *memory = pack->memory != NULL
			       ? mremap(pack->memory, pack->memory_bytes, room, MREMAP_MAYMOVE)
			       : mmap(NULL, room, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for an image of %zu bytes",
				 room);
	madvise(memory, room, MADV_HUGEPAGE);
	pack->memory = memory;
	pack->memory_bytes = room;
	return 0;
}

/* The last parameter has been packed: its pages in the model's file are not needed any more. */
static void
release_last(const struct pack *pack)
{
	if (pack->count != 0 && pack->files != NULL)
		onnx_release(pack->files,
			     pack->graph->values[pack->entries[pack->count - 1].value].constant);
}

const struct pack_entry *
pack_add(struct pack *pack, const struct constant *constant, const char *key,
	 const void *descriptor, size_t descriptor_bytes, size_t bytes, void **buffer)
{
	assert(!pack->closed && descriptor_bytes <= PACK_DESCRIPTOR_BYTES);
	int32_t value = pack_value(pack, constant);
	assert(value >= 0 && strlen(key) < PACK_KEY_BYTES);
	if (grow_entries(pack) != 0)
		return NULL;
	release_last(pack);
	size_t rounded = round_up(bytes, PACK_ALIGNMENT);
	if (grow_memory(pack, pack->bytes + rounded) != 0)
		return NULL;
	struct pack_entry *entry = &pack->entries[pack->count];
	memset(entry, 0, sizeof(*entry));
	entry->value = (uint32_t)value;
	entry->offset = pack->bytes;
	entry->bytes = bytes;
	entry->descriptor_bytes = (uint32_t)descriptor_bytes;
	memcpy(entry->key, key, strlen(key));
	if (descriptor_bytes != 0)
		memcpy(entry->descriptor, descriptor, descriptor_bytes);
	*buffer = pack->memory + pack->bytes;
	pack->bytes += rounded;
	pack->count++;
	return entry;
}

unsigned char *
pack_close(struct pack *pack, size_t *mapping_bytes)
{
	unsigned char *memory = pack->memory;
	size_t used = round_up(pack->bytes, (size_t)sysconf(_SC_PAGESIZE));
	release_last(pack);
	pack->closed = true;
	if (memory != NULL && used < pack->memory_bytes)
		munmap(memory + used, pack->memory_bytes - used);
	*mapping_bytes = used;
	pack->memory = NULL;
	pack->memory_bytes = 0;
	return memory;
}

/* The entry's bytes in the image while nothing is cut. */
static uint64_t
entry_bytes(const struct pack *pack, uint32_t entry)
{
	uint64_t end = entry + 1 < pack->count ? pack->entries[entry + 1].offset : pack->bytes;
	return end - pack->entries[entry].offset;
}

/* Entries first … end-1 become group g. */
static void
make_group(struct pack *pack, uint32_t g, uint32_t first, uint32_t end)
{
	uint64_t from = pack->entries[first].offset;
	uint64_t to = end < pack->count ? pack->entries[end].offset : pack->bytes;
	pack->groups[g] = (struct image_group){ .offset = from, .bytes = to - from };
	for (uint32_t i = first; i < end; i++)
		pack->entries[i].group = g;
}

int
pack_cut(struct pack *pack)
{
	uint64_t *bytes = malloc((pack->count + 1) * sizeof(bytes[0]));
	uint32_t *ends = malloc((pack->count + 1) * sizeof(ends[0]));
	uint32_t count = 0, first = 0;
	assert(!pack->closed && pack->groups == NULL);
	if (bytes != NULL && ends != NULL) {
		for (uint32_t i = 0; i < pack->count; i++)
			bytes[i] = entry_bytes(pack, i);
		count = cut_groups(bytes, pack->count, pack->group_bytes, ends);
		pack->groups = calloc(count + 1, sizeof(pack->groups[0]));
	}
	if (pack->groups == NULL || (count == 0 && pack->count != 0)) {
		free(bytes);
		free(ends);
		return error_set(ERR_RESOURCE_EXHAUSTED,
				 "no memory for the groups of %u parameters", pack->count);
	}
	for (uint32_t g = 0; g < count; first = ends[g++])
		make_group(pack, g, first, ends[g]);
	for (uint32_t i = 0; i < pack->count; i++)
		pack->entries[i].offset -= pack->groups[pack->entries[i].group].offset;
	pack->group_count = count;
	free(bytes);
	free(ends);
	return 0;
}

void
pack_find_group(const struct pack *pack, uint64_t place, uint32_t *group, uint64_t *offset)
{
	uint32_t low = 0, high = pack->group_count;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (pack->groups[middle].offset <= place)
			low = middle;
		else
			high = middle;
	}
	*group = low;
	*offset = place - pack->groups[low].offset;
}

uint64_t
pack_bytes(const struct pack *pack)
{
	if (pack->group_count == 0)
		return 0;
	const struct image_group *last = &pack->groups[pack->group_count - 1];
	return last->offset + last->bytes;
}
