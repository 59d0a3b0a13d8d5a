#include "path/generations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "path/deploy_record.h"
#include "path/state.h"

enum {
	/* "NAME@NUMBER"; no name of a function has an '@'. */
	RECORD_NAME_BYTES = ENGINE_NAME_BYTES + 16,
	RECORD_ARENA_BYTES = 1 << 20,
};

static const char folder[] = "generations";

static void
record_name(const char *name, uint32_t number, char text[RECORD_NAME_BYTES])
{
	snprintf(text, RECORD_NAME_BYTES, "%s@%u", name, number);
}

struct generations *
generations_find(const struct engine *engine, const char *name)
{
	list_each(link, &engine->generations) {
		struct generations *each = list_entry(link, struct generations, of_engine);
		if (strcmp(each->name, name) == 0)
			return each;
	}
	return NULL;
}

struct generations *
generations_make(struct engine *engine, const char *name)
{
	struct generations *generations = generations_find(engine, name);
	if (generations != NULL)
		return generations;
	generations = calloc(1, sizeof(*generations));
	if (generations == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "function '%s': no memory", name);
		return NULL;
	}
	snprintf(generations->name, sizeof(generations->name), "%s", name);
	list_push_back(&engine->generations, &generations->of_engine);
	return generations;
}

uint32_t
generations_next(const struct engine *engine, const struct engine_function *function,
		 const char *name)
{
	const struct generations *kept = generations_find(engine, name);
	uint32_t newest = function == NULL ? 0 : function->deployed;
	if (kept != NULL && kept->count > 0 && kept->numbers[kept->count - 1] > newest)
		newest = kept->numbers[kept->count - 1];
	return newest + 1;
}

uint32_t
generations_before(const struct generations *generations, uint32_t current)
{
	uint32_t before = 0;
	for (uint32_t i = 0; i < generations->count && generations->numbers[i] < current; i++)
		before = generations->numbers[i];
	return before;
}

bool
generations_has(const struct generations *generations, uint32_t number)
{
	for (uint32_t i = 0; i < generations->count; i++)
		if (generations->numbers[i] == number)
			return true;
	return false;
}

static void
drop(struct generations *generations, uint32_t i)
{
	generations->count--;
	memmove(&generations->numbers[i], &generations->numbers[i + 1],
		(generations->count - i) * sizeof(generations->numbers[0]));
}

/* In its place by number; the oldest is lost when there is no room at all. */
static void
insert(struct generations *generations, uint32_t number)
{
	uint32_t at = generations->count;
	while (at > 0 && generations->numbers[at - 1] > number)
		at--;
	memmove(&generations->numbers[at + 1], &generations->numbers[at],
		(generations->count - at) * sizeof(generations->numbers[0]));
	generations->numbers[at] = number;
	generations->count++;
}

void
generations_forget(struct generations *generations, uint32_t number)
{
	for (uint32_t i = 0; i < generations->count; i++)
		if (generations->numbers[i] == number)
			drop(generations, i--);
}

uint32_t
generations_add(struct generations *generations, uint32_t keep, uint32_t number, uint32_t current,
		uint32_t gone[GENERATIONS_MAX])
{
	uint32_t count = 0;
	keep = keep < GENERATIONS_MAX ? keep : GENERATIONS_MAX - 1;
	if (!generations_has(generations, number)) {
		for (uint32_t i = 0; i < generations->count && generations->count >= keep;) {
			if (generations->numbers[i] == current) {
				i++;
				continue;
			}
			gone[count++] = generations->numbers[i];
			drop(generations, i);
		}
		insert(generations, number);
	}
	return count;
}

/* --- records -------------------------------------------------------------------------------------------------------- */

int
generations_write(const struct engine *engine, const char *name, uint32_t number,
		  struct slice record)
{
	char text[RECORD_NAME_BYTES];
	record_name(name, number, text);
	return state_write(engine, folder, text, record);
}

int
generations_read(const struct engine *engine, const char *name, uint32_t number,
		 struct slice *record)
{
	char text[RECORD_NAME_BYTES];
	record_name(name, number, text);
	return state_read(engine, folder, text, record);
}

void
generations_erase(const struct engine *engine, const char *name, uint32_t number)
{
	char text[RECORD_NAME_BYTES];
	record_name(name, number, text);
	if (state_remove(engine, folder, text) != 0)
		log_warn("state: %s", error_last()->message);
}

void
generations_remove(struct engine *engine, const char *name)
{
	struct generations *generations = generations_find(engine, name);
	if (generations == NULL)
		return;
	for (uint32_t i = 0; i < generations->count; i++)
		generations_erase(engine, name, generations->numbers[i]);
	list_remove(&generations->of_engine);
	free(generations);
}

static void
restore_one(void *context, const char *text)
{
	struct engine *engine = context;
	char name[RECORD_NAME_BYTES];
	snprintf(name, sizeof(name), "%s", text);
	char *at = strrchr(name, '@');
	uint32_t number = at == NULL ? 0 : (uint32_t)strtoul(at + 1, NULL, 10);
	if (number == 0 || (size_t)(at - name) >= ENGINE_NAME_BYTES) {
		log_warn("state: %s/%s is no generation of a function", folder, text);
		return;
	}
	*at = '\0';
	struct generations *generations = generations_make(engine, name);
	if (generations != NULL && generations->count < GENERATIONS_MAX - 1)
		insert(generations, number);
}

int
generations_restore(struct engine *engine)
{
	return state_each(engine, folder, restore_one, engine);
}

static bool
record_uses(struct slice data, const char *hash)
{
	struct arena arena;
	struct deploy_record record;
	bool uses = false;
	arena_create(&arena, RECORD_ARENA_BYTES);
	/* What cannot be read may be needed all the same. */
	if (deploy_record_read(data, &record, &arena) != 0)
		uses = true;
	for (uint32_t i = 0; !uses && i < record.model_count; i++)
		uses = record.models[i].hash != NULL && strcmp(record.models[i].hash, hash) == 0;
	arena_destroy(&arena);
	return uses;
}

bool
generations_use_model(struct engine *engine, const char *hash)
{
	list_each(link, &engine->generations) {
		const struct generations *each = list_entry(link, struct generations, of_engine);
		for (uint32_t i = 0; i < each->count; i++) {
			struct slice data;
			if (generations_read(engine, each->name, each->numbers[i], &data) != 0)
				continue;
			bool uses = record_uses(data, hash);
			free((void *)(uintptr_t)data.data);
			if (uses)
				return true;
		}
	}
	return false;
}

void
generations_destroy(struct engine *engine)
{
	while (!list_is_empty(&engine->generations))
		free(list_entry(list_pop_front(&engine->generations), struct generations,
				of_engine));
}
