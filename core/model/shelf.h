/*
 * The shelf: the files of packed images in a cache folder, within a byte budget. What a model that
 * is open lies in is in use and stays; of the rest, what was used longest ago goes first. A file's
 * time of change says when it was last used, so that this outlives the node. Any thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct shelf {
	/* The caller's, as long as the shelf. */
	const char *folder;
	/* Bytes; files in use may exceed it. */
	uint64_t budget;
	/* Guards in_use, and a file from being found unused to its being gone. */
	pthread_mutex_t lock;
	struct list in_use;
	/* As the last look found them: bytes and number of images; and how many were removed, ever. */
	_Atomic uint64_t bytes;
	_Atomic uint64_t images;
	_Atomic uint64_t removed;
};

/* A model's hold on a file, which need not be there yet; embedded in the model. { 0 }: none. */
struct shelf_entry {
	struct list of_shelf;
	struct shelf *shelf;
	const char *path;
};

void
shelf_create(struct shelf *shelf, const char *folder, uint64_t budget);

/* Nothing may be in use any more. */
void
shelf_destroy(struct shelf *shelf);

/* From now on the file at path is in use; path is the caller's until shelf_return. shelf NULL: nothing. */
void
shelf_take(struct shelf *shelf, struct shelf_entry *entry, const char *path);

/* It is not any more. Harmless where nothing was taken. */
void
shelf_return(struct shelf_entry *entry);

/* Look through the folder, and remove what is beyond the budget. 0, or -1: what cannot be read or removed. Blocks. */
int
shelf_trim(struct shelf *shelf);
