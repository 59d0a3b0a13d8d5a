#include "model/cut.h"

#include <stdlib.h>

#include "base/error.h"
#include "device/pool.h"

enum {
	/* How much of other parameters a group may have beside its largest one, in targets. */
	TARGETS_MAX = 3,
	/* What a byte over the target costs, as a part of a byte of the pool that is wasted. */
	OVER_COST = 3,
	/* What a group costs, in bytes of the pool. */
	GROUP_COST = 32 << 10,
};

/* The best way to cut the first parameters: what it costs, and where its last group begins. */
struct best {
	uint64_t cost;
	uint32_t first;
};

static uint64_t
cost_of_group(uint64_t bytes, uint64_t target)
{
	uint64_t units = (bytes + POOL_UNIT - 1) / POOL_UNIT;
	uint64_t over = bytes > target ? bytes - target : 0;
	return units * POOL_UNIT - bytes + over / OVER_COST + GROUP_COST;
}

/* best[i] for the first i parameters, best[0 … i-1] being there. */
static struct best
best_of(const uint64_t *bytes, uint32_t i, uint64_t target, const struct best *best)
{
	struct best found = { UINT64_MAX, i - 1 };
	uint64_t group = 0, largest = 0;
	for (uint32_t first = i; first-- > 0;) {
		group += bytes[first];
		largest = bytes[first] > largest ? bytes[first] : largest;
		if (group - largest > TARGETS_MAX * target)
			break;
		uint64_t cost = best[first].cost + cost_of_group(group, target);
		if (cost < found.cost)
			found = (struct best){ cost, first };
	}
	return found;
}

/* Dynamic programming over where the last group begins. */
static uint32_t
cut_well(const uint64_t *bytes, uint32_t count, uint64_t target, uint32_t *ends)
{
	struct best *best = malloc((count + 1) * sizeof(*best));
	if (best == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory to cut %u parameters", count);
		return 0;
	}
	best[0] = (struct best){ 0 };
	for (uint32_t i = 1; i <= count; i++)
		best[i] = best_of(bytes, i, target, best);
	uint32_t groups = 0;
	for (uint32_t i = count; i > 0; i = best[i].first)
		groups++;
	for (uint32_t i = count, g = groups; i > 0; i = best[i].first)
		ends[--g] = i;
	free(best);
	return groups;
}

static uint32_t
cut_small(const uint64_t *bytes, uint32_t count, uint64_t target, uint32_t *ends)
{
	uint32_t groups = 0;
	uint64_t group = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (groups == 0 || group + bytes[i] > target) {
			groups++;
			group = 0;
		}
		group += bytes[i];
		ends[groups - 1] = i + 1;
	}
	return groups;
}

uint32_t
cut_groups(const uint64_t *bytes, uint32_t count, uint64_t target, uint32_t *ends)
{
	if (target < POOL_UNIT)
		return cut_small(bytes, count, target, ends);
	return cut_well(bytes, count, target, ends);
}
