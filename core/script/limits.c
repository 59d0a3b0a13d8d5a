#include "script/limits.h"

#include "base/error.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define YEAR_MS (UINT64_C(1000) * 86400 * 365)

/* clang-format off */
#define ROW(member, script, unit, low, high, usual, most)                                          \
	{ #member, script, unit, offsetof(struct limits, member), low, high, usual, most }
const struct limit limits_table[LIMITS_COUNT] = {
	ROW(timeout_ms, "timeout_ms", 1, 1, YEAR_MS, 30000, 600000),
	ROW(cpu_ms, "cpu_ms", 1, 10, YEAR_MS, 30000, 600000),
	ROW(memory_bytes, "memory_mb", MIB, 8 * MIB, UINT64_C(1) << 40, 256 * MIB, 4 * GIB),
	ROW(reply_bytes, "reply_kb", KIB, KIB, 64 * MIB, 64 * MIB, 64 * MIB),
	ROW(log_bytes, "log_kb", KIB, KIB, GIB, 256 * KIB, 16 * MIB),
	ROW(concurrency, "concurrency", 1, 1, 100, 64, 100),
	ROW(queue, "queue", 1, 1, 1 << 20, 4096, 65536),
	ROW(workers_min, "workers_min", 1, 0, 1024, 0, 4),
	ROW(workers_max, "workers_max", 1, 1, 1024, 4, 64),
};
/* clang-format on */

uint64_t *
limits_at(struct limits *limits, const struct limit *row)
{
	return (uint64_t *)((char *)limits + row->offset);
}

static uint64_t
value(const struct limits *limits, const struct limit *row)
{
	return *(const uint64_t *)((const char *)limits + row->offset);
}

void
limits_standard(struct limits *limits)
{
	for (int i = 0; i < LIMITS_COUNT; i++)
		*limits_at(limits, &limits_table[i]) = limits_table[i].standard;
}

void
limits_granted(struct limits *limits)
{
	for (int i = 0; i < LIMITS_COUNT; i++)
		*limits_at(limits, &limits_table[i]) = limits_table[i].granted;
}

/* As the script that asked would write it. */
static int
refuse(const struct limit *row, uint64_t asked, const char *why, uint64_t bound)
{
	return error_set(ERR_INVALID_ARGUMENT, "limits.%s: %llu, %s %llu", row->script_name,
			 (unsigned long long)(asked / row->script_unit), why,
			 (unsigned long long)(bound / row->script_unit));
}

int
limits_check(const struct limits *limits)
{
	for (int i = 0; i < LIMITS_COUNT; i++) {
		const struct limit *row = &limits_table[i];
		uint64_t number = value(limits, row);
		if (number != 0 && number < row->least)
			return refuse(row, number, "must be at least", row->least);
		if (number > row->utmost)
			return refuse(row, number, "must be at most", row->utmost);
	}
	if (limits->workers_max != 0 && limits->workers_min > limits->workers_max)
		return error_set(ERR_INVALID_ARGUMENT, "limits.workers_min: more than workers_max");
	return 0;
}

int
limits_settle(const struct limits *asked, const struct limits *given, const struct limits *most,
	      struct limits *settled)
{
	for (int i = 0; i < LIMITS_COUNT; i++) {
		const struct limit *row = &limits_table[i];
		uint64_t wanted = value(asked, row);
		uint64_t bound = value(most, row);
		if (wanted > bound)
			return refuse(row, wanted, "this node grants at most", bound);
		if (wanted == 0)
			wanted = value(given, row) < bound ? value(given, row) : bound;
		*limits_at(settled, row) = wanted;
	}
	if (settled->workers_min > settled->workers_max)
		settled->workers_min = settled->workers_max;
	return 0;
}
