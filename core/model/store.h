/*
 * The host store: which packed images are in host memory, within a byte budget. An image is a mapped file, so bringing it in
 * is the kernel's read-ahead while the first groups are copied on, and dropping it writes nothing. Least recently used goes
 * first; pinned images stay. Main loop's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "model/image.h"

struct store {
	uint64_t budget;
	/* Bytes of the images that are in host memory. */
	uint64_t used;
	/* Entries in host memory, least recently used first. */
	struct list in_memory;
	/* Images brought in and dropped so far. */
	uint64_t reads;
	uint64_t drops;
};

/* One image's place in the store; embedded in whatever owns the image. */
struct store_entry {
	struct list of_store;
	const struct image *image;
	bool is_in_memory;
	uint32_t pins;
};

/* budget in bytes. The budget may be exceeded by images that are pinned at the same time. */
void
store_create(struct store *store, uint64_t budget);

/* The image is on disk as far as the store is concerned. */
void
store_add(struct store *store, struct store_entry *entry, const struct image *image);
void
store_remove(struct store *store, struct store_entry *entry);

/*
 * The image is about to be read by a copy: it counts as in memory from now on, others are dropped to make room, and it is
 * kept until store_unpin. True when it was on disk: then whoever copies reads it first, group by group (image_fetch).
 */
bool
store_pin(struct store *store, struct store_entry *entry);
void
store_unpin(struct store *store, struct store_entry *entry);
