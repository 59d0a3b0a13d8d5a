#include "script/watch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"

struct watch {
	uv_fs_event_t event;
	uv_timer_t settle;
	watch_f *changed;
	void *context;
	/* Name of the file in its folder, inside path. */
	const char *name;
	/* Handles that are not closed yet. */
	int open;
	char path[];
};

static void
on_settled(uv_timer_t *settle)
{
	struct watch *watch = settle->data;
	watch->changed(watch->context, watch->path);
}

/* The folder is watched, since a rename puts another file in this one's place. */
static void
on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	(void)events;
	struct watch *watch = event->data;
	if (status == 0 && (name == NULL || strcmp(name, watch->name) == 0))
		uv_timer_start(&watch->settle, on_settled, WATCH_SETTLE_MS, 0);
}

static void
folder_of(const struct watch *watch, char folder[PATH_MAX])
{
	int length = (int)(watch->name - watch->path);
	snprintf(folder, PATH_MAX, "%.*s", length, watch->path);
	if (length == 0)
		snprintf(folder, PATH_MAX, ".");
}

static struct watch *
allocate(const char *path)
{
	size_t bytes = strlen(path) + 1;
	struct watch *watch = calloc(1, sizeof(*watch) + bytes);
	if (watch == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "watch: no memory");
		return NULL;
	}
	memcpy(watch->path, path, bytes);
	const char *slash = strrchr(watch->path, '/');
	watch->name = slash == NULL ? watch->path : slash + 1;
	return watch;
}

struct watch *
watch_new(struct uv_loop_s *loop, const char *path, watch_f *changed, void *context)
{
	char folder[PATH_MAX];
	struct watch *watch = allocate(path);
	if (watch == NULL)
		return NULL;
	watch->changed = changed;
	watch->context = context;
	watch->event.data = watch->settle.data = watch;
	watch->open = 2;
	uv_timer_init(loop, &watch->settle);
	uv_fs_event_init(loop, &watch->event);
	folder_of(watch, folder);
	int status = uv_fs_event_start(&watch->event, on_event, folder, 0);
	if (status == 0)
		return watch;
	error_set(status == UV_ENOENT ? ERR_NOT_FOUND : ERR_RESOURCE_EXHAUSTED, "watch: %s: %s",
		  folder, uv_strerror(status));
	watch_delete(watch);
	return NULL;
}

static void
on_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;
	if (--watch->open == 0)
		free(watch);
}

void
watch_delete(struct watch *watch)
{
	uv_close((uv_handle_t *)&watch->event, on_closed);
	uv_close((uv_handle_t *)&watch->settle, on_closed);
}
