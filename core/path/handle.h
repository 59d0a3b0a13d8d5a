/* Stage handle: what the node tells the worker host to call. */
#pragma once

#include "script/worker.h"

/* Their context is the node, a request's owner the struct request. */
extern const struct worker_events handle_events;
