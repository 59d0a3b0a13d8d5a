/*
 * How the main loop waits. A wake-up costs some 20 µs, more than most requests' whole way through the core; so after it did
 * something the loop looks around for a moment before it sleeps. Looking around in vain makes it look less often.
 */
#pragma once

struct engine;

/* Run until engine_stop. */
void
loop_run(struct engine *engine);
