#include "model/pack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/cut.h"

enum { FIRST_ROOM = 64 };

void
pack_create(struct pack *pack, const struct graph *graph, size_t group_bytes)
{
	*pack = (struct pack){ .graph = graph, .group_bytes = group_bytes };
}

void
pack_destroy(struct pack *pack)
{
	for (uint32_t i = 0; i < pack->count && pack->buffers != NULL; i++)
		free(pack->buffers[i]);
	free(pack->buffers);
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

/* Twice the room for entries and their buffers. */
static int
grow_entries(struct pack *pack)
{
	if (pack->count < pack->room)
		return 0;
	uint32_t room = pack->room == 0 ? FIRST_ROOM : 2 * pack->room;
	struct pack_entry *entries = realloc(pack->entries, room * sizeof(entries[0]));
	if (entries != NULL)
		pack->entries = entries;
	void **buffers = realloc(pack->buffers, room * sizeof(buffers[0]));
	if (buffers != NULL)
		pack->buffers = buffers;
	if (entries == NULL || buffers == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for %u parameters", room);
	pack->room = room;
	return 0;
}

static size_t
round_up(size_t bytes)
{
	return (bytes + PACK_ALIGNMENT - 1) / PACK_ALIGNMENT * PACK_ALIGNMENT;
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
	size_t rounded = round_up(bytes);
	void *memory = aligned_alloc(PACK_ALIGNMENT, rounded != 0 ? rounded : PACK_ALIGNMENT);
	if (memory == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a parameter of %zu bytes", bytes);
		return NULL;
	}
	memset((char *)memory + bytes, 0, rounded - bytes);
	struct pack_entry *entry = &pack->entries[pack->count];
	memset(entry, 0, sizeof(*entry));
	entry->value = (uint32_t)value;
	entry->offset = pack->bytes;
	entry->bytes = bytes;
	entry->descriptor_bytes = (uint32_t)descriptor_bytes;
	memcpy(entry->key, key, strlen(key));
	if (descriptor_bytes != 0)
		memcpy(entry->descriptor, descriptor, descriptor_bytes);
	pack->bytes += rounded;
	pack->buffers[pack->count++] = memory;
	*buffer = memory;
	return entry;
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
