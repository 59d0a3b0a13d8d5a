#include "device/cuda_watch.h"

#include <stdlib.h>
#include <string.h>

#include "device/cuda.h"

void
cuda_watch_create(struct cuda_watch *watch, struct cuda_device *device, cudaStream_t stream)
{
	*watch = (struct cuda_watch){ .device = device, .stream = stream };
}

static void
end(struct cuda_watch *watch, const uint64_t *ns)
{
	if (watch->state == CUDA_WATCH_IDLE)
		return;
	watch->state = CUDA_WATCH_IDLE;
	watch->done(watch->context, ns);
}

/* Of a lost device they went with its context. */
void
cuda_watch_destroy(struct cuda_watch *watch)
{
	end(watch, NULL);
	for (uint32_t i = 0; i < watch->event_count; i++)
		cuda_check(watch->device, cudaEventDestroy(watch->events[i]), "cudaEventDestroy");
	free(watch->events);
	free(watch->ends);
	free(watch->ns);
}

/* Every part may have a mark before it, too. */
static bool
make_room(struct cuda_watch *watch, uint32_t parts)
{
	uint32_t room = parts * 2;
	if (room <= watch->room)
		return true;
	cudaEvent_t *events = realloc(watch->events, room * sizeof(events[0]));
	watch->events = events != NULL ? events : watch->events;
	uint32_t *ends = realloc(watch->ends, room * sizeof(ends[0]));
	watch->ends = ends != NULL ? ends : watch->ends;
	uint64_t *ns = realloc(watch->ns, room * sizeof(ns[0]));
	watch->ns = ns != NULL ? ns : watch->ns;
	if (events == NULL || ends == NULL || ns == NULL)
		return false;
	watch->room = room;
	return true;
}

bool
cuda_watch_begin(struct cuda_watch *watch, uint32_t parts, cuda_watch_f *done, void *context)
{
	cuda_watch_read(watch);
	if (watch->state == CUDA_WATCH_PUT || !make_room(watch, parts))
		return false;
	end(watch, NULL);
	watch->state = CUDA_WATCH_OPEN;
	watch->marks = 0;
	watch->parts = parts;
	watch->done = done;
	watch->context = context;
	return true;
}

static int
make_event(struct cuda_watch *watch)
{
	cudaEvent_t *event = &watch->events[watch->event_count];
	if (watch->marks < watch->event_count)
		return 0;
	if (cuda_check(watch->device, cudaEventCreateWithFlags(event, cudaEventDefault),
		       "cudaEventCreateWithFlags") != 0)
		return -1;
	watch->event_count++;
	return 0;
}

void
cuda_watch_mark(struct cuda_watch *watch, uint32_t part)
{
	if (watch->state != CUDA_WATCH_OPEN)
		return;
	if (watch->marks == watch->room || make_event(watch) != 0 ||
	    cuda_check(watch->device, cudaEventRecord(watch->events[watch->marks], watch->stream),
		       "cudaEventRecord") != 0) {
		end(watch, NULL);
		return;
	}
	watch->ends[watch->marks++] = part;
	if (part == watch->parts - 1)
		watch->state = CUDA_WATCH_PUT;
}

static int
read_part(struct cuda_watch *watch, uint32_t mark)
{
	float ms;
	if (cuda_check(watch->device,
		       cudaEventElapsedTime(&ms, watch->events[mark - 1], watch->events[mark]),
		       "cudaEventElapsedTime") != 0)
		return -1;
	watch->ns[watch->ends[mark]] = (uint64_t)((double)ms * 1e6);
	return 0;
}

void
cuda_watch_read(struct cuda_watch *watch)
{
	if (watch->state != CUDA_WATCH_PUT)
		return;
	cudaError_t status = cudaEventQuery(watch->events[watch->marks - 1]);
	if (status == cudaErrorNotReady) {
		/* The runtime would tell it the next who asks. */
		cudaGetLastError();
		return;
	}
	int result = cuda_check(watch->device, status, "cudaEventQuery");
	memset(watch->ns, 0, watch->parts * sizeof(watch->ns[0]));
	for (uint32_t i = 1; i < watch->marks && result == 0; i++)
		if (watch->ends[i] != CUDA_WATCH_NO_PART)
			result = read_part(watch, i);
	end(watch, result == 0 ? watch->ns : NULL);
}
