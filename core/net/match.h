/*
 * Matching: whether one MessagePack value is what another says it should be. Any thread; both values are well formed.
 */
#pragma once

#include "net/slice.h"

/*
 * Numbers may differ by tolerance times the expected one (by tolerance where that is below 1), whatever their encoding; a map
 * may have more keys than are expected; strings and bins of the same bytes are equal; all else must be the same. 0, or -1 with
 * FAILED_PRECONDITION saying where they differ: "reply.scores[2]: 0.5 was expected, is 0.25".
 */
int
match_value(struct slice expected, struct slice got, double tolerance)
	__attribute__((warn_unused_result));
