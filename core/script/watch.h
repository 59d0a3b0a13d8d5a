/*
 * Watches a file for change, however its editor writes it: in place, or by renaming another file over it. The callback comes
 * once the file has been left alone for WATCH_SETTLE_MS, from the loop.
 */
#pragma once

struct uv_loop_s;
struct watch;

enum { WATCH_SETTLE_MS = 40 };

typedef void
watch_f(void *context, const char *path);

/* path is copied; its folder must exist, the file need not. NULL: NOT_FOUND, RESOURCE_EXHAUSTED. */
struct watch *
watch_new(struct uv_loop_s *loop, const char *path, watch_f *changed, void *context);

/* No callback comes after this; the memory goes with the loop's next turn. */
void
watch_delete(struct watch *watch);
