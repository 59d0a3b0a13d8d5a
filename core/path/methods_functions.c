/*
 * Methods about functions: function.deploy, remove, list, stats, logs.
 */
#include <stdlib.h>
#include <string.h>

#include "path/deploy.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/generations.h"
#include "path/methods.h"
#include "path/request.h"
#include "path/state.h"

static void
deployed(void *context, const char *name, uint32_t generation, const struct error *error)
{
	struct request *request = pending_end(context);
	if (request == NULL)
		return;
	if (error != NULL) {
		error_restore(error);
		route_fail(request);
		return;
	}
	struct writer *result = request_result(request);
	if (result == NULL) {
		route_fail(request);
		return;
	}
	writer_map(result, 2);
	writer_string(result, "name");
	writer_string(result, name);
	writer_string(result, "generation");
	writer_uint(result, generation);
	route_enter(request, ROUTE_reply);
}

static int
call_deploy(struct request *request)
{
	struct slice record;
	if (methods_parameter(request, 0, "function", &record) != 0)
		return -1;
	struct pending *pending = pending_new(request);
	if (pending == NULL)
		return -1;
	if (deploy_begin(request->engine, record, false, deployed, pending) != 0) {
		pending_end(pending);
		return -1;
	}
	return ROUTE_WAIT;
}

static int
call_rollback(struct request *request)
{
	struct slice name;
	char text[ENGINE_NAME_BYTES];
	uint32_t generation = 0;
	if (methods_string(request, "name", &name) != 0 || state_check_name("name", name) != 0 ||
	    methods_number(request, "generation", UINT32_MAX, &generation) != 0)
		return -1;
	snprintf(text, sizeof(text), "%.*s", (int)name.bytes, (const char *)name.data);
	struct pending *pending = pending_new(request);
	if (pending == NULL)
		return -1;
	if (deploy_back(request->engine, text, generation, deployed, pending) != 0) {
		pending_end(pending);
		return -1;
	}
	return ROUTE_WAIT;
}

static struct engine_function *
function_of(struct request *request)
{
	struct slice name;
	if (methods_string(request, "name", &name) != 0)
		return NULL;
	struct engine_function *function = functions_find(request->engine, name);
	if (function == NULL)
		error_set(ERR_NOT_FOUND, "function '%.*s': not deployed", (int)name.bytes,
			  (const char *)name.data);
	return function;
}

static int
call_remove(struct request *request)
{
	struct engine_function *function = function_of(request);
	if (function == NULL || state_remove(request->engine, "functions", function->name) != 0)
		return -1;
	struct writer *result = request_result(request);
	if (result == NULL)
		return -1;
	engine_event(request->engine, "function_removed", function->name, NULL);
	generations_remove(request->engine, function->name);
	functions_remove(function);
	writer_bool(result, true);
	return ROUTE_REPLY;
}

static void
write_pair_double(struct writer *writer, const char *key, double value)
{
	writer_string(writer, key);
	writer_double(writer, value);
}

static void
write_pair_uint(struct writer *writer, const char *key, uint64_t value)
{
	writer_string(writer, key);
	writer_uint(writer, value);
}

static void
write_violations(struct writer *writer, const struct engine_function *function)
{
	writer_string(writer, "violations");
	writer_map(writer, WORKER_VIOLATIONS);
	for (enum worker_violation kind = 0; kind < WORKER_VIOLATIONS; kind++)
		write_pair_uint(writer, worker_violation_name(kind), function->violations[kind]);
}

/* Those in force; none for a function that the core serves. */
static void
write_limits(struct writer *writer, const struct generation *generation)
{
	writer_string(writer, "limits");
	if (generation->script == NULL) {
		writer_map(writer, 0);
		return;
	}
	struct limits limits = *worker_script_limits(generation->script);
	writer_map(writer, LIMITS_COUNT);
	for (int i = 0; i < LIMITS_COUNT; i++)
		write_pair_uint(writer, limits_table[i].name,
				*limits_at(&limits, &limits_table[i]));
}

/* Six pairs. */
static void
write_workers(struct writer *writer, const struct generation *generation)
{
	struct worker_stats stats = { 0 };
	if (generation->script != NULL)
		worker_script_stats(generation->script, &stats);
	writer_string(writer, "handler");
	writer_bool(writer, generation->script != NULL);
	write_pair_uint(writer, "workers", stats.workers);
	write_pair_uint(writer, "requests_in_workers", stats.requests);
	write_pair_uint(writer, "workers_started", stats.started);
	write_pair_uint(writer, "workers_crashed", stats.crashed);
	write_pair_uint(writer, "refused_by_queue", stats.refused);
}

/* What the function asks for, and the runs of two requests and more so far. */
static void
write_batch(struct writer *writer, const struct engine_function *function)
{
	const struct generation *generation = function->current;
	writer_string(writer, "batch");
	writer_map(writer, 6);
	write_pair_uint(writer, "max", generation->batch_max);
	write_pair_double(writer, "window_ms", (double)generation->batch_window_ns / 1e6);
	write_pair_uint(writer, "runs", function->joints);
	write_pair_uint(writer, "requests", function->joined);
	write_pair_uint(writer, "largest", function->joined_most);
	write_pair_uint(writer, "undone", function->joints_undone);
}

static void
write_models(struct writer *writer, const struct generation *generation)
{
	writer_string(writer, "models");
	writer_map(writer, generation->model_count);
	for (uint32_t i = 0; i < generation->model_count; i++) {
		writer_string(writer, generation->model_names[i]);
		writer_string(writer, generation->models[i]->name);
	}
}

/* Numbers of those that function.rollback can go back to. */
static void
write_generations(struct writer *writer, const struct engine_function *function)
{
	const struct generations *kept = generations_find(function->engine, function->name);
	writer_string(writer, "generations");
	writer_array(writer, kept == NULL ? 0 : kept->count);
	for (uint32_t i = 0; kept != NULL && i < kept->count; i++)
		writer_uint(writer, kept->numbers[i]);
}

/*
 * Thirteen pairs. A function complies while at least the share of its requests that it declares was in time; without an
 * objective, or without requests yet, it does.
 */
static void
write_service(struct writer *writer, const struct engine_function *function)
{
	const struct view_function *view = &function->view;
	const struct histogram *latency = &function->latency;
	double share = view->requests > 0 ? view->in_time / view->requests : 1;
	write_pair_double(writer, "slo_percentile", view->slo_percentile * 100);
	write_pair_double(writer, "slo_ms", view->slo_ns / 1e6);
	write_pair_double(writer, "in_time_percent", share * 100);
	writer_string(writer, "complies");
	writer_bool(writer,
		    view->slo_ns == 0 || view->in_time >= view->slo_percentile * view->requests);
	write_pair_uint(writer, "requests", (uint64_t)view->requests);
	write_pair_uint(writer, "in_time", (uint64_t)view->in_time);
	write_pair_uint(writer, "errors", function->errors);
	write_pair_uint(writer, "refused", (uint64_t)view->refused);
	write_pair_double(writer, "mean_ms", view->mean_ns / 1e6);
	write_pair_double(writer, "p50_ms", (double)histogram_quantile(latency, 0.5) / 1e6);
	write_pair_double(writer, "p98_ms", (double)histogram_quantile(latency, 0.98) / 1e6);
	write_pair_double(writer, "p99_ms", (double)histogram_quantile(latency, 0.99) / 1e6);
	write_pair_double(writer, "max_ms", (double)latency->max / 1e6);
}

static void
write_function(struct writer *writer, const struct engine_function *function)
{
	writer_map(writer, 26);
	writer_string(writer, "name");
	writer_string(writer, function->name);
	write_pair_uint(writer, "generation", function->current->number);
	write_generations(writer, function);
	write_workers(writer, function->current);
	write_limits(writer, function->current);
	write_violations(writer, function);
	write_batch(writer, function);
	write_models(writer, function->current);
	write_service(writer, function);
}

static int
call_list(struct request *request)
{
	struct engine *engine = request->engine;
	struct writer *result = request_result(request);
	uint32_t count = 0;
	if (result == NULL)
		return -1;
	list_each(link, &engine->functions)
		count += list_entry(link, struct engine_function, of_engine)->current != NULL;
	writer_array(result, count);
	list_each(link, &engine->functions) {
		struct engine_function *function =
			list_entry(link, struct engine_function, of_engine);
		if (function->current != NULL)
			write_function(result, function);
	}
	return ROUTE_REPLY;
}

static int
call_stats(struct request *request)
{
	struct engine_function *function = function_of(request);
	struct writer *result = function == NULL ? NULL : request_result(request);
	if (result == NULL)
		return -1;
	write_function(result, function);
	return ROUTE_REPLY;
}

/* The lines of the log after the first `after`, as far as it still has them. */
static void
write_lines(struct writer *writer, const struct log_ring *log, uint64_t after)
{
	uint64_t own = log->count - log->begun;
	uint64_t held = own < FUNCTION_LOG_LINES ? own : FUNCTION_LOG_LINES;
	uint64_t wanted = after > log->count ? 0 : log->count - after;
	uint32_t lines = (uint32_t)(wanted < held ? wanted : held);
	writer_array(writer, lines);
	for (uint32_t i = 0; i < lines; i++) {
		uint32_t place = (log->next + FUNCTION_LOG_LINES - lines + i) % FUNCTION_LOG_LINES;
		writer_string(writer, log->lines[place]);
	}
}

static int
call_logs(struct request *request)
{
	uint32_t after = UINT32_MAX;
	struct engine_function *function = function_of(request);
	if (function == NULL || methods_number(request, "after", UINT32_MAX, &after) != 0)
		return -1;
	struct writer *result = request_result(request);
	if (result == NULL)
		return -1;
	if (after == UINT32_MAX) {
		write_lines(result, function->log, 0);
		return ROUTE_REPLY;
	}
	writer_map(result, 2);
	writer_string(result, "lines");
	write_lines(result, function->log, after);
	write_pair_uint(result, "next", function->log->count);
	return ROUTE_REPLY;
}

const struct method methods_of_functions[] = {
	{ "function.deploy",
	  "({name?, source, chunk?, models={LOCAL={path|data|hash}}?, files={NAME=bin}?})",
	  "Make a new generation of a function and switch to it", call_deploy, false },
	{ "function.rollback", "({name, generation?})",
	  "Go back to a kept generation of a function; without a number to the one before",
	  call_rollback, false },
	{ "function.remove", "(name)", "Take a function away; its requests under way are served",
	  call_remove, false },
	{ "function.list", "()", "All functions with their figures", call_list, false },
	{ "function.stats", "(name)", "The figures of one function", call_stats, false },
	{ "function.logs", "({name, after?})",
	  "The last lines that its handler logged; with after {lines, next}: those since that "
	  "count",
	  call_logs, false },
	{ 0 },
};
