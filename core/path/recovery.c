#include "path/recovery.h"

#include "base/clock.h"
#include "base/log.h"
#include "path/devices.h"
#include "path/engine.h"
#include "path/job.h"
#include "path/schedule.h"
#include "path/view.h"

static const uint64_t longest_delay_ns = UINT64_C(60) * 1000 * 1000 * 1000;

static uint64_t
first_delay_ns(const struct engine_device *device)
{
	return (uint64_t)device->engine->config->devices[device->view.id].reopen_ms * 1000 * 1000;
}

void
recovery_plan(struct engine_device *device)
{
	struct recovery *recovery = &device->recovery;
	recovery->delay_ns = first_delay_ns(device);
	recovery->next_at = clock_now() + recovery->delay_ns;
}

/* --- what is in the way -------------------------------------------------------------------------------------------------- */

/* Does a copy from or to what the model has there go on, or does it hold its image's lock? */
static bool
is_in_use(const struct engine_model *model, const struct engine_device *device)
{
	const struct residency *residency = model->residency[device->view.id];
	return (residency != NULL && residency_pinned(residency) > 0) || model->lock.drop != NULL ||
	       ((model->lock.state == LOCKING_UNDER_WAY || model->lock.state == LOCKING_LOCKED) &&
		model->lock.device == device->device);
}

/* Images that it locked are unlocked as soon as no device copies from them; another device may lock them then. */
static void
unlock_images(struct engine_device *device)
{
	list_each(link, &device->engine->models) {
		struct engine_model *model = list_entry(link, struct engine_model, of_engine);
		if (model->lock.device == device->device && model->store.pins == 0 &&
		    model->lock.drop == NULL)
			locking_end(model);
	}
}

/* Requests that hold memory there end soon: their next job fails. Nor may others copy from there, or by way of it. */
static bool
is_quiet(const struct engine_device *device)
{
	const struct engine *engine = device->engine;
	if (device->job != NULL || device->loads > 0 || device->holders > 0 ||
	    !list_is_empty(&device->parked) || prefetch_is_under_way(&device->prefetch))
		return false;
	for (uint32_t i = 0; i < engine->device_count; i++) {
		const struct job *job = engine->devices[i].job;
		if (job != NULL && job->peer == device)
			return false;
	}
	list_each(link, &engine->models) {
		if (is_in_use(list_entry(link, struct engine_model, of_engine), device))
			return false;
	}
	return true;
}

/* --- a try --------------------------------------------------------------------------------------------------------------- */

static void
forget_models(struct engine_device *device)
{
	list_each(link, &device->engine->models) {
		struct engine_model *model = list_entry(link, struct engine_model, of_engine);
		struct residency **residency = &model->residency[device->view.id];
		if (*residency == NULL)
			continue;
		residency_delete(*residency);
		*residency = NULL;
		view_residency_changed(model, device);
	}
	if (device->scratch != NULL)
		pool_free(device->pool, device->scratch);
	device->scratch = NULL;
	view_device_memory(device);
}

/* An errand's run, on the main loop again. */
static void
come_back(void *owner)
{
	struct engine_device *device = owner;
	struct recovery *recovery = &device->recovery;
	const char *name = device_properties(device->device)->name;
	recovery->is_under_way = false;
	if (recovery->outcome.code != ERR_OK) {
		recovery->next_at = clock_now() + recovery->delay_ns;
		log_warn("device %u is lost still, and tried again in %.1f s: %s", device->view.id,
			 (double)recovery->delay_ns / 1e9, recovery->outcome.message);
		recovery->delay_ns = 2 * recovery->delay_ns < longest_delay_ns
					     ? 2 * recovery->delay_ns
					     : longest_delay_ns;
		return;
	}
	device->lost = false;
	recovery->count++;
	view_device_busy(device, NULL, clock_now());
	log_info("device %u is back: %s", device->view.id, name);
	engine_event(device->engine, "device_reopened", name, NULL);
	schedule_want_dispatch(device->engine);
}

/* An errand's run, on the submit thread. */
static void
reopen(void *owner)
{
	struct engine_device *device = owner;
	struct recovery *recovery = &device->recovery;
	recovery->outcome = (struct error){ .code = ERR_OK };
	if (devices_reopen(device) != 0)
		recovery->outcome = *error_last();
	recovery->errand.run = come_back;
	submit_post_back(device->engine, &recovery->errand);
}

void
recovery_look(struct engine *engine)
{
	uint64_t now = clock_now();
	for (uint32_t i = 0; i < engine->device_count; i++) {
		struct engine_device *device = &engine->devices[i];
		struct recovery *recovery = &device->recovery;
		if (!device->lost || recovery->is_under_way || first_delay_ns(device) == 0 ||
		    now < recovery->next_at || engine->stopping)
			continue;
		unlock_images(device);
		if (!is_quiet(device))
			continue;
		forget_models(device);
		recovery->is_under_way = true;
		recovery->errand.owner = device;
		recovery->errand.run = reopen;
		submit_post(device, &recovery->errand);
	}
}
