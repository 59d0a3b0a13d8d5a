#include "path/functions.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "path/decode.h"
#include "path/models.h"
#include "path/view.h"

enum { FIRST_ROOM = 64 };

/* The place of that name in the table, or the free place where it would go. */
static uint32_t
place_of(const struct engine *engine, struct slice name)
{
	uint32_t mask = engine->function_room - 1;
	uint32_t place = (uint32_t)XXH3_64bits(name.data, name.bytes) & mask;
	while (engine->function_table[place] != NULL &&
	       !slice_is(name, engine->function_table[place]->name))
		place = (place + 1) & mask;
	return place;
}

static struct engine_function *
find(struct engine *engine, struct slice name)
{
	return engine->function_room == 0 ? NULL : engine->function_table[place_of(engine, name)];
}

struct engine_function *
functions_find(struct engine *engine, struct slice name)
{
	struct engine_function *function = find(engine, name);
	return function == NULL || function->current == NULL ? NULL : function;
}

static void
function_unref(struct engine_function *function)
{
	if (--function->references > 0)
		return;
	for (uint32_t i = 0; i < FUNCTION_LOG_LINES; i++)
		free(function->log->lines[i]);
	free(function->log);
	free(function);
}

static struct slice
name_of(const struct engine_function *function)
{
	return (struct slice){ (const unsigned char *)function->name, strlen(function->name) };
}

/* A table of that many places with every function in it; places must exceed the functions. */
static int
build_table(struct engine *engine, uint32_t room)
{
	struct engine_function **table = calloc(room, sizeof(struct engine_function *));
	if (table == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: no memory for more functions");
	free(engine->function_table);
	engine->function_table = table;
	engine->function_room = room;
	list_each(link, &engine->functions) {
		struct engine_function *function =
			list_entry(link, struct engine_function, of_engine);
		table[place_of(engine, name_of(function))] = function;
	}
	return 0;
}

static struct engine_function *
add_function(struct engine *engine, const char *name)
{
	struct engine_function *function = calloc(1, sizeof(*function));
	if (function != NULL)
		function->log = calloc(1, sizeof(*function->log));
	if (function == NULL || function->log == NULL) {
		free(function);
		error_set(ERR_RESOURCE_EXHAUSTED, "function '%s': no memory", name);
		return NULL;
	}
	snprintf(function->name, sizeof(function->name), "%s", name);
	function->engine = engine;
	function->references = 1;
	function->log->count = function->log->begun = engine->lines_gone;
	list_create(&function->generations);
	if (view_add_function(engine, function) != 0) {
		free(function->log);
		free(function);
		return NULL;
	}
	list_push_back(&engine->functions, &function->of_engine);
	return function;
}

struct engine_function *
functions_make(struct engine *engine, const char *name)
{
	struct slice slice = { (const unsigned char *)name, strlen(name) };
	struct engine_function *function = find(engine, slice);
	if (function != NULL)
		return function;
	if (engine->view.function_count * 2 >= engine->function_room &&
	    build_table(engine,
			engine->function_room == 0 ? FIRST_ROOM : engine->function_room * 2) != 0)
		return NULL;
	function = add_function(engine, name);
	if (function != NULL)
		engine->function_table[place_of(engine, slice)] = function;
	return function;
}

void
functions_attach(struct engine_function *function, struct generation *generation)
{
	generation->function = function;
	function->references++;
	list_push_back(&function->generations, &generation->of_function);
}

void
functions_forget_empty(struct engine_function *function)
{
	if (function->current == NULL && !function->removed)
		functions_remove(function);
}

void
functions_switch(struct engine_function *function, struct generation *generation)
{
	struct generation *old = function->current;
	assert(generation->function == function);
	function->current = generation;
	if (generation->number > function->deployed)
		function->deployed = generation->number;
	if (old != NULL)
		generation_unref(old);
}

void
functions_remove(struct engine_function *function)
{
	struct engine *engine = function->engine;
	struct generation *last = function->current;
	view_remove_function(engine, function);
	list_remove(&function->of_engine);
	build_table(engine, engine->function_room);
	function->current = NULL;
	function->removed = true;
	if (function->log->count > function->engine->lines_gone)
		function->engine->lines_gone = function->log->count;
	if (last != NULL)
		generation_unref(last);
	function_unref(function);
}

struct generation *
generation_new(uint32_t model_count)
{
	struct generation *generation = calloc(1, sizeof(*generation));
	if (generation == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "function: no memory");
		return NULL;
	}
	generation->references = 1;
	list_create(&generation->of_function);
	list_create(&generation->joints);
	generation->models = calloc(model_count + 1, sizeof(*generation->models));
	generation->model_names = calloc(model_count + 1, sizeof(*generation->model_names));
	if (generation->models == NULL || generation->model_names == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "function: no memory");
		generation_unref(generation);
		return NULL;
	}
	return generation;
}

struct generation *
generation_ref(struct generation *generation)
{
	generation->references++;
	return generation;
}

void
generation_unref(struct generation *generation)
{
	if (--generation->references > 0)
		return;
	if (generation->script != NULL)
		worker_script_retire(generation->script);
	for (uint32_t i = 0; i < generation->model_count; i++) {
		models_unref(generation->models[i]);
		free(generation->model_names[i]);
	}
	list_remove(&generation->of_function);
	if (generation->function != NULL)
		function_unref(generation->function);
	free(generation->models);
	free(generation->model_names);
	free(generation);
}

static void
keep_line(struct log_ring *log, const char *text, size_t length)
{
	free(log->lines[log->next]);
	log->lines[log->next] = strndup(text, length);
	log->next = (log->next + 1) % FUNCTION_LOG_LINES;
	log->count++;
}

void
functions_log(struct generation *generation, const char *text, size_t length)
{
	if (generation->function != NULL)
		keep_line(generation->function->log, text, length);
}

void
functions_destroy(struct engine *engine)
{
	list_each_safe(link, &engine->functions) {
		functions_remove(list_entry(link, struct engine_function, of_engine));
	}
	free(engine->function_table);
	engine->function_table = NULL;
	engine->function_room = 0;
}
