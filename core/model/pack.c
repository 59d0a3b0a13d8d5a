#include "model/pack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "device/pool.h"

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

static uint64_t
units(uint64_t bytes)
{
	return (bytes + POOL_UNIT - 1) / POOL_UNIT;
}

/*
 * Whether a parameter of so many bytes belongs to that group. A group takes whole units of a device's pool, so one that
 * must be larger than group_bytes, for a large parameter, is filled up to the end of its last unit, and two groups become
 * one where that saves a unit.
 */
static bool
belongs_to(const struct pack *pack, const struct image_group *group, size_t bytes)
{
	uint64_t together = group->bytes + bytes;
	if (together <= pack->group_bytes)
		return true;
	if (pack->group_bytes < POOL_UNIT)
		return false;
	if (units(together) == units(group->bytes))
		return true;
	return units(together) < units(group->bytes) + units(bytes) &&
	       units(together) <= 2 * units(pack->group_bytes);
}

/* The group that the next parameter goes to: the last one, or a new one. */
static struct image_group *
group_for(struct pack *pack, size_t bytes)
{
	struct image_group *last =
		pack->group_count != 0 ? &pack->groups[pack->group_count - 1] : NULL;
	if (last != NULL && belongs_to(pack, last, bytes))
		return last;
	if (pack->group_count == pack->group_room) {
		uint32_t room = pack->group_room == 0 ? FIRST_ROOM : 2 * pack->group_room;
		struct image_group *groups = realloc(pack->groups, room * sizeof(groups[0]));
		if (groups == NULL) {
			error_set(ERR_RESOURCE_EXHAUSTED, "no memory for %u groups", room);
			return NULL;
		}
		pack->groups = groups;
		pack->group_room = room;
	}
	pack->groups[pack->group_count] = (struct image_group){ .offset = pack_bytes(pack) };
	return &pack->groups[pack->group_count++];
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
	struct image_group *group = group_for(pack, rounded);
	if (group == NULL) {
		free(memory);
		return NULL;
	}
	memset((char *)memory + bytes, 0, rounded - bytes);
	struct pack_entry *entry = &pack->entries[pack->count];
	memset(entry, 0, sizeof(*entry));
	entry->value = (uint32_t)value;
	entry->group = pack->group_count - 1;
	entry->offset = group->bytes;
	entry->bytes = bytes;
	entry->descriptor_bytes = (uint32_t)descriptor_bytes;
	memcpy(entry->key, key, strlen(key));
	if (descriptor_bytes != 0)
		memcpy(entry->descriptor, descriptor, descriptor_bytes);
	group->bytes += rounded;
	pack->buffers[pack->count++] = memory;
	*buffer = memory;
	return entry;
}

uint64_t
pack_bytes(const struct pack *pack)
{
	if (pack->group_count == 0)
		return 0;
	const struct image_group *last = &pack->groups[pack->group_count - 1];
	return last->offset + last->bytes;
}
