/*
 * The node's devices: opened with their pools, streams and submit threads at start, closed at the end. Main loop.
 */
#pragma once

struct engine;
struct engine_device;

/*
 * The configuration's devices and their tables, and what models are compiled for; may block for some 10 ms. 0 or -1, after
 * which devices_close is called all the same.
 */
int
devices_open(struct engine *engine);
void
devices_close(struct engine *engine);

/*
 * Submit thread: have a lost device that nothing refers to made anew, and take its memory and streams again. UNAVAILABLE,
 * RESOURCE_EXHAUSTED: it is lost still, and this may be tried again.
 */
int
devices_reopen(struct engine_device *device);

/*
 * Ask the busy devices whether they are lost: nothing may come back from one that is, until somebody asks. Lost ones are opened
 * again when it is time (recovery.h).
 */
void
devices_watch(struct engine *engine);
