#include "model/relay.h"

#include <stdlib.h>

struct relay {
	struct pool *pool;
	struct device *neighbour;
	struct extent *extent;
	/* Reached when the buffer holds a piece (the neighbour's), and when that was sent on (the device's). */
	struct device_event *full[RELAY_BUFFERS];
	struct device_event *empty[RELAY_BUFFERS];
	/* Pieces put so far. */
	uint64_t count;
};

static int
make_events(struct relay *relay, struct device *device)
{
	for (int i = 0; i < RELAY_BUFFERS; i++) {
		relay->full[i] = event_new(relay->neighbour);
		relay->empty[i] = relay->full[i] != NULL ? event_new(device) : NULL;
		if (relay->empty[i] == NULL)
			return -1;
	}
	return 0;
}

struct relay *
relay_new(struct pool *pool, struct device *neighbour, struct device *device, const void *owner)
{
	if (!device_has_peer(device, neighbour)) {
		error_set(ERR_FAILED_PRECONDITION, "%s has no link to %s",
			  device_properties(device)->name, device_properties(neighbour)->name);
		return NULL;
	}
	struct relay *relay = calloc(1, sizeof(*relay));
	if (relay == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a relay");
		return NULL;
	}
	relay->pool = pool;
	relay->neighbour = neighbour;
	relay->extent = pool_alloc(pool, RELAY_BYTES, owner);
	if (relay->extent != NULL && make_events(relay, device) == 0)
		return relay;
	relay_delete(relay);
	return NULL;
}

void
relay_delete(struct relay *relay)
{
	if (relay == NULL)
		return;
	for (int i = 0; i < RELAY_BUFFERS; i++) {
		event_delete(relay->full[i]);
		event_delete(relay->empty[i]);
	}
	pool_free(relay->pool, relay->extent);
	free(relay);
}

static int
put_piece(struct relay *relay, void *to, const void *from, size_t bytes, struct device_stream *lent,
	  struct device_stream *peer)
{
	unsigned i = relay->count % RELAY_BUFFERS;
	void *at = (char *)relay->extent->address + (size_t)i * RELAY_PIECE_BYTES;
	if (relay->count >= RELAY_BUFFERS && stream_wait(lent, relay->empty[i]) != 0)
		return -1;
	if (stream_copy_in(lent, at, from, bytes) != 0 ||
	    stream_record(lent, relay->full[i]) != 0 || stream_wait(peer, relay->full[i]) != 0 ||
	    stream_copy_peer(peer, to, relay->neighbour, at, bytes) != 0 ||
	    stream_record(peer, relay->empty[i]) != 0)
		return -1;
	relay->count++;
	return 0;
}

int
relay_put(struct relay *relay, void *to, const void *from, size_t bytes, struct device_stream *lent,
	  struct device_stream *peer)
{
	for (size_t at = 0; at < bytes; at += RELAY_PIECE_BYTES) {
		size_t left = bytes - at;
		if (put_piece(relay, (char *)to + at, (const char *)from + at,
			      left < RELAY_PIECE_BYTES ? left : RELAY_PIECE_BYTES, lent, peer) != 0)
			return -1;
	}
	return 0;
}
