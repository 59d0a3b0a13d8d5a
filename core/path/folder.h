/*
 * A folder of functions: NAME.lua and NAME/function.lua in it are deployed when the node starts and whenever they, or files
 * beside a function.lua, are saved. A file that is refused is logged and told as "deploy_failed"; what served goes on serving.
 * A file that goes takes no function away. Main loop.
 */
#pragma once

struct engine;
struct folder;

enum {
	/* A file must have been left alone this long, ms. */
	FOLDER_SETTLE_MS = 40,
};

/* Queue what is there, and watch. path is copied. NULL: NOT_FOUND, RESOURCE_EXHAUSTED. */
struct folder *
folder_open(struct engine *engine, const char *path);

/* Watch no more; the memory goes with the loop's next turn. */
void
folder_close(struct folder *folder);
