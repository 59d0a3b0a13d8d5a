#include "path/tier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path/engine.h"

static const char *const names[] = {
#define X(name) [TIER_##name] = #name,
	TIERS(X)
#undef X
};

enum { DETAIL_BYTES = 256 + ERROR_MESSAGE_BYTES };

const char *
tier_name(enum tier tier)
{
	return names[tier];
}

const struct tier_state *
tier_state(const struct engine_model *model, const struct engine_device *device)
{
	return &model->tiers[device->view.id];
}

static enum tier
tier_now(const struct engine_model *model, const struct engine_device *device)
{
	static const enum tier tiers[] = {
		[RESIDENCY_ABSENT] = TIER_host,     [RESIDENCY_LOADING] = TIER_loading,
		[RESIDENCY_PARTIAL] = TIER_partial, [RESIDENCY_RESIDENT] = TIER_resident,
		[RESIDENCY_FAILED] = TIER_failed,
	};
	const struct residency *residency = device->lost ? NULL : model->residency[device->view.id];
	enum tier tier = residency == NULL ? TIER_host : tiers[residency_state(residency)];
	return tier == TIER_host && !model->store.is_in_memory ? TIER_disk : tier;
}

static void
tell(const struct engine_model *model, const struct engine_device *device, enum tier from)
{
	const struct tier_state *state = tier_state(model, device);
	char detail[DETAIL_BYTES];
	snprintf(detail, sizeof(detail), "device %u: %s -> %s%s%s", device->view.id, names[from],
		 names[state->tier], state->tier == TIER_failed ? ": " : "",
		 state->tier == TIER_failed && state->reason != NULL ? state->reason : "");
	engine_residency_event(model->engine, model->name, detail);
}

void
tier_look(struct engine_model *model, struct engine_device *device)
{
	struct tier_state *state = &model->tiers[device->view.id];
	enum tier from = state->tier, to = tier_now(model, device);
	if (from == to)
		return;
	state->tier = to;
	model->engine->tier_changes[to]++;
	if (to == TIER_resident) {
		free(state->reason);
		state->reason = NULL;
	}
	tell(model, device, from);
}

void
tier_look_everywhere(struct engine_model *model)
{
	for (uint32_t i = 0; i < model->engine->device_count; i++)
		tier_look(model, &model->engine->devices[i]);
}

void
tier_note_failure(struct engine_model *model, struct engine_device *device,
		  const struct error *error)
{
	struct tier_state *state = &model->tiers[device->view.id];
	free(state->reason);
	state->reason = strdup(error->message);
}

void
tier_forget(struct engine_model *model)
{
	for (uint32_t i = 0; i < model->engine->device_count && model->tiers != NULL; i++)
		free(model->tiers[i].reason);
	free(model->tiers);
}
