/*
 * Emulated links of host devices: a copy over one takes as long as the link's rate says, and copies at the same time
 * share the rate evenly. A link is a clock that says until when it is taken; a copy takes it slice by slice, so that
 * several copies take turns. A thread that comes late makes it up with its next slices: no byte arrives before the link
 * could have brought it, and long copies are exact as long as memory is faster than the link.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct host_link;

/* The two directions of a device's way to host memory. */
struct host_links {
	/* NULL: as fast as memory copies. */
	struct host_link *in;
	struct host_link *out;
};

/* A link of rate bytes/s; NULL with RESOURCE_EXHAUSTED. */
struct host_link *
host_link_new(uint64_t rate);
void
host_link_delete(struct host_link *link);

/*
 * The links of a device: its own, or those of the switch, which all devices that name it share. INVALID_ARGUMENT when the
 * switch has another rate. Any thread.
 */
int
host_links_open(struct host_links *links, uint64_t rate, int switch_id);
void
host_links_close(struct host_links *links, int switch_id);

/*
 * Copy over the link on the calling thread. ready: since when the copy could have run, ns of host_now(). Returns when the
 * last byte is across; the caller may be up to 1 ms early and waits for that time before it tells anybody.
 */
uint64_t
host_link_copy(struct host_link *link, uint64_t ready, void *to, const void *from, size_t bytes);
