/*
 * Cutting an image into groups.
 */
#pragma once

#include <stdint.h>

/*
 * Cut `count` parameters of those sizes, in order, into groups of about `target` bytes: ends[g] becomes the index behind the
 * last parameter of group g. A group takes whole units of a device's pool; of all ways to cut, the one that wastes least
 * of them is taken, where larger groups than asked for count against it, and more groups a little. A parameter is never
 * split. Targets below a unit are not meant for devices: groups then just grow up to the target. Returns how many groups;
 * 0 with RESOURCE_EXHAUSTED (never for parameters otherwise).
 */
uint32_t
cut_groups(const uint64_t *bytes, uint32_t count, uint64_t target, uint32_t *ends);
