/*
 * The host store: which packed images are in host memory, within a byte budget. An image is a mapped file, so bringing it in
 * is the kernel's read-ahead while the first groups are copied on, and dropping it writes nothing. Least recently used goes
 * first; pinned images stay, and those that are not on disk yet. Main loop's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "model/image.h"

struct store_entry;

/*
 * An image is to leave host memory: store_drop_pages does that, and may be called now or later, on any thread while the
 * image is there.
 */
typedef void
store_drop_f(void *context, struct store_entry *entry);

struct store {
	uint64_t budget;
	store_drop_f *drop;
	void *context;
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
	/* Memory that is held for it until it is on disk, beside the image's own. */
	uint64_t besides;
};

/*
 * budget in bytes; it may be exceeded by images that are pinned at the same time. drop NULL: pages are dropped at once, which
 * takes some ms for a large image.
 */
void
store_create(struct store *store, uint64_t budget, store_drop_f *drop, void *context);

/* Give the image's pages back to the kernel. Harmless when it is being read again. */
void
store_drop_pages(const struct image *image);

/* The image is on disk as far as the store is concerned. */
void
store_add(struct store *store, struct store_entry *entry, const struct image *image);

/*
 * The image was just made and lies in memory alone, where it takes so many bytes with what it was
 * made from: it counts for them and is kept until store_let_go, which says that it is on disk.
 */
void
store_hold(struct store *store, struct store_entry *entry, uint64_t bytes);
void
store_let_go(struct store *store, struct store_entry *entry);

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
