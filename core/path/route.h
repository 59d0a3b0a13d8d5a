/*
 * The route: the request path as data. A stage is `int path_<stage>(struct request *)` in a file of its own; route.c has the
 * table that names each stage's thread and successor, stamps the clock at every hop and is the only caller of the stages.
 */
#pragma once

#include <stdint.h>

#include "base/histogram.h"

struct request;

/* X(name, thread, next stage) in path order. A request whose handler runs models goes round handle … execute. */
#define ROUTE(X)                                                                                   \
	X(accept, MAIN, decode)                                                                    \
	X(decode, MAIN, admit)                                                                     \
	X(admit, MAIN, handle)                                                                     \
	X(handle, MAIN, schedule)                                                                  \
	X(schedule, MAIN, swap)                                                                    \
	X(swap, MAIN, execute)                                                                     \
	X(execute, DEVICE, handle)                                                                 \
	X(reply, MAIN, reply)

enum route_stage {
#define X(name, thread, next) ROUTE_##name,
	ROUTE(X)
#undef X
		ROUTE_STAGES,
};

enum route_thread {
	/* The main loop. */
	ROUTE_MAIN,
	/* The submit thread of the job's device; the main loop itself for a job that runs inline. */
	ROUTE_DEVICE,
};

/* What a stage says; -1 with the error set sends the request to reply with that error. */
enum route_verdict {
	/* On to the stage's successor. */
	ROUTE_NEXT = 0,
	/* Something will call route_resume (or route_enter) later. */
	ROUTE_WAIT = 1,
	/* Straight to reply. */
	ROUTE_REPLY = 2,
};

/* Time spent between entering a stage and entering the next, ns. */
struct route_stats {
	struct histogram hops[ROUTE_STAGES];
};

const char *
route_stage_name(enum route_stage stage);

/* Enter a stage and go on from there until something has to be waited for. Main loop. */
void
route_enter(struct request *request, enum route_stage stage);

/* Go on behind the stage that the request waited in. Main loop. */
void
route_resume(struct request *request);

/* End the request with the calling thread's error: enter reply. Main loop. */
void
route_fail(struct request *request);

/* Submit thread: run the device stage that the request stands before. ROUTE_WAIT, or -1 with the error set. */
int
route_run_on_device(struct request *request);

/* The stages, each in the file of its name. */
#define X(name, thread, next) int path_##name(struct request *request);
ROUTE(X)
#undef X
