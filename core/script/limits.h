/*
 * Limits: what a function may use. A script says some (limits = {…}), the node's configuration gives the rest and the most
 * that scripts may ask. One table (limits.c) names them all; a limit of 0 says nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct limits {
	/* Wall time and CPU time of one request in its handler, ms. */
	uint64_t timeout_ms;
	uint64_t cpu_ms;
	/* Memory of one worker, bytes. */
	uint64_t memory_bytes;
	/* One reply, or one part of a stream; and what one request may log, bytes. */
	uint64_t reply_bytes;
	uint64_t log_bytes;
	/*
	 * Requests in one worker at once, those not counted that wait for another function; and
	 * requests that wait for a place.
	 */
	uint64_t concurrency;
	uint64_t queue;
	/* Workers that are kept though idle, and the most that are started. */
	uint64_t workers_min;
	uint64_t workers_max;
};

/* A row of the table. */
struct limit {
	/* As manifest and configuration name it ("timeout_ms"). */
	const char *name;
	/* As a script names it ("memory_mb"), and how many of ours are one of its. */
	const char *script_name;
	uint64_t script_unit;
	/* In struct limits. */
	size_t offset;
	/* Range of any value; what a node gives and grants unless its configuration says otherwise. */
	uint64_t least;
	uint64_t utmost;
	uint64_t standard;
	uint64_t granted;
};

enum { LIMITS_COUNT = 9 };
extern const struct limit limits_table[LIMITS_COUNT];

/* The limit of that row. */
uint64_t *
limits_at(struct limits *limits, const struct limit *row);

/* What a node gives and grants by default. */
void
limits_standard(struct limits *limits);
void
limits_granted(struct limits *limits);

/* Each is 0 or within its range, and not fewer workers at most than at least. -1 with INVALID_ARGUMENT naming the limit. */
int
limits_check(const struct limits *limits) __attribute__((warn_unused_result));

/*
 * The limits in force: what the script asks, else what the node gives, never more than the node grants. -1 with
 * INVALID_ARGUMENT when the script asks for more.
 */
int
limits_settle(const struct limits *asked, const struct limits *given, const struct limits *most,
	      struct limits *settled) __attribute__((warn_unused_result));
