/*
 * The ring: records from one process to another through shared memory, one producer, one consumer. Both ends keep their own
 * position in private memory; of what the other side writes, only the position is read, once, and checked, and records are
 * copied out before anybody looks into them. Records are multiples of RING_UNIT and do not wrap: a padding record fills the
 * end.
 *
 * A consumer that finds nothing sets `asleep`, looks once more and sleeps; a producer that published looks at `asleep` and
 * wakes it (Dekker's scheme: each side writes its own word, fences, and reads the other's).
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* Bytes of one ring; a power of two. */
	RING_BYTES = 128 << 10,
	RING_UNIT = 16,
	/* Longest record. */
	RING_RECORD_MAX = 8 << 10,
};

/* The shared words of one ring, each on a line of its own. Positions count bytes since the start, modulo 2^32. */
struct ring_control {
	_Alignas(64) _Atomic uint32_t produced;
	_Alignas(64) _Atomic uint32_t consumed;
	/* The consumer sleeps and wants a wake. */
	_Alignas(64) _Atomic uint32_t asleep;
	/* The producer found no room and wants a wake. */
	_Alignas(64) _Atomic uint32_t cramped;
};

/* What every record starts with. kind 0 is padding. */
struct ring_record {
	/* Of the whole record, a multiple of RING_UNIT. */
	uint32_t bytes;
	uint16_t kind;
	uint16_t flags;
	/* The request that it belongs to; 0: none. */
	uint32_t request;
	/* Counts the records of this ring from 0, padding included. */
	uint32_t sequence;
};

struct ring_writer {
	struct ring_control *control;
	unsigned char *data;
	/* Written so far, and published so far. */
	uint32_t written;
	uint32_t published;
	uint32_t sequence;
};

struct ring_reader {
	struct ring_control *control;
	const unsigned char *data;
	uint32_t read;
	/* What the producer had published when last looked at. */
	uint32_t limit;
	uint32_t sequence;
};

void
ring_writer_create(struct ring_writer *writer, struct ring_control *control, void *data);
void
ring_reader_create(struct ring_reader *reader, struct ring_control *control, const void *data);

/*
 * Room for a record of at least `bytes` (header included, at most RING_RECORD_MAX), its header filled in. The caller fills
 * the rest before ring_publish. NULL: no room now.
 */
void *
ring_reserve(struct ring_writer *writer, uint16_t kind, uint32_t request, size_t bytes);

/* The other side may read all that was reserved. */
void
ring_publish(struct ring_writer *writer);

/* After ring_publish: the consumer sleeps and must be woken; says so once a sleep. */
bool
ring_must_wake(struct ring_writer *writer);

/* Before sleeping for room: ask the consumer for a wake. True: there is room after all, do not sleep. */
bool
ring_ask_room(struct ring_writer *writer, size_t bytes);

/*
 * Copy the next record to `record`, RING_RECORD_MAX bytes. 1, 0 when there is none, -1 with DATA_LOSS when position, length
 * or sequence make no sense: the ring has no further meaning.
 */
int
ring_read(struct ring_reader *reader, void *record) __attribute__((warn_unused_result));

/* Give back the room of what was read. True: the producer waits for it and must be woken. */
bool
ring_release(struct ring_reader *reader);

/* Before sleeping: ask the producer for a wake. True: there is something after all, do not sleep. */
bool
ring_ask_wake(struct ring_reader *reader);

/* Awake again: the producer need not wake us. */
void
ring_stay_awake(struct ring_reader *reader);

/* There is something to read. */
bool
ring_has_record(struct ring_reader *reader);
