#include "path/upload.h"

#include <string.h>

#include "device/device.h"
#include "path/engine.h"
#include "path/job.h"
#include "path/request.h"

static bool
is_new(const struct tensor_slot *slot)
{
	return slot->host != NULL && slot->address != NULL;
}

static bool
is_small(const struct tensor_slot *slot)
{
	return is_new(slot) && slot->whole == 0 && slot->bytes <= UPLOAD_SMALL_BYTES;
}

/* From the first to the end of the last small tensor on the device; how many they are. */
static uint32_t
find_small(const struct request *request, char **first, char **end)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < request->slot_count; i++) {
		const struct tensor_slot *slot = &request->slots[i];
		char *address = slot->address;
		if (!is_small(slot))
			continue;
		*first = count == 0 || address < *first ? address : *first;
		*end = count == 0 || address + slot->bytes > *end ? address + slot->bytes : *end;
		count++;
	}
	return count;
}

/* As they will lie there, put together. */
static int
copy_small(struct job *job, char *first, const char *end)
{
	const struct request *request = job->request;
	char *together = arena_calloc(&job->arena, 1, (size_t)(end - first) + 1);
	if (together == NULL)
		return -1;
	for (uint32_t i = 0; i < request->slot_count; i++) {
		const struct tensor_slot *slot = &request->slots[i];
		if (is_small(slot))
			memcpy(together + ((char *)slot->address - first), slot->host, slot->bytes);
	}
	return stream_copy_in(job->device->compute, first, together, (size_t)(end - first));
}

int
upload_tensors(struct job *job)
{
	const struct request *request = job->request;
	char *first = NULL, *end = NULL;
	bool together = find_small(request, &first, &end) > 1;
	if (together && copy_small(job, first, end) != 0)
		return -1;
	for (uint32_t i = 0; i < request->slot_count; i++) {
		const struct tensor_slot *slot = &request->slots[i];
		if (is_new(slot) && !(together && is_small(slot)) &&
		    stream_copy_in(job->device->compute, slot->address, slot->host, slot->bytes) !=
			    0)
			return -1;
	}
	return 0;
}
