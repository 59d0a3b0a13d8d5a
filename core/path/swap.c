#include "path/swap.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/trace.h"
#include "path/borrow.h"
#include "path/engine.h"
#include "path/job.h"
#include "path/models.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/tensors.h"
#include "path/upload.h"
#include "path/view.h"

enum {
	TENSOR_ALIGNMENT = 64,
	/* Jobs that make and bring in no more bytes of tensors, and fetch no more, may run inline. */
	INLINE_BYTES = 256 << 10,
	/* Jobs with no more floating-point operations than this run inline. */
	INLINE_FLOPS = 200 * 1000,
	/* Jobs that take no more than this much scratch share one standing extent. */
	SCRATCH_BYTES = 64 << 20,
};

static size_t
align_up(size_t bytes)
{
	return (bytes + TENSOR_ALIGNMENT - 1) & ~(size_t)(TENSOR_ALIGNMENT - 1);
}

/* Bytes that the job's new tensors and its largest workspace need. */
static size_t
job_bytes(const struct job *job)
{
	const struct request *request = job->request;
	size_t workspace = 0, bytes = 0;
	for (uint32_t k = 0; k < job->step_count; k++) {
		size_t needed = program_info(job->steps[k].program)->workspace_bytes;
		workspace = needed > workspace ? needed : workspace;
	}
	for (uint32_t i = 0; i < request->slot_count; i++)
		if (request->slots[i].address == NULL && request->slots[i].whole == 0)
			bytes += align_up(request->slots[i].bytes);
	return bytes + align_up(workspace) + TENSOR_ALIGNMENT;
}

uint64_t
swap_evict(struct engine_device *device, uint64_t bytes)
{
	struct policy_eviction evictions[POLICY_EVICTIONS_MAX];
	struct engine *engine = device->engine;
	uint64_t freed = 0;
	uint32_t count = policy_evict(engine->policy, device->view.id, bytes, evictions);
	for (uint32_t i = 0; i < count; i++)
		freed += models_trim(engine, evictions[i].model->id, device, evictions[i].keep);
	return freed;
}

static struct extent *
take_extent(struct engine_device *device, size_t bytes, const void *owner)
{
	struct extent *extent;
	while ((extent = pool_alloc(device->pool, bytes, owner)) == NULL)
		if (swap_evict(device, bytes) == 0)
			return NULL;
	return extent;
}

/* For an extent that is used for more than one job. */
static size_t
whole_units(size_t bytes)
{
	return (bytes + POOL_UNIT - 1) / POOL_UNIT * POOL_UNIT;
}

/* The device's standing extent, made or grown to hold bytes. */
static struct extent *
take_scratch(struct engine_device *device, size_t bytes)
{
	if (device->scratch != NULL && device->scratch->bytes >= bytes)
		return device->scratch;
	if (device->scratch != NULL)
		pool_free(device->pool, device->scratch);
	bytes = whole_units(bytes);
	device->scratch = take_extent(device, bytes, device);
	return device->scratch;
}

/* A handler that waits often makes many small jobs: they follow one another in one extent. */
static bool
share_last_extent(struct job *job, size_t bytes)
{
	const struct request *request = job->request;
	if (request->extent_count == 0)
		return false;
	struct extent *last = request->extents[request->extent_count - 1];
	if (bytes > last->bytes - request->extent_used)
		return false;
	job->extent = last;
	job->extent_from = request->extent_used;
	job->shares_extent = true;
	return true;
}

static int
take_memory(struct job *job)
{
	size_t bytes = job_bytes(job);
	if (tensors_make_room(job->request) != 0)
		return -1;
	job->extent_from = 0;
	job->shares_extent = false;
	job->borrowed_scratch = job->is_last && bytes <= SCRATCH_BYTES;
	if (job->borrowed_scratch)
		job->extent = take_scratch(job->device, bytes);
	else if (!share_last_extent(job, bytes))
		job->extent = take_extent(job->device, whole_units(bytes), job->request);
	return job->extent == NULL ? -1 : 0;
}

/* Small ones that are brought, from `at` on: side by side, for one copy. Returns their end. */
static char *
place_small(struct request *request, char *at)
{
	for (uint32_t i = 0; i < request->slot_count; i++) {
		struct tensor_slot *slot = &request->slots[i];
		if (slot->address != NULL || slot->host == NULL || slot->whole > 0 ||
		    slot->bytes > UPLOAD_SMALL_BYTES)
			continue;
		slot->address = at;
		at += align_up(slot->bytes);
	}
	return at;
}

/* Lay the job's tensors out in its extent, then the workspace. */
static void
place_tensors(struct job *job)
{
	struct request *request = job->request;
	char *at = place_small(request, (char *)job->extent->address + job->extent_from);
	for (uint32_t i = 0; i < request->slot_count; i++) {
		struct tensor_slot *slot = &request->slots[i];
		if (slot->address != NULL || slot->recipe != NULL)
			continue;
		if (slot->whole > 0) {
			slot->address =
				(char *)request->slots[slot->whole - 1].address + slot->offset;
			continue;
		}
		slot->address = at;
		at += align_up(slot->bytes);
	}
	job->workspace = at;
	job->tensor_bytes = (size_t)(at - (char *)job->extent->address);
}

/* Can the job's device copy from the one that was named? */
static bool
reaches_peer(const struct job *job)
{
	return job->peer != NULL && device_has_peer(job->device->device, job->peer->device);
}

/* Hold on the peer what is copied from there. */
static void
pin_peer(struct job *job, uint32_t m)
{
	struct residency *there =
		reaches_peer(job) ? job->models[m]->residency[job->peer->view.id] : NULL;
	job->peer_pinned[m] = there == NULL ? 0 : residency_arrived(there);
	if (job->peer_pinned[m] == 0)
		return;
	residency_pin(there, job->peer_pinned[m]);
	view_residency_changed(job->models[m], job->peer);
}

static void
unpin_peer(struct job *job, uint32_t m)
{
	if (job->peer_pinned[m] == 0)
		return;
	residency_unpin(job->models[m]->residency[job->peer->view.id], job->peer_pinned[m]);
	job->peer_pinned[m] = 0;
	view_residency_changed(job->models[m], job->peer);
}

bool
swap_begin_load(struct engine_device *device, struct engine_model *model)
{
	device->loads++;
	device->loads_begun++;
	view_device_loading(device);
	locking_wait(model);
	bool was_on_disk = store_pin(&device->engine->store, &model->store);
	if (was_on_disk)
		tier_look_everywhere(model);
	return was_on_disk;
}

void
swap_end_load(struct engine_device *device, struct engine_model *model, struct residency_load *load,
	      const struct error *error)
{
	residency_finish_load(load, error);
	if (error != NULL)
		tier_note_failure(model, device, error);
	else
		locking_begin(model);
	device->loads--;
	store_unpin(&device->engine->store, &model->store);
	view_device_loading(device);
	view_residency_changed(model, device);
}

/* Pin the model on the device and begin to load what is missing. */
static int
bring_model(struct job *job, uint32_t m)
{
	struct engine_device *device = job->device;
	struct engine_model *model = job->models[m];
	struct residency *residency = models_residency(model, device);
	if (residency == NULL)
		return -1;
	uint32_t all = model_image(model->model)->group_count;
	uint32_t had = residency_groups(residency);
	job->pinned[m] = had;
	job->brought[m] = 0;
	job->from_disk[m] = false;
	job->waits[m] = residency_state(residency) == RESIDENCY_LOADING;
	residency_pin(residency, had);
	job->held_models = m + 1;
	if (had == all)
		return 0;
	/* A policy that is asked for evictions sees that what is pinned cannot go. */
	view_residency_changed(model, device);
	uint64_t needed = 0;
	while ((job->loads[m] = residency_begin_load(residency, all, &needed)) == NULL)
		if (swap_evict(device, needed) == 0)
			return -1;
	residency_pin(residency, all);
	residency_unpin(residency, had);
	job->pinned[m] = all;
	job->brought[m] = all - had;
	job->waits[m] = true;
	pin_peer(job, m);
	borrow_for(job, job->loads[m]);
	job->from_disk[m] = swap_begin_load(device, model);
	return 0;
}

static void
release_model(struct job *job, uint32_t m)
{
	struct residency *residency = models_residency(job->models[m], job->device);
	if (residency != NULL)
		residency_unpin(residency, job->pinned[m]);
	job->pinned[m] = 0;
	view_residency_changed(job->models[m], job->device);
}

static int
bring_models(struct job *job)
{
	for (uint32_t m = 0; m < job->model_count; m++)
		if (bring_model(job, m) != 0)
			return -1;
	return 0;
}

void
swap_finish_load(struct job *job, uint32_t m, const struct error *error)
{
	swap_end_load(job->device, job->models[m], job->loads[m], error);
	job->loads[m] = NULL;
	unpin_peer(job, m);
}

/* The job's extent is nobody else's yet. */
static bool
owns_extent(const struct job *job)
{
	return job->extent != NULL && !job->borrowed_scratch && !job->shares_extent;
}

/* Nothing of the job has reached the device: undo what path_swap did. */
static void
give_back(struct job *job)
{
	for (uint32_t m = 0; m < job->held_models; m++) {
		if (job->loads[m] != NULL) {
			error_set(ERR_ABORTED, "load: not begun");
			swap_finish_load(job, m, error_last());
		}
		release_model(job, m);
	}
	borrow_end(job);
	job->held_models = 0;
	if (owns_extent(job))
		pool_free(job->device->pool, job->extent);
	job->extent = NULL;
	view_device_memory(job->device);
}

void
swap_release(struct job *job)
{
	for (uint32_t m = 0; m < job->held_models; m++)
		release_model(job, m);
	job->held_models = 0;
	bool holds_tensors = job->outcome.code == ERR_OK;
	if (owns_extent(job) && holds_tensors)
		tensors_keep_extent(job->request, job->extent);
	else if (owns_extent(job))
		pool_free(job->device->pool, job->extent);
	if (holds_tensors && !job->borrowed_scratch)
		job->request->extent_used = job->tensor_bytes;
	job->extent = NULL;
	view_device_memory(job->device);
}

static int
try_memory(struct job *job)
{
	return take_memory(job) == 0 && bring_models(job) == 0 ? 0 : -1;
}

/* The same the other way round, once the standing extent is gone: models need longer runs than tensors do. */
static int
try_models_first(struct job *job)
{
	struct engine_device *device = job->device;
	assert(device->job == NULL);
	pool_free(device->pool, device->scratch);
	device->scratch = NULL;
	return bring_models(job) == 0 && take_memory(job) == 0 ? 0 : -1;
}

/* Undo, and leave the error of what could not be had. */
static int
fail_to_place(struct job *job)
{
	struct error why = *error_last();
	give_back(job);
	error_restore(&why);
	return -1;
}

/*
 * Memory for the job's tensors, then for its models. The device's standing extent may lie in the middle of the only run
 * that is long enough for a group; nothing runs there now, so it can move.
 */
static int
take_place(struct job *job)
{
	if (try_memory(job) == 0)
		return 0;
	fail_to_place(job);
	if (error_last()->code != ERR_RESOURCE_EXHAUSTED || job->device->scratch == NULL)
		return -1;
	return try_models_first(job) == 0 ? 0 : fail_to_place(job);
}

/* What it copies on the main loop. */
static bool
copies_little(const struct job *job)
{
	size_t bytes = job->tensor_bytes - job->extent_from;
	for (uint32_t i = 0; i < job->fetch_count && bytes <= INLINE_BYTES; i++)
		bytes += job->request->slots[job->fetches[i].slot].bytes;
	return bytes <= INLINE_BYTES;
}

static bool
may_run_inline(const struct job *job)
{
	if (!device_properties(job->device->device)->runs_inline || !copies_little(job))
		return false;
	uint64_t flops = 0;
	for (uint32_t m = 0; m < job->model_count; m++)
		if (job->waits[m])
			return false;
	for (uint32_t k = 0; k < job->step_count; k++) {
		const struct program_info *info = program_info(job->steps[k].program);
		if (!info->runs_inline)
			return false;
		flops += info->flops;
	}
	return flops <= INLINE_FLOPS;
}

/* What the submit thread needs to know about the ways that the job's copies take. */
static void
set_up_copies(struct job *job)
{
	struct engine_device *device = job->device;
	struct engine *engine = device->engine;
	job->takes_from_peer = job->relays;
	job->host_rate = job->peer_rate = job->lent_rate = 0;
	if (!job->brings)
		return;
	for (uint32_t m = 0; m < job->model_count; m++)
		job->takes_from_peer |= job->peer_pinned[m] > 0 && device->copy_peer != NULL;
	if (!job->takes_from_peer || !job->shares_sources)
		return;
	job->host_rate = device->view.load_rate;
	job->lent_rate = job->peer->view.load_rate;
	job->peer_rate = engine->view_peer_rates[device->view.id * engine->device_count +
						 job->peer->view.id];
}

int
path_swap(struct request *request)
{
	struct job *job = request->job;
	struct engine_device *device = job->device;
	job->started_at = clock_now();
	job->copies_alone = device->loads == 0;
	job->neighbours_copied = view_neighbours_copied(device, job->started_at);
	job->relays = false;
	if (take_place(job) != 0) {
		if (error_last()->code == ERR_RESOURCE_EXHAUSTED && schedule_park(job) == 0)
			return ROUTE_WAIT;
		tensors_drop_unmade(request);
		schedule_finish(job, VIEW_OUTCOME_ERROR);
		request->job = NULL;
		job_delete(job);
		return -1;
	}
	request->device = (int32_t)device->view.id;
	place_tensors(job);
	job->runs_inline = may_run_inline(job);
	device->job = job;
	job->state = job->runs_inline ? JOB_PLACED : JOB_ON_DEVICE;
	job->outstanding = 1;
	for (uint32_t m = 0; m < job->model_count; m++)
		if (job->loads[m] != NULL)
			job->outstanding = 2;
	job->brings = job->outstanding == 2;
	set_up_copies(job);
	for (uint32_t m = 0; m < job->model_count; m++)
		job->labels[m] = trace_is_on() ? trace_name(job->models[m]->name) : 0;
	view_device_busy(device, job, job->started_at);
	for (uint32_t m = 0; m < job->model_count; m++)
		view_residency_changed(job->models[m], device);
	return ROUTE_NEXT;
}
