/* Stage decode: small readers that other stages share. */
#pragma once

#include <stdbool.h>

#include "net/message.h"

/* The slice's bytes are that text. */
bool
slice_is(struct slice slice, const char *text);
