#include "path/tensors.h"

#include <assert.h>
#include <string.h>

#include "path/engine.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/view.h"

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

int32_t
tensors_device(const struct request *request)
{
	return request->extent_count > 0 ? request->device : -1;
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
