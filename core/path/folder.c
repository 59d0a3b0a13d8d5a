#include "path/folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/log.h"
#include "path/deploy.h"
#include "path/engine.h"

/* A folder that the kernel reports changes of. */
struct watcher {
	struct list of_folder;
	uv_fs_event_t event;
	/* Which folder it is: another may come in its place under the same name. */
	dev_t device;
	ino_t inode;
	bool is_seen;
};

/* A function's file, and how it looked when it was deployed last. */
struct source {
	struct list of_folder;
	uint64_t fingerprint;
	char path[];
};

struct folder {
	struct engine *engine;
	struct list watchers;
	struct list sources;
	uv_timer_t settle;
	/* Handles that are not closed yet. */
	uint32_t open;
	char path[];
};

static void
look(struct folder *folder);

static void
on_settled(uv_timer_t *settle)
{
	look(settle->data);
}

static void
on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	(void)name;
	(void)events;
	struct folder *folder = event->data;
	if (status == 0)
		uv_timer_start(&folder->settle, on_settled, FOLDER_SETTLE_MS, 0);
}

/* --- watchers ------------------------------------------------------------------------------------------------------- */

static void
free_when_closed(struct folder *folder)
{
	if (--folder->open == 0)
		free(folder);
}

static void
on_watcher_closed(uv_handle_t *handle)
{
	struct folder *folder = handle->data;
	free((char *)handle - offsetof(struct watcher, event));
	free_when_closed(folder);
}

static void
close_watcher(struct watcher *watcher)
{
	list_remove(&watcher->of_folder);
	uv_close((uv_handle_t *)&watcher->event, on_watcher_closed);
}

static struct watcher *
find_watcher(struct folder *folder, const struct stat *info)
{
	list_each(link, &folder->watchers) {
		struct watcher *watcher = list_entry(link, struct watcher, of_folder);
		if (watcher->device == info->st_dev && watcher->inode == info->st_ino)
			return watcher;
	}
	return NULL;
}

static int
watch_path(struct folder *folder, const char *path, const struct stat *info)
{
	struct watcher *watcher = find_watcher(folder, info);
	if (watcher != NULL) {
		watcher->is_seen = true;
		return 0;
	}
	watcher = calloc(1, sizeof(*watcher));
	if (watcher == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "watch: no memory");
	*watcher =
		(struct watcher){ .device = info->st_dev, .inode = info->st_ino, .is_seen = true };
	uv_fs_event_init(&folder->engine->loop, &watcher->event);
	watcher->event.data = folder;
	folder->open++;
	list_push_back(&folder->watchers, &watcher->of_folder);
	int status = uv_fs_event_start(&watcher->event, on_event, path, 0);
	if (status == 0)
		return 0;
	close_watcher(watcher);
	return error_set(ERR_RESOURCE_EXHAUSTED, "watch: %s: %s", path, uv_strerror(status));
}

/* Those of folders that are gone. */
static void
close_unseen(struct folder *folder)
{
	list_each_safe(link, &folder->watchers) {
		struct watcher *watcher = list_entry(link, struct watcher, of_folder);
		if (!watcher->is_seen)
			close_watcher(watcher);
		else
			watcher->is_seen = false;
	}
}

/* --- what has changed ----------------------------------------------------------------------------------------------- */

static uint64_t
fingerprint_file(const char *name, const struct stat *info)
{
	uint64_t facts[] = { (uint64_t)info->st_mtim.tv_sec, (uint64_t)info->st_mtim.tv_nsec,
			     (uint64_t)info->st_size, (uint64_t)info->st_ino };
	return XXH3_64bits(facts, sizeof(facts)) ^ XXH3_64bits(name, strlen(name));
}

/* Of all files in the folder, in no order; 0 when there is none. */
static uint64_t
fingerprint_folder(const char *path)
{
	uint64_t sum = 0;
	DIR *entries = opendir(path);
	for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
		struct stat info;
		if (entry->d_name[0] != '.' &&
		    fstatat(dirfd(entries), entry->d_name, &info, 0) == 0 && S_ISREG(info.st_mode))
			sum += fingerprint_file(entry->d_name, &info);
	}
	if (entries != NULL)
		closedir(entries);
	return sum;
}

static struct source *
find_source(struct folder *folder, const char *path)
{
	list_each(link, &folder->sources) {
		struct source *source = list_entry(link, struct source, of_folder);
		if (strcmp(source->path, path) == 0)
			return source;
	}
	size_t bytes = strlen(path) + 1;
	struct source *source = calloc(1, sizeof(*source) + bytes);
	if (source == NULL)
		return NULL;
	memcpy(source->path, path, bytes);
	list_push_back(&folder->sources, &source->of_folder);
	return source;
}

static void
deployed(void *context, const char *name, uint32_t generation, const struct error *error)
{
	(void)context;
	if (error != NULL)
		log_error("functions: '%s' was not deployed, what served stays: %s", name,
			  error->message);
	else
		log_info("functions: '%s' is at generation %u", name, generation);
}

/* Deploy path/file unless it looks as it did the last time. */
static void
consider(struct folder *folder, const char *path, const char *file, const char *name,
	 uint64_t fingerprint)
{
	char whole[ENGINE_PATH_BYTES];
	snprintf(whole, sizeof(whole), "%s/%s", path, file);
	struct source *source = find_source(folder, whole);
	if (source == NULL || source->fingerprint == fingerprint)
		return;
	source->fingerprint = fingerprint;
	if (deploy_begin_file(folder->engine, path, file, name, deployed, NULL) != 0)
		log_error("functions: %s: %s", whole, error_last()->message);
}

static bool
ends_in(const char *name, const char *suffix)
{
	size_t length = strlen(name), tail = strlen(suffix);
	return length > tail && strcmp(name + length - tail, suffix) == 0;
}

static void
look_at_folder(struct folder *folder, const char *name, const char *path, const struct stat *info)
{
	char script[ENGINE_PATH_BYTES + 16];
	struct stat there;
	if (watch_path(folder, path, info) != 0)
		log_error("functions: %s", error_last()->message);
	snprintf(script, sizeof(script), "%s/function.lua", path);
	if (stat(script, &there) == 0)
		consider(folder, path, "function.lua", name, fingerprint_folder(path));
}

static void
look_at_file(struct folder *folder, const char *file, const struct stat *info)
{
	char name[ENGINE_NAME_BYTES];
	if (!ends_in(file, ".lua") || ends_in(file, "_spec.lua"))
		return;
	snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - strlen(".lua")), file);
	consider(folder, folder->path, file, name, fingerprint_file(file, info));
}

static void
look_at(struct folder *folder, const char *name)
{
	char path[ENGINE_PATH_BYTES];
	struct stat info;
	snprintf(path, sizeof(path), "%s/%s", folder->path, name);
	if (name[0] == '.' || stat(path, &info) != 0)
		return;
	if (S_ISDIR(info.st_mode))
		look_at_folder(folder, name, path, &info);
	else if (S_ISREG(info.st_mode))
		look_at_file(folder, name, &info);
}

/* Everything in the folder, in no order. */
static void
look(struct folder *folder)
{
	struct stat info;
	DIR *entries = opendir(folder->path);
	if (entries == NULL || fstat(dirfd(entries), &info) != 0) {
		log_warn("functions: %s cannot be read", folder->path);
		if (entries != NULL)
			closedir(entries);
		return;
	}
	if (watch_path(folder, folder->path, &info) != 0)
		log_error("functions: %s", error_last()->message);
	for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
		look_at(folder, entry->d_name);
	closedir(entries);
	close_unseen(folder);
}

/* --- opening and closing -------------------------------------------------------------------------------------------- */

struct folder *
folder_open(struct engine *engine, const char *path)
{
	struct stat info;
	size_t bytes = strlen(path) + 1;
	if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
		error_set(ERR_NOT_FOUND, "functions: %s is no folder", path);
		return NULL;
	}
	struct folder *folder = calloc(1, sizeof(*folder) + bytes);
	if (folder == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "functions: no memory");
		return NULL;
	}
	memcpy(folder->path, path, bytes);
	/* "models/" and "models" name the same chunks. */
	if (bytes > 2 && path[bytes - 2] == '/')
		folder->path[bytes - 2] = '\0';
	folder->engine = engine;
	list_create(&folder->watchers);
	list_create(&folder->sources);
	uv_timer_init(&engine->loop, &folder->settle);
	folder->settle.data = folder;
	folder->open = 1;
	look(folder);
	return folder;
}

static void
on_timer_closed(uv_handle_t *handle)
{
	free_when_closed(handle->data);
}

void
folder_close(struct folder *folder)
{
	list_each_safe(link, &folder->watchers) {
		close_watcher(list_entry(link, struct watcher, of_folder));
	}
	while (!list_is_empty(&folder->sources))
		free(list_entry(list_pop_front(&folder->sources), struct source, of_folder));
	uv_close((uv_handle_t *)&folder->settle, on_timer_closed);
}
