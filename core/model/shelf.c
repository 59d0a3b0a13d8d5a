#include "model/shelf.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "exec/narrow.h"

/* A file that a look has found. */
struct found {
	char *path;
	uint64_t bytes;
	struct timespec used_at;
};

struct look {
	const struct shelf *shelf;
	struct found *files;
	size_t count;
	size_t room;
	uint64_t bytes;
	/* Memory ran out. */
	bool failed;
};

void
shelf_create(struct shelf *shelf, const char *folder, uint64_t budget)
{
	*shelf = (struct shelf){ .folder = folder, .budget = budget };
	pthread_mutex_init(&shelf->lock, NULL);
	list_create(&shelf->in_use);
}

void
shelf_destroy(struct shelf *shelf)
{
	assert(list_is_empty(&shelf->in_use));
	pthread_mutex_destroy(&shelf->lock);
}

/* The file was used just now, if it is there. */
static void
touch(const char *path)
{
	(void)utimensat(AT_FDCWD, path, NULL, 0);
}

void
shelf_take(struct shelf *shelf, struct shelf_entry *entry, const char *path)
{
	if (shelf == NULL)
		return;
	assert(entry->shelf == NULL);
	entry->shelf = shelf;
	entry->path = path;
	pthread_mutex_lock(&shelf->lock);
	list_push_back(&shelf->in_use, &entry->of_shelf);
	pthread_mutex_unlock(&shelf->lock);
	touch(path);
}

void
shelf_return(struct shelf_entry *entry)
{
	struct shelf *shelf = entry->shelf;
	if (shelf == NULL)
		return;
	touch(entry->path);
	pthread_mutex_lock(&shelf->lock);
	list_remove(&entry->of_shelf);
	pthread_mutex_unlock(&shelf->lock);
	entry->shelf = NULL;
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

static struct found *
add_found(struct look *look)
{
	if (look->count == look->room) {
		size_t room = look->room == 0 ? 64 : 2 * look->room;
		struct found *files = realloc(look->files, room * sizeof(*files));
		if (files == NULL)
			return NULL;
		look->files = files;
		look->room = room;
	}
	return &look->files[look->count];
}

static void
see(void *context, const char *name)
{
	struct look *look = context;
	struct stat info;
	struct found *found = add_found(look);
	char *path = NULL;
	if (found == NULL || asprintf(&path, "%s/%s", look->shelf->folder, name) == -1) {
		look->failed = true;
		return;
	}
	if (stat(path, &info) != 0) {
		free(path);
		return;
	}
	*found = (struct found){ path, (uint64_t)info.st_size, info.st_mtim };
	look->bytes += found->bytes;
	look->count++;
}

/* Images of every form. */
static int
look_at(struct look *look)
{
	const char *const suffixes[] = { ".image", narrow_name(NARROW_FP16),
					 narrow_name(NARROW_INT8) };
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (file_each(look->shelf->folder, suffixes[i], see, look) != 0)
			return -1;
	if (look->failed)
		return error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory to look at it",
				 look->shelf->folder);
	return 0;
}

/* --- trimming ----------------------------------------------------------------------------------------------------- */

static int
by_use(const void *a, const void *b)
{
	const struct timespec *x = &((const struct found *)a)->used_at;
	const struct timespec *y = &((const struct found *)b)->used_at;
	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static bool
is_in_use(const struct shelf *shelf, const char *path)
{
	list_each(link, &shelf->in_use) {
		if (strcmp(list_entry(link, struct shelf_entry, of_shelf)->path, path) == 0)
			return true;
	}
	return false;
}

/*
 * Out of the way under the lock by its name, as what an interrupted write leaves, so that nobody
 * waits for the file system to free its blocks; *is_gone says whether it was.
 */
static int
remove_unused(struct shelf *shelf, const char *path, bool *is_gone)
{
	char aside[PATH_MAX];
	int status = 0;
	*is_gone = false;
	if (file_unfinished_name(path, aside) != 0)
		return -1;
	pthread_mutex_lock(&shelf->lock);
	if (!is_in_use(shelf, path)) {
		status = rename(path, aside) == 0 ? 0 : error_set_errno("%s", path);
		*is_gone = status == 0;
	}
	pthread_mutex_unlock(&shelf->lock);
	return *is_gone ? file_remove(aside) : status;
}

static int
trim(struct shelf *shelf, struct look *look)
{
	if (look->count != 0)
		qsort(look->files, look->count, sizeof(look->files[0]), by_use);
	uint64_t images = look->count;
	int status = 0;
	for (size_t i = 0; i < look->count && look->bytes > shelf->budget && status == 0; i++) {
		bool is_gone;
		status = remove_unused(shelf, look->files[i].path, &is_gone);
		if (!is_gone)
			continue;
		look->bytes -= look->files[i].bytes;
		images--;
		atomic_fetch_add_explicit(&shelf->removed, 1, memory_order_relaxed);
	}
	atomic_store_explicit(&shelf->bytes, look->bytes, memory_order_relaxed);
	atomic_store_explicit(&shelf->images, images, memory_order_relaxed);
	return status;
}

int
shelf_trim(struct shelf *shelf)
{
	struct look look = { .shelf = shelf };
	int status = look_at(&look);
	if (status == 0)
		status = trim(shelf, &look);
	for (size_t i = 0; i < look.count; i++)
		free(look.files[i].path);
	free(look.files);
	return status;
}
