/*
 * A script's own tests: requests that a new generation answers before it serves anybody, one after the other, in its own
 * worker, which is warm by then. Main loop.
 */
#pragma once

#include "base/error.h"
#include "net/slice.h"

struct engine;
struct generation;
struct deploy_test;

/* Called once; error is NULL when all tests passed, else FAILED_PRECONDITION naming the test and what differs. */
typedef void
deploy_test_f(void *context, const struct error *error);

/*
 * Run the tests: a MessagePack list of {name?, request, expect?, error?, tolerance?}
 * (worker/contract.lua), which stays in place until done is called, from the loop or during the
 * call. *slot is what runs, for deploy_test_stop; NULL before done is called.
 */
void
deploy_test_run(struct engine *engine, struct generation *generation, struct slice tests,
		struct deploy_test **slot, deploy_test_f *done, void *context);

/* The node ends: what runs is cancelled, and done called. */
void
deploy_test_stop(struct deploy_test *test);
