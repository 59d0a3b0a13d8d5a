#include "path/locking.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "path/engine.h"
#include "path/models.h"
#include "path/tier.h"

/* An image that is locked on a pool thread. */
struct locking {
	uv_work_t work;
	struct engine_model *model;
	struct image_lock lock;
	struct error error;
};

/* An image that is unlocked and whose pages are given back, on a pool thread. */
struct image_drop {
	uv_work_t work;
	struct engine_model *model;
	struct image_lock lock;
	/* Posted when that is done. */
	uv_sem_t done;
};

const char *
locking_name(enum locking_state state)
{
	static const char *const names[] = { "movable", "locking", "locked", "refused" };
	return names[state];
}

/* Some GPU that works; NULL: there is none. */
static struct device *
locker_of(const struct engine *engine)
{
	for (uint32_t i = 0; i < engine->device_count; i++) {
		const struct engine_device *device = &engine->devices[i];
		if (device_properties(device->device)->kind == DEVICE_KIND_CUDA && !device->lost)
			return device->device;
	}
	return NULL;
}

/* --- on a pool thread ---------------------------------------------------------------------------------------------------- */

static void
lock_memory(struct image_lock *lock)
{
	const struct image *image = lock->image;
	lock->state = LOCKING_LOCKED;
	if (device_host_register(lock->device, (void *)image->data, image->bytes) == 0)
		return;
	if (image->path != NULL && image_copy_out(image) == 0) {
		lock->copied = true;
		if (device_host_register(lock->device, (void *)image->data, image->bytes) == 0)
			return;
		lock->copied = image_put_back(image) != 0;
	}
	lock->state = LOCKING_REFUSED;
}

static void
unlock_memory(struct image_lock *lock)
{
	if (lock->state == LOCKING_LOCKED)
		device_host_unregister(lock->device, (void *)lock->image->data);
	if (lock->copied && image_put_back(lock->image) == 0)
		lock->copied = false;
	lock->state = LOCKING_NONE;
}

/* A copy that could not be put back is all there is of the image. */
static void
drop_memory(struct image_lock *lock)
{
	unlock_memory(lock);
	if (!lock->copied)
		store_drop_pages(lock->image);
}

/* --- locking ------------------------------------------------------------------------------------------------------------- */

static void
run_lock(uv_work_t *work)
{
	struct locking *locking = work->data;
	lock_memory(&locking->lock);
	if (locking->lock.state == LOCKING_REFUSED)
		locking->error = *error_last();
}

static void
lock_done(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct locking *locking = work->data;
	struct engine_model *model = locking->model;
	struct engine *engine = model->engine;
	model->lock = locking->lock;
	if (model->lock.state == LOCKING_REFUSED)
		log_warn("model '%s' cannot be page-locked, and is copied more slowly: %s",
			 model->name, locking->error.message);
	/* That device was reset meanwhile, and its locks with it. */
	if (model->lock.state == LOCKING_LOCKED && device_health(model->lock.device) != 0)
		locking_end(model);
	engine->lockings--;
	store_unpin(&engine->store, &model->store);
	models_unref(model);
	free(locking);
}

void
locking_begin(struct engine_model *model)
{
	struct engine *engine = model->engine;
	struct device *device = locker_of(engine);
	if (device == NULL || model->lock.state != LOCKING_NONE || !model->store.is_in_memory ||
	    model->keeping == KEEPING_WRITING || engine->stopping)
		return;
	struct locking *locking = calloc(1, sizeof(*locking));
	if (locking == NULL)
		return;
	model->lock.state = LOCKING_UNDER_WAY;
	locking->model = models_ref(model);
	locking->work.data = locking;
	locking->lock = (struct image_lock){ .device = device,
					     .image = model->store.image,
					     .copied = model->lock.copied };
	store_pin(&engine->store, &model->store);
	engine->lockings++;
	uv_queue_work(&engine->loop, &locking->work, run_lock, lock_done);
}

void
locking_end(struct engine_model *model)
{
	if (model->lock.state == LOCKING_LOCKED)
		unlock_memory(&model->lock);
}

/* --- dropping ------------------------------------------------------------------------------------------------------------ */

static void
run_drop(uv_work_t *work)
{
	struct image_drop *drop = work->data;
	drop_memory(&drop->lock);
	uv_sem_post(&drop->done);
}

/* What became of the lock is the model's again. */
static void
take_back(struct engine_model *model)
{
	model->lock = model->lock.drop->lock;
	model->lock.drop = NULL;
}

static void
drop_done(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct image_drop *drop = work->data;
	struct engine_model *model = drop->model;
	if (model->lock.drop == drop)
		take_back(model);
	model->engine->lockings--;
	uv_sem_destroy(&drop->done);
	models_unref(model);
	free(drop);
}

void
locking_drop(struct engine_model *model)
{
	struct engine *engine = model->engine;
	struct image_drop *drop = malloc(sizeof(*drop));
	model->lock.image = model->store.image;
	/* Simulated nodes have no loop that runs, and no pages. */
	if (clock_is_virtual() || drop == NULL || uv_sem_init(&drop->done, 0) != 0) {
		free(drop);
		drop_memory(&model->lock);
		return;
	}
	drop->work.data = drop;
	drop->model = models_ref(model);
	drop->lock = model->lock;
	model->lock.drop = drop;
	engine->lockings++;
	uv_queue_work(&engine->loop, &drop->work, run_drop, drop_done);
}

void
locking_wait(struct engine_model *model)
{
	if (model->lock.drop == NULL)
		return;
	uv_sem_wait(&model->lock.drop->done);
	take_back(model);
}

void
locking_drain(struct engine *engine)
{
	while (engine->lockings > 0)
		uv_run(&engine->loop, UV_RUN_ONCE);
}
