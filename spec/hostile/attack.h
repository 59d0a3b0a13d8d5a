/*
 * What a worker that was taken over knows of its surroundings, how it speaks to the node, and what
 * it tries. One thread, in the worker's process; whatever fails ends it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "script/record.h"

struct self {
	struct record_layout layout;
	unsigned char *shared;
	struct record_controls *controls;
	struct ring_writer out;
	struct ring_reader in;
	/* The request under way. */
	uint32_t request;
};

extern struct self self;

/* One thing to try, by the name that scripts call it. It need not return. */
struct attack {
	const char *name;
	void (*run)(void);
};

/* The entry of a function in a table. */
#define ATTACK(function)                                                                           \
	{                                                                                          \
		.name = #function, .run = function                                                 \
	}

/* Tables that end in { 0 }: on the kernel and what it keeps a worker from, and on the node through the ring. */
extern const struct attack attacks_on_kernel[];
extern const struct attack attacks_on_ring[];

/* Wake the node. */
void
attack_wake(void);

/* What was put becomes the node's to read. */
void
attack_publish(void);

/* Room for a record of so many bytes in the ring, zeroed but for its head. */
void *
attack_put(uint16_t kind, uint32_t request, size_t bytes);

/* Put a record with a payload of (offset, bytes), and data behind it, and publish it. */
void
attack_say(uint16_t kind, uint32_t request, uint64_t offset, uint64_t bytes, const void *data,
	   size_t data_bytes);
