#include "path/submit.h"

#include <assert.h>

#include "base/clock.h"
#include "path/engine.h"
#include "path/execute.h"
#include "path/job.h"
#include "path/request.h"
#include "path/schedule.h"

/* How long a submit thread looks for the next job before it sleeps; a wake across cores costs about as much. */
static const uint64_t spin_ns = 20 * 1000;

/* Posted to end a submit thread; never run. */
static struct errand stop;

static bool
run_posted(struct mail *mail)
{
	bool goes_on = true;
	while (mail != NULL) {
		struct mail *next = mail->next;
		struct errand *errand = (struct errand *)mail;
		if (errand == &stop)
			goes_on = false;
		else
			errand->run(errand->owner);
		mail = next;
	}
	return goes_on;
}

static void
submit_main(void *context)
{
	struct engine_device *device = context;
	do {
		sleeper_wait(&device->sleeper, &device->mailbox, spin_ns);
	} while (run_posted(mailbox_take(&device->mailbox)));
}

int
submit_start(struct engine_device *device)
{
	if (clock_is_virtual())
		return 0;
	sleeper_create(&device->sleeper);
	mailbox_create(&device->mailbox, sleeper_wake, &device->sleeper);
	if (uv_thread_create(&device->thread, submit_main, device) != 0)
		return error_set(ERR_RESOURCE_EXHAUSTED, "device %u: cannot start its thread",
				 device->view.id);
	return 0;
}

void
submit_stop(struct engine_device *device)
{
	if (clock_is_virtual())
		return;
	mailbox_post(&device->mailbox, &stop.mail);
	uv_thread_join(&device->thread);
}

void
submit_post(struct engine_device *device, struct errand *errand)
{
	if (clock_is_virtual())
		errand->run(errand->owner);
	else
		mailbox_post(&device->mailbox, &errand->mail);
}

void
submit_post_back(struct engine *engine, struct errand *errand)
{
	mailbox_post(&engine->completions, &errand->mail);
}

/* An errand's run. */
static void
run_device_stage(void *job)
{
	execute_on_submit_thread(job);
}

void
submit_job(struct job *job)
{
	job->errand.run = run_device_stage;
	submit_post(job->device, &job->errand);
}

static void
keep_error(struct error *outcome, const struct error *error)
{
	if (error != NULL && outcome->code == ERR_OK)
		*outcome = *error;
}

/* An errand's run, on the main loop again: one of the job's streams has passed it. */
static void
come_back(void *owner)
{
	struct job *job = owner;
	assert(job->outstanding > 0);
	if (--job->outstanding == 0)
		execute_finish(job);
}

static void
come_back_loaded(void *owner)
{
	execute_loaded(owner);
	come_back(owner);
}

void
submit_compute_done(void *context, const struct error *error)
{
	struct job *job = context;
	keep_error(&job->outcome, error);
	job->errand.run = come_back;
	submit_post_back(job->device->engine, &job->errand);
}

void
submit_copies_done(void *context, const struct error *error)
{
	struct job *job = context;
	keep_error(&job->load_outcome, error);
	job->load_errand.run = come_back_loaded;
	submit_post_back(job->device->engine, &job->load_errand);
}

static void
complete(struct mail *mail)
{
	while (mail != NULL) {
		struct mail *next = mail->next;
		struct errand *errand = (struct errand *)mail;
		errand->run(errand->owner);
		mail = next;
	}
}

void
submit_complete(struct engine *engine)
{
	complete(mailbox_take(&engine->completions));
	schedule_dispatch(engine);
}

static void
on_completions(uv_async_t *async)
{
	struct engine *engine = async->data;
	engine->activity++;
	submit_complete(engine);
}

static void
wake_loop(void *async)
{
	uv_async_send(async);
}

int
submit_open(struct engine *engine)
{
	engine->completions_async.data = engine;
	if (uv_async_init(&engine->loop, &engine->completions_async, on_completions) != 0)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: cannot make a wake-up handle");
	mailbox_create(&engine->completions, wake_loop, &engine->completions_async);
	return 0;
}

void
submit_close(struct engine *engine)
{
	complete(mailbox_take(&engine->completions));
	uv_close((uv_handle_t *)&engine->completions_async, NULL);
}
