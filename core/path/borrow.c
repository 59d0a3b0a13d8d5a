#include "path/borrow.h"

#include "model/residency.h"
#include "path/engine.h"
#include "path/job.h"
#include "path/schedule.h"
#include "path/view.h"

static const char *const names[] = {
#define X(name) [BORROW_##name] = #name,
	BORROW_REFUSALS(X)
#undef X
};

const char *
borrow_refusal_name(enum borrow_refusal refusal)
{
	return names[refusal];
}

static double
peer_rate(const struct job *job)
{
	const struct engine *engine = job->device->engine;
	return engine
		->view_peer_rates[job->device->view.id * engine->device_count + job->peer->view.id];
}

/* What stands against it, as far as can be seen before memory is taken; BORROW_REFUSALS_END: nothing. */
static enum borrow_refusal
objection(const struct job *job)
{
	const struct engine_device *device = job->device, *neighbour = job->peer;
	if (neighbour->lost)
		return BORROW_lost;
	if (device->copy_peer == NULL || !device_has_peer(device->device, neighbour->device))
		return BORROW_unlinked;
	if (device->view.switch_id != DEVICE_NO_SWITCH &&
	    device->view.switch_id == neighbour->view.switch_id)
		return BORROW_shared;
	if (!job->relays && (neighbour->borrower != NULL || neighbour->loads > 0))
		return BORROW_busy;
	if (device->view.load_rate <= 0 || neighbour->view.load_rate <= 0 || peer_rate(job) <= 0)
		return BORROW_unmeasured;
	return BORROW_REFUSALS_END;
}

static enum borrow_refusal
attach(const struct job *job, struct residency_load *load)
{
	if (residency_relay_load(load, job->peer->pool, job->peer->device) == 0)
		return BORROW_REFUSALS_END;
	enum error_code why = error_last()->code;
	error_clear();
	return why == ERR_UNIMPLEMENTED ? BORROW_narrow : BORROW_full;
}

void
borrow_for(struct job *job, struct residency_load *load)
{
	if (!job->may_relay)
		return;
	struct engine_device *neighbour = job->peer;
	enum borrow_refusal refusal = objection(job);
	if (refusal == BORROW_REFUSALS_END)
		refusal = attach(job, load);
	if (refusal != BORROW_REFUSALS_END) {
		job->device->borrow_refusals[refusal]++;
		return;
	}
	if (job->relays)
		return;
	job->relays = true;
	neighbour->borrower = job;
	neighbour->loans++;
	/* A load over its link like its own. */
	neighbour->loads++;
	view_device_loading(neighbour);
	view_device_memory(neighbour);
}

void
borrow_end(struct job *job)
{
	if (!job->relays)
		return;
	struct engine_device *neighbour = job->peer;
	job->relays = false;
	neighbour->borrower = NULL;
	neighbour->loads--;
	view_device_loading(neighbour);
	view_device_memory(neighbour);
	schedule_unpark(neighbour);
}
