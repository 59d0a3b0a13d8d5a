#include "path/tensors.h"

#include <assert.h>
#include <string.h>

#include "path/engine.h"
#include "path/recipe.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/view.h"

enum {
	/* Of tensors that failed batches brought; a script that fails on and on takes no more of the node's memory. */
	KEPT_BYTES = 16 << 20,
};

struct tensor_slot *
tensors_find(struct request *request, uint32_t handle)
{
	/* From the back: calls mostly use what was made last. */
	for (uint32_t i = request->slot_count; i-- > 0;)
		if (request->slots[i].handle == handle && !request->slots[i].freed)
			return &request->slots[i];
	return NULL;
}

/* Room for one more element in an array of the request's arena. */
static int
reserve(struct request *request, void **array, uint32_t count, uint32_t *room, size_t size)
{
	if (count < *room)
		return 0;
	uint32_t wanted = *room == 0 ? 8 : *room * 2;
	void *larger = arena_calloc(&request->arena, wanted, size);
	if (larger == NULL)
		return -1;
	if (count > 0)
		memcpy(larger, *array, count * size);
	*array = larger;
	*room = wanted;
	return 0;
}

struct tensor_slot *
tensors_add(struct request *request, uint32_t handle, uint32_t *index)
{
	void *slots = request->slots;
	if (reserve(request, &slots, request->slot_count, &request->slot_room,
		    sizeof(*request->slots)) != 0)
		return NULL;
	request->slots = slots;
	*index = request->slot_count++;
	request->slots[*index] = (struct tensor_slot){ .handle = handle };
	return &request->slots[*index];
}

int
tensors_make_room(struct request *request)
{
	void *extents = request->extents;
	if (reserve(request, &extents, request->extent_count, &request->extent_room,
		    sizeof(struct extent *)) != 0)
		return -1;
	request->extents = extents;
	return 0;
}

void
tensors_keep_extent(struct request *request, struct extent *extent)
{
	assert(request->extent_count < request->extent_room);
	if (request->extent_count == 0)
		request->engine->devices[request->device].holders++;
	request->extents[request->extent_count++] = extent;
}

void
tensors_drop(struct tensor_slot *slot)
{
	slot->freed = true;
	slot->bytes = 0;
}

void
tensors_drop_unmade(struct request *request)
{
	for (uint32_t i = 0; i < request->slot_count; i++) {
		struct tensor_slot *slot = &request->slots[i];
		if (slot->address == NULL && slot->host == NULL && slot->recipe == NULL)
			tensors_drop(slot);
	}
}

int
tensors_keep(struct request *request, struct tensor_slot *slot)
{
	void *copy = arena_alloc(&request->arena, slot->bytes + 1);
	if (copy == NULL)
		return -1;
	memcpy(copy, slot->host, slot->bytes);
	slot->host = copy;
	slot->is_kept = true;
	return 0;
}

void
tensors_keep_sent(struct request *request)
{
	for (uint32_t i = 0; i < request->slot_count; i++) {
		struct tensor_slot *slot = &request->slots[i];
		if (slot->host == NULL || slot->is_kept || slot->freed)
			continue;
		bool fits = slot->bytes <= KEPT_BYTES - request->kept_bytes;
		if (fits && tensors_keep(request, slot) == 0) {
			request->kept_bytes += slot->bytes;
			continue;
		}
		slot->host = NULL;
		tensors_drop(slot);
	}
}

int32_t
tensors_device(const struct request *request)
{
	return request->extent_count > 0 ? request->device : -1;
}

static void
forget_freed(struct request *request)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < request->slot_count; i++)
		if (!request->slots[i].freed || request->slots[i].pins > 0)
			request->slots[kept++] = request->slots[i];
	request->slot_count = kept;
}

static bool
is_used(const struct request *request, const struct extent *extent)
{
	const char *start = extent->address;
	for (uint32_t i = 0; i < request->slot_count; i++) {
		const char *address = request->slots[i].address;
		if (address >= start && address < start + extent->bytes)
			return true;
	}
	return false;
}

/* Give back the extents that no tensor lies in. What is behind the tensors of one that now is the last is not looked for. */
static void
free_unused(struct request *request)
{
	struct engine_device *device = &request->engine->devices[request->device];
	struct extent *last = request->extents[request->extent_count - 1];
	uint32_t count = request->extent_count, kept = 0;
	for (uint32_t i = 0; i < count; i++)
		if (is_used(request, request->extents[i]))
			request->extents[kept++] = request->extents[i];
		else
			pool_free(device->pool, request->extents[i]);
	if (kept == count)
		return;
	request->extent_count = kept;
	if (kept > 0 && request->extents[kept - 1] != last)
		request->extent_used = request->extents[kept - 1]->bytes;
	if (kept == 0)
		device->holders--;
	view_device_memory(device);
	schedule_unpark(device);
}

void
tensors_sweep(struct request *request)
{
	assert(request->job == NULL);
	/* One that waits for other functions counts as a holder that frees nothing (call.c): it is swept when they have answered. */
	if (!request->has_freed || request->waits_on != NULL)
		return;
	request->has_freed = false;
	recipe_sweep(request);
	forget_freed(request);
	if (request->extent_count > 0)
		free_unused(request);
}

bool
tensors_are_heavy(struct request *request)
{
	struct pool_stats stats;
	size_t held = 0;
	if (request->extent_count == 0)
		return false;
	for (uint32_t i = 0; i < request->extent_count; i++)
		held += request->extents[i]->bytes;
	pool_stats(request->engine->devices[request->device].pool, &stats);
	size_t step = stats.capacity / 16;
	bool is_heavy = held > (request->heavy_bytes == 0 ? step : request->heavy_bytes);
	if (is_heavy || held + step < request->heavy_bytes)
		request->heavy_bytes = held + step;
	return is_heavy;
}

void
tensors_release(struct request *request)
{
	if (request->device < 0)
		return;
	struct engine_device *device = &request->engine->devices[request->device];
	for (uint32_t i = 0; i < request->extent_count; i++)
		pool_free(device->pool, request->extents[i]);
	if (request->extent_count > 0) {
		device->holders--;
		view_device_memory(device);
		schedule_unpark(device);
	}
	request->extent_count = 0;
	request->slot_count = 0;
	request->device = -1;
}
