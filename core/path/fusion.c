#include "path/fusion.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "exec/program.h"
#include "model/chain.h"
#include "path/engine.h"
#include "path/fusion_parts.h"

/* --- the cache ---------------------------------------------------------------------------------------------------- */

const struct chain *
fused_chain(const struct fused *fused)
{
	return fused->chain;
}

struct fused *
fused_ref(struct fused *fused)
{
	fused->references++;
	return fused;
}

void
fused_unref(struct fused *fused)
{
	assert(fused->references > 0);
	if (--fused->references > 0)
		return;
	program_unref(fused->program);
	spelling_destroy(&fused->spelling);
	arena_destroy(&fused->arena);
	free(fused);
}

void
fused_keep(struct fused *fused, uint32_t result)
{
	fused->is_stale |= !fused->chain->kept[result];
	fused->chain->kept[result] = true;
}

void
fusion_create(struct fusion *fusion)
{
	*fusion = (struct fusion){ 0 };
	list_create(&fusion->recent);
	for (uint32_t i = 0; i < FUSION_BUCKETS; i++)
		list_create(&fusion->buckets[i]);
}

static void
drop(struct fusion *fusion, struct fused *fused)
{
	list_remove(&fused->of_bucket);
	list_remove(&fused->of_recent);
	fusion->count--;
	fusion->bytes -= fused->bytes;
	fused_unref(fused);
}

static struct fused *
last(const struct fusion *fusion)
{
	return list_entry(fusion->recent.prev, struct fused, of_recent);
}

void
fusion_destroy(struct engine *engine)
{
	struct fusion *fusion = &engine->fusion;
	while (fusion->is_compiling)
		uv_run(&engine->loop, UV_RUN_ONCE);
	while (fusion->count > 0)
		drop(fusion, last(fusion));
	spelling_destroy(&fusion->spelling);
}

/* The entry of what is spelled out, now the most recently used; NULL: there is none. */
static struct fused *
find(struct fusion *fusion, uint64_t hash)
{
	struct list *bucket = &fusion->buckets[hash % FUSION_BUCKETS];
	list_each(link, bucket) {
		struct fused *fused = list_entry(link, struct fused, of_bucket);
		if (fused->hash != hash || !spelling_equal(&fused->spelling, &fusion->spelling))
			continue;
		list_remove(&fused->of_recent);
		list_push_front(&fusion->recent, &fused->of_recent);
		return fused;
	}
	return NULL;
}

/* Count what the entry holds, and drop those that are too many or too large together. */
static void
weigh(struct fusion *fusion, struct fused *fused, size_t bytes)
{
	fused->bytes += bytes;
	fusion->bytes += bytes;
	while (fusion->count > FUSION_ENTRIES_MAX ||
	       (fusion->bytes > FUSION_BYTES_MAX && fusion->count > 1))
		drop(fusion, last(fusion));
}

/* An entry for a copy of the chain, which is spelled out. NULL for want of memory. */
static struct fused *
add(struct fusion *fusion, const struct chain *chain, uint64_t hash)
{
	struct fused *fused = calloc(1, sizeof(*fused));
	if (fused == NULL)
		return NULL;
	*fused = (struct fused){ .references = 1, .hash = hash };
	list_create(&fused->of_bucket);
	list_create(&fused->of_recent);
	arena_create(&fused->arena, 0);
	fused->chain = chain_copy(chain, &fused->arena);
	fused->written = arena_calloc(&fused->arena, chain->result_count + 1, sizeof(bool));
	spelling_put(&fused->spelling, fusion->spelling.data, fusion->spelling.bytes);
	if (fused->chain == NULL || fused->written == NULL || fused->spelling.failed) {
		fused_unref(fused);
		return NULL;
	}
	list_push_front(&fusion->buckets[hash % FUSION_BUCKETS], &fused->of_bucket);
	list_push_front(&fusion->recent, &fused->of_recent);
	fusion->count++;
	weigh(fusion, fused, fused->arena.used + fused->spelling.bytes);
	return fused;
}

/* --- compiling ---------------------------------------------------------------------------------------------------- */

struct compilation {
	uv_work_t work;
	struct engine *engine;
	/* Counted. */
	struct fused *fused;
	/* The entry's, with what is to be kept as it was when this began, in arena. */
	struct chain chain;
	struct arena arena;
	unsigned threads;
	struct program *program;
	struct error error;
};

/* Pool thread. */
static void
compile(uv_work_t *work)
{
	struct compilation *compilation = work->data;
	compilation->program = chain_compile(&compilation->chain, compilation->threads);
	if (compilation->program == NULL)
		compilation->error = *error_last();
}

static void
take_program(struct fusion *fusion, struct fused *fused, struct compilation *compilation)
{
	const struct chain *chain = &compilation->chain;
	program_unref(fused->program);
	fused->program = compilation->program;
	memcpy(fused->written, chain->kept, chain->result_count * sizeof(bool));
	fusion->stats.compiled++;
	/* Others may have used the cache's room meanwhile. */
	if (!list_is_empty(&fused->of_recent))
		weigh(fusion, fused, program_bytes(fused->program));
}

static void
refuse(struct fusion *fusion, struct fused *fused, const struct error *error)
{
	log_info("batches of %u operations run one by one: %s", fused->chain->link_count,
		 error->message);
	fused->is_refused = true;
	fusion->stats.refused++;
}

static void
compiled(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct compilation *compilation = work->data;
	struct fusion *fusion = &compilation->engine->fusion;
	fusion->is_compiling = false;
	if (compilation->program != NULL)
		take_program(fusion, compilation->fused, compilation);
	else
		refuse(fusion, compilation->fused, &compilation->error);
	fused_unref(compilation->fused);
	arena_destroy(&compilation->arena);
	free(compilation);
}

/* The entry's program is made, or made anew, on a pool thread; not now when another is. */
static void
compile_aside(struct engine *engine, struct fused *fused)
{
	struct fusion *fusion = &engine->fusion;
	const struct chain *chain = fused->chain;
	if (fusion->is_compiling || engine->stopping)
		return;
	struct compilation *compilation = calloc(1, sizeof(*compilation));
	if (compilation == NULL)
		return;
	arena_create(&compilation->arena, 0);
	compilation->chain = *chain;
	compilation->chain.kept = arena_alloc(&compilation->arena, chain->result_count + 1);
	if (compilation->chain.kept == NULL) {
		free(compilation);
		return;
	}
	memcpy(compilation->chain.kept, chain->kept, chain->result_count * sizeof(bool));
	compilation->work.data = compilation;
	compilation->engine = engine;
	compilation->fused = fused_ref(fused);
	compilation->threads = engine->model_options.threads;
	fused->is_stale = false;
	fusion->is_compiling = true;
	int status = uv_queue_work(&engine->loop, &compilation->work, compile, compiled);
	assert(status == 0);
	(void)status;
}

struct fused *
fusion_find(struct engine *engine, const struct chain *chain)
{
	struct fusion *fusion = &engine->fusion;
	fusion->spelling.bytes = 0;
	fusion->spelling.failed = false;
	chain_spell(&fusion->spelling, chain);
	if (fusion->spelling.failed)
		return NULL;
	uint64_t hash = spelling_hash(&fusion->spelling);
	struct fused *fused = find(fusion, hash);
	uint64_t *seen = &fusion->seen[hash / FUSION_BUCKETS % FUSION_SEEN];
	if (fused == NULL && *seen == hash)
		fused = add(fusion, chain, hash);
	else if (fused == NULL)
		*seen = hash;
	if (fused == NULL || fused->is_refused)
		return NULL;
	if (fused->program == NULL || fused->is_stale)
		compile_aside(engine, fused);
	return fused->program != NULL ? fused : NULL;
}
