#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "path/deploy_parts.h"
#include "path/functions.h"
#include "path/models.h"
#include "path/state.h"

static void
restored(void *context, const char *name, uint32_t generation, const struct error *error)
{
	struct engine *engine = context;
	if (error != NULL)
		log_error("state: function '%s' could not be restored: %s", name, error->message);
	else
		log_info("state: function '%s' is back, generation %u", name, generation);
	engine->restore_failures += error != NULL;
	/* What a function that failed needs is kept for the next try. */
	if (--engine->restoring == 0 && engine->restore_failures == 0)
		models_collect(engine);
}

static void
restore_one(void *context, const char *name)
{
	struct engine *engine = context;
	struct slice record;
	if (state_read(engine, "functions", name, &record) != 0) {
		log_error("state: function '%s': %s", name, error_last()->message);
		engine->restore_failures++;
		return;
	}
	engine->restoring++;
	if (deploy_begin(engine, record, DEPLOY_KEPT, restored, engine) != 0)
		restored(engine, name, 0, error_last());
	free((void *)(uintptr_t)record.data);
}

int
deploy_restore(struct engine *engine)
{
	return state_each(engine, "functions", restore_one, engine);
}

/* --- going back ----------------------------------------------------------------------------------------------------- */

/* The number to go back to; 0 with the error set. */
static uint32_t
choose(struct engine *engine, const char *name, uint32_t wanted)
{
	struct slice slice = { (const unsigned char *)name, strlen(name) };
	const struct engine_function *function = functions_find(engine, slice);
	const struct generations *kept = generations_find(engine, name);
	if (function == NULL) {
		error_set(ERR_NOT_FOUND, "function '%s': not deployed", name);
		return 0;
	}
	uint32_t current = function->current->number;
	uint32_t number = wanted != 0 || kept == NULL ? wanted : generations_before(kept, current);
	if (number == 0)
		error_set(ERR_FAILED_PRECONDITION, "function '%s': no generation before %u is kept",
			  name, current);
	else if (kept == NULL || !generations_has(kept, number)) {
		error_set(ERR_NOT_FOUND, "function '%s': generation %u is not kept", name, number);
		return 0;
	}
	return number;
}

int
deploy_back(struct engine *engine, const char *name, uint32_t generation, deploy_done_f *done,
	    void *context)
{
	struct slice record;
	uint32_t number = choose(engine, name, generation);
	if (number == 0 || generations_read(engine, name, number, &record) != 0)
		return -1;
	int status = deploy_begin(engine, record, DEPLOY_BACK, done, context);
	free((void *)(uintptr_t)record.data);
	return status;
}
