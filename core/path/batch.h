/*
 * Batches: a handler's calls up to its first wait, made into a job, and the job's outcome given back. Main loop.
 */
#pragma once

struct request;

/*
 * Make request->job of request->batch; it stays NULL when nothing has to be run or brought. INVALID_ARGUMENT names the call
 * and the handle at fault.
 */
int
batch_make_job(struct request *request);

/* Answer request->batch from the finished job (or none), with the request's error if it has one. Frees the job. */
void
batch_answer(struct request *request);
