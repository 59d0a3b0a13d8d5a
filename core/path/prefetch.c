#include "path/prefetch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "path/engine.h"
#include "path/models.h"
#include "path/schedule.h"
#include "path/swap.h"
#include "path/tracing.h"
#include "path/view.h"

void
prefetch_create(struct prefetch *prefetch, struct engine_device *device)
{
	*prefetch = (struct prefetch){ .device = device };
	prefetch->errand.owner = prefetch;
}

bool
prefetch_is_under_way(const struct prefetch *prefetch)
{
	return prefetch->model != NULL;
}

/* An errand's run: the copies are over. */
static void
finish(void *owner)
{
	struct prefetch *prefetch = owner;
	struct engine_device *device = prefetch->device;
	struct engine_model *model = prefetch->model;
	bool failed = prefetch->outcome.code != ERR_OK;
	if (failed)
		log_warn("prefetch of '%s' to device %u: %s", model->name, device->view.id,
			 prefetch->outcome.message);
	else if (prefetch->began_at != 0 && !prefetch->from_disk)
		view_load_measured(device, prefetch->bytes, clock_now() - prefetch->began_at);
	tracing_load(device, model, prefetch->issued_at, prefetch->bytes, true);
	swap_end_load(device, model, prefetch->load, failed ? &prefetch->outcome : NULL);
	prefetch->model = NULL;
	device->view.prefetching = -1;
	models_unref(model);
	schedule_unpark(device);
}

/* A stream_done_f. */
static void
copied(void *context, const struct error *error)
{
	struct prefetch *prefetch = context;
	if (error != NULL && prefetch->outcome.code == ERR_OK)
		prefetch->outcome = *error;
	prefetch->errand.run = finish;
	submit_post_back(prefetch->device->engine, &prefetch->errand);
}

/* An errand's run, on the submit thread. The stream's notify brings what went wrong with the copies. */
static void
issue(void *owner)
{
	struct prefetch *prefetch = owner;
	struct device_stream *copy_in = prefetch->device->copy_in;
	struct error error = { .code = ERR_OK };
	const struct residency_source source = { .host = copy_in,
						 .widen = prefetch->device->widen,
						 .from_disk = prefetch->from_disk,
						 .label = prefetch->label };
	if (residency_issue_load(prefetch->load, &source) != 0)
		error = *error_last();
	prefetch->outcome = error;
	struct device_stream *const streams[] = { copy_in, prefetch->device->widen };
	stream_notify_all(streams, 2, &prefetch->join, copied, prefetch);
}

/* As much of the rest of the model as there is, or can be made, room for; NULL: none of it. */
static struct residency_load *
begin_load(struct engine_device *device, struct residency *residency, uint32_t all)
{
	uint64_t needed = 0;
	struct residency_load *load;
	while ((load = residency_begin_load(residency, all, &needed)) == NULL)
		if (needed == 0 || swap_evict(device, needed) == 0)
			break;
	if (load != NULL || needed == 0)
		return load;
	struct pool_stats stats;
	pool_stats(device->pool, &stats);
	return residency_begin_load(residency,
				    residency_groups_within(residency, stats.capacity - stats.used),
				    &needed);
}

static void
begin(struct engine_device *device, struct engine_model *model)
{
	struct prefetch *prefetch = &device->prefetch;
	struct residency *residency = models_residency(model, device);
	if (residency == NULL)
		return;
	uint32_t had = residency_groups(residency);
	const struct image *image = model_image(model->model);
	/* What is there of it already is not to make room for the rest. */
	residency_pin(residency, had);
	view_residency_changed(model, device);
	struct residency_load *load = begin_load(device, residency, image->group_count);
	residency_unpin(residency, had);
	if (load != NULL) {
		bool alone = device->loads == 0;
		prefetch->model = models_ref(model);
		prefetch->load = load;
		prefetch->bytes =
			image_bytes_of(image_on_host(image), had, residency_groups(residency));
		prefetch->issued_at = clock_now();
		prefetch->began_at = alone ? prefetch->issued_at : 0;
		prefetch->errand.run = issue;
		device->view.prefetching = (int32_t)model->view.id;
		device->prefetches++;
		prefetch->label = trace_is_on() ? trace_name(model->name) : 0;
		prefetch->from_disk = swap_begin_load(device, model);
	}
	view_residency_changed(model, device);
	if (load != NULL)
		submit_post(device, &prefetch->errand);
}

/* A model of that view. */
static struct engine_model *
model_of(const struct view_model *view)
{
	/* The view is the first member. */
	return (struct engine_model *)(uintptr_t)view;
}

void
prefetch_look_ahead(struct engine *engine)
{
	if (engine->stopping || !policy_has_prefetch(engine->policy))
		return;
	for (uint32_t i = 0; i < engine->device_count && engine->view.job_count > 1; i++) {
		struct engine_device *device = &engine->devices[i];
		if (device->job == NULL || device->lost || prefetch_is_under_way(&device->prefetch))
			continue;
		const struct view_model *wanted = policy_prefetch(engine->policy, i);
		if (wanted != NULL)
			begin(device, model_of(wanted));
	}
}
