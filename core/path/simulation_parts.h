/*
 * The simulation's own parts, shared by its files. Everything runs on the thread that drives it.
 */
#pragma once

#include <stdbool.h>

#include "config.h"
#include "path/engine.h"
#include "path/simulation.h"

enum { SIMULATION_ERROR_BYTES = ERROR_MESSAGE_BYTES + 64 };

/* What runs on a device, for the spans. */
struct simulation_running {
	/* The job's id; 0 when idle. */
	double id;
	struct simulation_span span;
};

struct simulation_node {
	struct simulation *simulation;
	struct engine engine;
	struct config config;
	/* Requests come from here; it has no connection, so replies go nowhere. */
	struct client client;
	/* A completion has been posted since the last look. */
	bool is_woken;
	struct simulation_node *next_woken;
	/* By device. */
	struct simulation_running *running;
	struct simulation_device *counts;
};

struct simulated_function {
	struct simulation_node *node;
	struct engine_function *entry;
};

struct simulation {
	struct simulation_options options;
	uint32_t node_count;
	struct simulation_node *nodes;
	/* Nodes with completions to take. */
	struct simulation_node *woken;
	uint32_t model_count;
	struct model **models;
	uint32_t function_count;
	uint32_t function_room;
	struct simulated_function *functions;
	uint64_t next_tick;
	/* Some function's requests are batched. */
	bool batches;
	uint64_t span_count;
	struct simulation_span *spans;
	/* Why a policy was replaced. */
	uint64_t faults;
	char fault[SIMULATION_ERROR_BYTES];
};

/* Open node number index of simulation->nodes, with devices and policy; after a failure, too, it is closed. 0 or -1. */
int
simulation_node_open(struct simulation *simulation, uint32_t index);
void
simulation_node_close(struct simulation_node *node);

/* Look at which jobs have come and gone on the node's devices since the last look. */
void
simulation_note_spans(struct simulation_node *node);
