/* Stage accept: what the node tells the server to call. */
#pragma once

#include "net/server.h"

/* Their context is the node. */
extern const struct server_events accept_events;
