#include "model/staging.h"

#include <assert.h>
#include <stdlib.h>

#include "exec/backend.h"

enum { BUFFERS = 2, BUFFER_ALIGNMENT = 64 };

/* A group to be widened. */
struct widening {
	const struct staging *staging;
	uint32_t group;
	const unsigned char *from;
	unsigned char *to;
};

struct staging {
	struct pool *pool;
	const struct narrow_image *image;
	const struct backend *backend;
	struct extent *extent;
	uint64_t buffer_bytes;
	/* Reached when the buffer holds what was copied, and when that was widened. */
	struct device_event *full[BUFFERS];
	struct device_event *empty[BUFFERS];
	uint32_t first;
	/* Groups put so far. */
	uint32_t count;
	struct widening widenings[];
};

static uint64_t
buffer_bytes(const struct narrow_image *image, uint32_t first, uint32_t end)
{
	uint64_t most = 0;
	for (uint32_t i = first; i < end; i++)
		if (image->image.groups[i].bytes > most)
			most = image->image.groups[i].bytes;
	return (most + BUFFER_ALIGNMENT - 1) / BUFFER_ALIGNMENT * BUFFER_ALIGNMENT;
}

uint64_t
staging_bytes(const struct narrow_image *image, uint32_t first, uint32_t end)
{
	uint64_t bytes = BUFFERS * buffer_bytes(image, first, end);
	return (bytes + POOL_UNIT - 1) / POOL_UNIT * POOL_UNIT;
}

static int
make_events(struct staging *staging, struct device *device)
{
	for (int i = 0; i < BUFFERS; i++) {
		staging->full[i] = event_new(device);
		staging->empty[i] = staging->full[i] != NULL ? event_new(device) : NULL;
		if (staging->empty[i] == NULL)
			return -1;
	}
	return 0;
}

struct staging *
staging_new(struct pool *pool, struct device *device, const struct narrow_image *image,
	    uint32_t first, uint32_t end, const void *owner)
{
	const struct backend *backend = backend_of(device_properties(device)->kind);
	if (backend == NULL)
		return NULL;
	if (backend->widen == NULL) {
		error_set(ERR_UNIMPLEMENTED, "%s: cannot widen %s parameters",
			  device_properties(device)->name, narrow_name(image->form));
		return NULL;
	}
	struct staging *staging =
		calloc(1, sizeof(*staging) + (end - first) * sizeof(staging->widenings[0]));
	if (staging == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a load");
		return NULL;
	}
	staging->pool = pool;
	staging->image = image;
	staging->backend = backend;
	staging->first = first;
	staging->buffer_bytes = buffer_bytes(image, first, end);
	staging->extent = pool_alloc(pool, BUFFERS * staging->buffer_bytes, owner);
	if (staging->extent != NULL && make_events(staging, device) == 0)
		return staging;
	staging_delete(staging);
	return NULL;
}

void
staging_delete(struct staging *staging)
{
	if (staging == NULL)
		return;
	for (int i = 0; i < BUFFERS; i++) {
		event_delete(staging->full[i]);
		event_delete(staging->empty[i]);
	}
	pool_free(staging->pool, staging->extent);
	free(staging);
}

/* device_launch.run, on the widen stream. */
static int
run_widening(const struct device_launch *launch, void *native)
{
	const struct widening *widening = launch->work;
	const struct narrow_image *image = widening->staging->image;
	uint32_t end = image->first_parts[widening->group + 1];
	for (uint32_t i = image->first_parts[widening->group]; i < end; i++) {
		const struct narrow_part *part = &image->parts[i];
		if (widening->staging->backend->widen(
			    native, part->form, widening->to + part->offset,
			    widening->from + part->host_offset, part->bytes) != 0)
			return -1;
	}
	return 0;
}

int
staging_put(struct staging *staging, uint32_t group, void *to, struct device_stream *copy,
	    struct device_stream *widen)
{
	uint32_t buffer = staging->count % BUFFERS;
	const struct image_group *part = &staging->image->image.groups[group];
	unsigned char *at =
		(unsigned char *)staging->extent->address + buffer * staging->buffer_bytes;
	struct widening *widening = &staging->widenings[group - staging->first];
	*widening = (struct widening){ staging, group, at, to };
	struct device_launch launch = { .run = run_widening, .work = widening };
	if (staging->count >= BUFFERS && stream_wait(copy, staging->empty[buffer]) != 0)
		return -1;
	if (stream_copy_in(copy, at, staging->image->image.data + part->offset, part->bytes) != 0 ||
	    stream_record(copy, staging->full[buffer]) != 0 ||
	    stream_wait(widen, staging->full[buffer]) != 0 || stream_launch(widen, &launch) != 0 ||
	    stream_record(widen, staging->empty[buffer]) != 0)
		return -1;
	staging->count++;
	return 0;
}
