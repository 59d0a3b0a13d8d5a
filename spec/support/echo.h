/*
 * An echo server on a thread of its own, on net/server.h as the path uses it: what the specs of sockets talk to.
 *
 * Methods: "later" answers after 20 ms from the held frame; "never" does not answer; "fail" answers with an error;
 * "push" sends a notification "event" with its first param, then answers; "bytes" answers with a bin of that many
 * bytes; "close" closes the connection after its answer; any other is answered with the array of its params.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/server.h"

struct echo;

struct echo_counts {
	uint64_t opened;
	uint64_t closed;
	uint64_t frames;
	uint64_t batches;
	/* Most requests of one connection that waited at once. */
	uint64_t in_flight_max;
	/* CPU time of the thread so far, ns. */
	uint64_t cpu_ns;
};

/* limits NULL: roomy ones. *port: as server_listen. NULL with the error set. */
struct echo *
echo_start(const char *address, const struct server_limits *limits, int *port);
struct echo_counts
echo_counts(struct echo *echo);
/* server_stop, server_delete, and the end of the thread and of the loop; aborts if a handle was left behind. */
void
echo_stop(struct echo *echo);
