/*
 * Inside a model: what its files ask of one another. model.c has the model and its programs,
 * model_images.c finds, makes and keeps what its parameters lie in.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "model/backlog.h"
#include "model/compile.h"
#include "model/model.h"
#include "model/narrow_image.h"
#include "model/onnx.h"
#include "model/pack.h"
#include "model/program_cache.h"
#include "model/shelf.h"

struct model {
	_Atomic uint32_t references;
	struct model_info info;
	struct compile_options options;
	/* Empty until it is known; changed under compiling. */
	char hash[ONNX_HASH_BYTES];
	struct model_times times;
	/* Imported and rewritten as far as that needs no input types; read only. */
	struct arena arena;
	struct onnx_files files;
	struct graph *graph;
	/* Inputs whose rank the model leaves open. */
	bool *any_rank;
	struct pack pack;
	struct image *image;
	struct narrow_image *narrow;
	/* What the images are made from, and where they are kept; the path is the arena's, NULL: nowhere. */
	struct image_key key;
	const char *image_path;
	const char *narrow_path;
	struct shelf_entry image_on_shelf;
	struct shelf_entry narrow_on_shelf;
	/* Where images count that wait for model_keep, and what they count for; 0: nothing waits. */
	struct backlog *backlog;
	uint64_t waiting;
	struct program_cache programs;
	/* One compilation at a time, of the programs and of their times. */
	pthread_mutex_t compiling;
};

/* Add what has passed since *from, which becomes now. */
void
model_note_time(uint64_t *time, uint64_t *from);

/* --- model_images.c ----------------------------------------------------------------------------------------------- */

/* Find the images of an imported model, or make them. 0 or -1. */
int
model_find_images(struct model *model, const struct model_options *options);

/* What waited for model_keep does no longer: it was written, or goes. */
void
model_leave_backlog(struct model *model);
