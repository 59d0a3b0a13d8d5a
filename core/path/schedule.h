/*
 * Stage schedule: a job's programs are looked up or compiled, then the policy decides when and where it runs. Main loop.
 */
#pragma once

#include "script/view.h"

struct job;
struct engine;
struct engine_device;

/* Ask the policy for verdicts until it has none, and send each job on its way. */
void
schedule_dispatch(struct engine *engine);

/* As schedule_dispatch, at the end of this turn of the loop. */
void
schedule_want_dispatch(struct engine *engine);

/*
 * Ask the policy to admit the job, and give it to it. -1 with the error set: RESOURCE_EXHAUSTED when it is refused, with
 * request->retry_after_ms; UNAVAILABLE when no device is left for it.
 */
int
schedule_submit(struct job *job);

/* Take a queued job back from the policy; it is deleted and its request has none. */
void
schedule_withdraw(struct job *job);

/*
 * A dispatched job cannot have its memory now: it waits until some is freed on its device. RESOURCE_EXHAUSTED when nobody
 * is left who would free any.
 */
int
schedule_park(struct job *job);

/* Memory was freed on the device: its parked jobs go back to the policy. */
void
schedule_unpark(struct engine_device *device);

/* The job is over: the policy is told, and knows it no longer. The job itself stays. */
void
schedule_finish(struct job *job, enum view_outcome outcome);

/* A device was lost: end, with UNAVAILABLE, the queued jobs that could run only there; all of them when none is left. */
void
schedule_fail_stranded(struct engine *engine);

/* The job's device was lost: queue it once more. */
void
schedule_again(struct job *job);
