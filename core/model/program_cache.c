#include "model/program_cache.h"

#include <string.h>

#include "exec/program.h"

void
program_cache_create(struct program_cache *cache)
{
	*cache = (struct program_cache){ 0 };
	pthread_mutex_init(&cache->lock, NULL);
}

void
program_cache_destroy(struct program_cache *cache)
{
	for (uint32_t i = 0; i < cache->count; i++)
		program_unref(cache->programs[i]);
	pthread_mutex_destroy(&cache->lock);
}

static bool
is_for(const struct program *program, const struct tensor_type *inputs, uint32_t input_count)
{
	const struct program_info *info = program_info(program);
	if (info->input_count != input_count)
		return false;
	for (uint32_t i = 0; i < input_count; i++)
		if (!tensor_type_equal(&info->inputs[i], &inputs[i]))
			return false;
	return true;
}

/* Move the program at index to the front. */
static void
touch(struct program_cache *cache, uint32_t index)
{
	struct program *program = cache->programs[index];
	memmove(cache->programs + 1, cache->programs, index * sizeof(cache->programs[0]));
	cache->programs[0] = program;
}

struct program *
program_cache_find(struct program_cache *cache, const struct tensor_type *inputs,
		   uint32_t input_count)
{
	struct program *found = NULL;
	pthread_mutex_lock(&cache->lock);
	for (uint32_t i = 0; i < cache->count && found == NULL; i++) {
		if (!is_for(cache->programs[i], inputs, input_count))
			continue;
		found = program_ref(cache->programs[i]);
		touch(cache, i);
	}
	pthread_mutex_unlock(&cache->lock);
	return found;
}

void
program_cache_add(struct program_cache *cache, struct program *program)
{
	struct program *oldest = NULL;
	pthread_mutex_lock(&cache->lock);
	if (cache->count == MODEL_PROGRAMS_MAX)
		oldest = cache->programs[--cache->count];
	cache->programs[cache->count] = program_ref(program);
	touch(cache, cache->count++);
	pthread_mutex_unlock(&cache->lock);
	program_unref(oldest);
}
