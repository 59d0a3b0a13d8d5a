#include "script/pages.h"

#include <sys/mman.h>

#include "base/error.h"

/* Set in the tag at the start of a run that was given out. */
static const uint32_t PAGES_USED = 1u << 31;

void
pages_create(struct pages *pages, size_t bytes)
{
	*pages = (struct pages){ .units = (uint32_t)(bytes / PAGES_UNIT) };
}

void
pages_destroy(struct pages *pages)
{
	if (pages->tags != NULL)
		munmap(pages->tags, pages->units * sizeof(*pages->tags));
	pages->tags = NULL;
}

/* Write the tags of a run; its last unit tells the length to whoever frees the run behind it. */
static void
tag_run(struct pages *pages, uint32_t at, uint32_t length, uint32_t flag)
{
	pages->tags[at + length - 1] = length;
	pages->tags[at] = length | flag;
}

/* Pages that nobody wrote to cost nothing: only the tags at the ends of runs are ever touched. */
static int
map_tags(struct pages *pages)
{
	void *tags = mmap(NULL, pages->units * sizeof(*pages->tags), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages->units == 0 || tags == MAP_FAILED)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a heap of %u units",
				 pages->units);
	pages->tags = tags;
	tag_run(pages, 0, pages->units, 0);
	return 0;
}

static bool
is_used(const struct pages *pages, uint32_t at)
{
	return (pages->tags[at] & PAGES_USED) != 0;
}

/* Start of the first free run of at least `units`; pages->units when there is none. */
static uint32_t
find_run(struct pages *pages, uint32_t units)
{
	bool seen_free = false;
	uint32_t at = pages->first;
	while (at < pages->units) {
		uint32_t length = pages->tags[at] & ~PAGES_USED;
		if (!is_used(pages, at)) {
			if (length >= units)
				return at;
			if (!seen_free)
				pages->first = at;
			seen_free = true;
		}
		at += length;
	}
	return at;
}

int
pages_alloc(struct pages *pages, size_t bytes, size_t *offset)
{
	size_t units = bytes / PAGES_UNIT + (bytes % PAGES_UNIT != 0 || bytes == 0);
	if (pages->tags == NULL && map_tags(pages) != 0)
		return -1;
	uint32_t at = units <= pages->units ? find_run(pages, (uint32_t)units) : pages->units;
	if (at == pages->units)
		return error_set(ERR_RESOURCE_EXHAUSTED,
				 "%zu bytes do not fit a worker's heap of %zu, %zu of it in use",
				 bytes, (size_t)pages->units * PAGES_UNIT, pages_used(pages));
	uint32_t length = pages->tags[at];
	if (length > units)
		tag_run(pages, at + (uint32_t)units, length - (uint32_t)units, 0);
	tag_run(pages, at, (uint32_t)units, PAGES_USED);
	pages->used_units += (uint32_t)units;
	*offset = (size_t)at * PAGES_UNIT;
	return 0;
}

/* Join the run at `at` with the free one behind it, and forget the tags between them. */
static void
join(struct pages *pages, uint32_t at)
{
	uint32_t length = pages->tags[at];
	uint32_t next = at + length;
	if (next >= pages->units || is_used(pages, next))
		return;
	uint32_t next_length = pages->tags[next];
	pages->tags[next - 1] = pages->tags[next] = 0;
	tag_run(pages, at, length + next_length, 0);
}

/* The start of the free run that ends right before `at`; `at` when that run is used. */
static uint32_t
free_run_before(const struct pages *pages, uint32_t at)
{
	if (at == 0)
		return at;
	uint32_t start = at - (pages->tags[at - 1] & ~PAGES_USED);
	return is_used(pages, start) ? at : start;
}

int
pages_free(struct pages *pages, size_t offset)
{
	size_t at = offset / PAGES_UNIT;
	if (pages->tags == NULL || offset % PAGES_UNIT != 0 || at >= pages->units ||
	    !is_used(pages, (uint32_t)at))
		return error_set(ERR_INVALID_ARGUMENT, "heap: nothing was given out at %zu",
				 offset);
	uint32_t start = (uint32_t)at;
	uint32_t length = pages->tags[start] & ~PAGES_USED;
	pages->used_units -= length;
	tag_run(pages, start, length, 0);
	join(pages, start);
	start = free_run_before(pages, start);
	if (start != at)
		join(pages, start);
	if (start < pages->first)
		pages->first = start;
	return 0;
}

size_t
pages_used(const struct pages *pages)
{
	return (size_t)pages->used_units * PAGES_UNIT;
}
