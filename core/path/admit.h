/* Stage admit, for requests that come from elsewhere than a client. */
#pragma once

#include "net/slice.h"

struct request;

/* Give the request that function's generation, unless the node is full. -1 with NOT_FOUND, RESOURCE_EXHAUSTED. */
int
admit_function(struct request *request, struct slice name) __attribute__((warn_unused_result));
