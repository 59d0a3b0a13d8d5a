#include "path/deploy_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/match.h"
#include "path/decode.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/request.h"

enum {
	/* A test may take so long, loading models included. */
	TEST_SECONDS = 60,
	TEST_NAME_BYTES = 96,
};

static const double TOLERANCE_DEFAULT = 1e-4;
static const unsigned char nil = 0xc0;

/* One test, as the script wrote it. */
struct test {
	struct slice name;
	struct slice request;
	/* Empty: any answer will do. */
	struct slice expect;
	/* Code that the answer must be an error of; empty: none. */
	struct slice error;
	double tolerance;
};

struct deploy_test {
	struct engine *engine;
	struct generation *generation;
	/* What is left of the list. */
	struct reader rest;
	uint32_t left;
	uint32_t number;
	struct test test;
	/* Under way; NULL between two. */
	struct request *request;
	struct deploy_test **slot;
	deploy_test_f *done;
	void *context;
};

static int
read_field(struct reader *reader, struct test *test)
{
	struct slice key;
	if (reader_string(reader, "test: key", &key) != 0)
		return -1;
	if (slice_is(key, "name"))
		return reader_string(reader, "test.name", &test->name);
	if (slice_is(key, "request"))
		return reader_any(reader, &test->request);
	if (slice_is(key, "expect"))
		return reader_any(reader, &test->expect);
	if (slice_is(key, "error"))
		return reader_string(reader, "test.error", &test->error);
	if (slice_is(key, "tolerance"))
		return reader_double(reader, "test.tolerance", &test->tolerance);
	return error_set(ERR_INVALID_ARGUMENT, "test: unknown key '%.*s'", (int)key.bytes,
			 (const char *)key.data);
}

static int
read_test(struct deploy_test *run)
{
	uint32_t pairs;
	run->test =
		(struct test){ .request = { &nil, sizeof(nil) }, .tolerance = TOLERANCE_DEFAULT };
	if (reader_map(&run->rest, "test", &pairs) != 0)
		return -1;
	for (uint32_t i = 0; i < pairs; i++)
		if (read_field(&run->rest, &run->test) != 0)
			return -1;
	return 0;
}

/* --- judging -------------------------------------------------------------------------------------------------------- */

static int
judge_error(const struct test *test, const struct error *error)
{
	if (test->error.data == NULL)
		return error_set(ERR_FAILED_PRECONDITION, "%s: %s", error_code_name(error->code),
				 error->message);
	if (slice_is(test->error, error_code_name(error->code)))
		return 0;
	return error_set(ERR_FAILED_PRECONDITION, "the error %.*s was expected, is %s: %s",
			 (int)test->error.bytes, (const char *)test->error.data,
			 error_code_name(error->code), error->message);
}

static int
judge_result(const struct test *test, const struct writer *result)
{
	if (test->error.data != NULL)
		return error_set(ERR_FAILED_PRECONDITION,
				 "the error %.*s was expected, but it answered",
				 (int)test->error.bytes, (const char *)test->error.data);
	if (test->expect.data == NULL)
		return 0;
	struct slice got = { &nil, sizeof(nil) };
	if (result != NULL)
		got = (struct slice){ result->data, result->bytes };
	return match_value(test->expect, got, test->tolerance);
}

static int
judge(const struct deploy_test *run, const struct request *request)
{
	const struct test *test = &run->test;
	char name[TEST_NAME_BYTES] = "";
	int status = request->error != NULL ? judge_error(test, request->error)
					    : judge_result(test, request->result);
	if (test->name.data != NULL)
		snprintf(name, sizeof(name), " '%.*s'", (int)test->name.bytes,
			 (const char *)test->name.data);
	return status == 0 ? 0 : error_wrap("test[%u]%s", run->number, name);
}

/* --- running -------------------------------------------------------------------------------------------------------- */

static void
finish(struct deploy_test *run, const struct error *error)
{
	*run->slot = NULL;
	generation_unref(run->generation);
	run->done(run->context, error);
	free(run);
}

static void
fail(struct deploy_test *run)
{
	struct error why = *error_last();
	finish(run, &why);
}

static int
run_next(struct deploy_test *run);

static void
on_ended(void *context, struct request *request)
{
	struct deploy_test *run = context;
	run->request = NULL;
	if (judge(run, request) != 0)
		fail(run);
	else if (run->left == 0)
		finish(run, NULL);
	else if (run_next(run) != 0)
		fail(run);
}

/* The run may be over, and gone, when this returns 0. */
static int
run_next(struct deploy_test *run)
{
	run->left--;
	run->number++;
	if (read_test(run) != 0)
		return -1;
	struct request *request = request_new_inside(run->engine, on_ended, run);
	if (request == NULL)
		return -1;
	run->request = request;
	request->generation = generation_ref(run->generation);
	request->value = run->test.request;
	request_set_deadline(request, clock_now() + TEST_SECONDS * UINT64_C(1000000000));
	route_enter(request, ROUTE_handle);
	return 0;
}

void
deploy_test_run(struct engine *engine, struct generation *generation, struct slice tests,
		struct deploy_test **slot, deploy_test_f *done, void *context)
{
	struct deploy_test *run = calloc(1, sizeof(*run));
	if (run == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "test: no memory");
		done(context, error_last());
		return;
	}
	run->engine = engine;
	run->generation = generation_ref(generation);
	run->slot = slot;
	run->done = done;
	run->context = context;
	*slot = run;
	reader_create(&run->rest, tests);
	if (reader_array(&run->rest, "test", &run->left) != 0)
		fail(run);
	else if (run->left == 0)
		finish(run, NULL);
	else if (run_next(run) != 0)
		fail(run);
}

void
deploy_test_stop(struct deploy_test *run)
{
	if (run->request != NULL)
		request_cancel(run->request, ERR_UNAVAILABLE, "node: shutting down");
}
