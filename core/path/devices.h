/*
 * The node's devices: opened with their pools, streams and submit threads at start, closed at the end. Main loop.
 */
#pragma once

struct engine;

/*
 * The configuration's devices and their tables, and what models are compiled for; may block for some 10 ms. 0 or -1, after
 * which devices_close is called all the same.
 */
int
devices_open(struct engine *engine);
void
devices_close(struct engine *engine);

/* Ask the busy devices whether they are lost: nothing may come back from one that is, until somebody asks. */
void
devices_watch(struct engine *engine);
