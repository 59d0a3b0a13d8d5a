#include "path/keeping.h"

#include "base/log.h"
#include "path/engine.h"
#include "path/locking.h"
#include "path/models.h"
#include "path/tier.h"

/* How long images wait at first: the calls that a deploy was for come right behind it. */
enum { DELAY_MS = 500 };

const char *
keeping_name(enum keeping_state state)
{
	static const char *const names[] = { "kept", "writing", "memory" };
	return names[state];
}

static void
start_next(struct engine *engine);

/* Pool thread. */
static void
run_keep(uv_work_t *work)
{
	struct engine *engine = work->data;
	engine->keeping.status = model_keep(engine->keeping.writing);
	if (engine->keeping.status != 0)
		engine->keeping.error = *error_last();
}

static void
note_result(struct engine_model *model)
{
	struct engine *engine = model->engine;
	if (engine->keeping.status != 0) {
		model->keeping = KEEPING_FAILED;
		log_warn("model '%s': %s", model->name, engine->keeping.error.message);
		return;
	}
	model->keeping = KEEPING_KEPT;
	store_let_go(&engine->store, &model->store);
	locking_begin(model);
	clearing_begin(engine);
}

static void
keep_done(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct engine *engine = work->data;
	struct engine_model *model = engine->keeping.current;
	model_unref(engine->keeping.writing);
	engine->keeping.writing = NULL;
	engine->keeping.current = NULL;
	if (model != NULL)
		note_result(model);
	start_next(engine);
}

static void
start_next(struct engine *engine)
{
	if (engine->keeping.writing != NULL || list_is_empty(&engine->keeping.waiting))
		return;
	engine->keeping.current = list_entry(list_pop_front(&engine->keeping.waiting),
					     struct engine_model, of_keeping);
	engine->keeping.writing = model_ref(engine->keeping.current->model);
	uv_queue_work(&engine->loop, &engine->keeping.work, run_keep, keep_done);
}

static void
on_timer(uv_timer_t *timer)
{
	start_next(timer->data);
}

void
keeping_open(struct engine *engine)
{
	list_create(&engine->keeping.waiting);
	uv_timer_init(&engine->loop, &engine->keeping.timer);
	engine->keeping.timer.data = engine->keeping.work.data = engine;
}

void
keeping_begin(struct engine_model *model)
{
	struct engine *engine = model->engine;
	uint64_t bytes = model_waiting(model->model);
	if (bytes == 0)
		return;
	model->keeping = KEEPING_WRITING;
	store_hold(&engine->store, &model->store, bytes);
	tier_look_everywhere(model);
	list_push_back(&engine->keeping.waiting, &model->of_keeping);
	if (engine->keeping.writing == NULL && !uv_is_active((uv_handle_t *)&engine->keeping.timer))
		uv_timer_start(&engine->keeping.timer, on_timer, DELAY_MS, 0);
}

void
keeping_forget(struct engine_model *model)
{
	struct engine *engine = model->engine;
	if (model->keeping == KEEPING_KEPT)
		return;
	if (engine->keeping.current == model)
		engine->keeping.current = NULL;
	else
		list_remove(&model->of_keeping);
	store_let_go(&engine->store, &model->store);
}

void
keeping_drain(struct engine *engine)
{
	start_next(engine);
	while (engine->keeping.writing != NULL)
		uv_run(&engine->loop, UV_RUN_ONCE);
}
