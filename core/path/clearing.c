#include "path/clearing.h"

#include "base/log.h"
#include "path/engine.h"

/* Pool thread. */
static void
run_clearing(uv_work_t *work)
{
	struct engine *engine = work->data;
	if (shelf_trim(&engine->shelf) == 0)
		return;
	log_warn("cache: %s", error_last()->message);
	error_clear();
}

static void
clearing_done(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct engine *engine = work->data;
	engine->clearing.is_under_way = false;
	if (engine->clearing.again)
		clearing_begin(engine);
}

void
clearing_begin(struct engine *engine)
{
	struct clearing *clearing = &engine->clearing;
	if (engine->cache_folder[0] == '\0' || engine->stopping)
		return;
	clearing->again = clearing->is_under_way;
	if (clearing->is_under_way)
		return;
	clearing->is_under_way = true;
	clearing->work.data = engine;
	uv_queue_work(&engine->loop, &clearing->work, run_clearing, clearing_done);
}

void
clearing_drain(struct engine *engine)
{
	while (engine->clearing.is_under_way)
		uv_run(&engine->loop, UV_RUN_ONCE);
}
