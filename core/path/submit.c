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

/* Posted to end a submit thread; never a job's. */
static struct mail stop_mail;

static bool
run_posted(struct mail *mail)
{
	bool goes_on = true;
	while (mail != NULL) {
		struct mail *next = mail->next;
		if (mail == &stop_mail)
			goes_on = false;
		else
			execute_on_submit_thread(((struct job_mail *)mail)->job);
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
	mailbox_post(&device->mailbox, &stop_mail);
	uv_thread_join(&device->thread);
}

void
submit_post(struct job *job)
{
	if (clock_is_virtual())
		execute_on_submit_thread(job);
	else
		mailbox_post(&job->device->mailbox, &job->mail.mail);
}

static void
keep_error(struct error *outcome, const struct error *error)
{
	if (error != NULL && outcome->code == ERR_OK)
		*outcome = *error;
}

void
submit_compute_done(void *context, const struct error *error)
{
	struct job *job = context;
	keep_error(&job->outcome, error);
	mailbox_post(&job->device->engine->completions, &job->mail.mail);
}

void
submit_copy_done(void *context, const struct error *error)
{
	struct job *job = context;
	keep_error(&job->load_outcome, error);
	mailbox_post(&job->device->engine->completions, &job->load_mail.mail);
}

static void
complete(struct mail *mail)
{
	while (mail != NULL) {
		struct mail *next = mail->next;
		struct job *job = ((struct job_mail *)mail)->job;
		assert(job->outstanding > 0);
		if (mail == &job->load_mail.mail)
			job->loaded_at = clock_now();
		if (--job->outstanding == 0)
			execute_finish(job);
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
