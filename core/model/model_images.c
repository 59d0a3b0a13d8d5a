#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "exec/backend.h"
#include "exec/program.h"
#include "model/model_parts.h"

/*
 * What open dimensions are taken for when the image is made, after the first one, which is a batch of 1. Models may refuse
 * some: too small for their windows, not a multiple of what they split.
 */
static const int64_t default_dims[] = { 128, 1, 224, 16, 256, 512, 640, 32, 64 };

/* Images are kept by the hash of what they are made from, which is found as cheaply as may be. */
static void
identify(struct model *model, const struct model_options *options)
{
	uint64_t from = clock_now();
	if (options->hash != NULL) {
		snprintf(model->hash, sizeof(model->hash), "%s", options->hash);
	} else if (options->cache_folder != NULL &&
		   !onnx_hash_find(&model->files, options->cache_folder, model->hash)) {
		onnx_hash(&model->files, model->hash);
		onnx_hash_note(&model->files, options->cache_folder, model->hash);
	}
	model_note_time(&model->times.hash, &from);
}

/* --- finding and making ------------------------------------------------------------------------------------------- */

/* The inputs with open dimensions filled in: first ones with `first`, others with dim. False when none is open. */
static bool
fill_dims(const struct model *model, int64_t first, int64_t dim, struct tensor_type *types)
{
	bool open = false;
	for (uint32_t i = 0; i < model->info.input_count; i++) {
		types[i] = model->info.inputs[i].type;
		for (uint32_t k = 0; k < types[i].rank; k++) {
			if (types[i].dims[k] != TENSOR_DYNAMIC)
				continue;
			types[i].dims[k] = k == 0 ? first : dim;
			open |= k != 0 || first != 1;
		}
	}
	return open;
}

/* Does the error say that the sizes tried do not suit the model, rather than that nothing would? */
static bool
is_of_sizes(const struct error *error)
{
	return error->code == ERR_INVALID_ARGUMENT || error->code == ERR_OUT_OF_RANGE;
}

/*
 * Compile for the first default that the model takes, packing parameters on the way: first dimensions are a batch of 1, and
 * where nothing suits that, lists as long as the rest.
 */
static struct program *
compile_default(struct model *model)
{
	enum { DEFAULTS = sizeof(default_dims) / sizeof(default_dims[0]) };
	struct tensor_type *types =
		arena_calloc(&model->arena, model->info.input_count, sizeof(types[0]));
	size_t group_bytes = model->pack.group_bytes;
	for (size_t i = 0; i < 2 * DEFAULTS && types != NULL; i++) {
		int64_t dim = default_dims[i % DEFAULTS];
		bool open = fill_dims(model, i < DEFAULTS ? 1 : dim, dim, types);
		struct program *program = compile(model->graph, &model->pack, types,
						  model->info.input_count, &model->options);
		if (program != NULL || !is_of_sizes(error_last()))
			return program;
		if (!open && i >= DEFAULTS)
			return NULL;
		if (!open)
			i = DEFAULTS - 1;
		pack_destroy(&model->pack);
		pack_create(&model->pack, model->graph, group_bytes, &model->files);
	}
	return NULL;
}

/* Pack by compiling, and make the image of it; the program is worth keeping. */
static int
build_image(struct model *model)
{
	uint64_t from = clock_now();
	struct program *program = compile_default(model);
	model_note_time(&model->times.compile, &from);
	if (program == NULL)
		return -1;
	model->image = image_build(&model->pack);
	model_note_time(&model->times.image, &from);
	if (model->image != NULL)
		program_cache_add(&model->programs, program);
	program_unref(program);
	return model->image != NULL ? 0 : -1;
}

/* FOLDER/HASH-KIND.SUFFIX in the arena, in use from now on; *path is NULL where there is no cache folder. */
static int
take_path(struct model *model, const struct model_options *options, const char *suffix,
	  const char **path, struct shelf_entry *on_shelf)
{
	char text[PATH_MAX];
	*path = NULL;
	if (options->cache_folder == NULL)
		return 0;
	int length = snprintf(text, sizeof(text), "%s/%s-%s.%s", options->cache_folder, model->hash,
			      device_kind_name(options->kind), suffix);
	if (length >= (int)sizeof(text))
		return error_set(ERR_INVALID_ARGUMENT, "%s: path too long", options->cache_folder);
	*path = arena_strndup(&model->arena, text, (size_t)length);
	if (*path == NULL)
		return -1;
	shelf_take(options->shelf, on_shelf, *path);
	return 0;
}

static int
make_key(struct model *model, const struct model_options *options)
{
	const struct backend *backend = backend_of(options->kind);
	if (backend == NULL)
		return -1;
	struct image_key *key = &model->key;
	snprintf(key->hash, sizeof(key->hash), "%s", model->hash);
	key->kind = options->kind;
	key->platform = backend->platform();
	key->group_bytes =
		options->group_bytes != 0 ? options->group_bytes : MODEL_GROUP_BYTES_DEFAULT;
	return 0;
}

static int
find_image(struct model *model, const struct model_options *options)
{
	pack_create(&model->pack, model->graph, model->key.group_bytes, &model->files);
	if (take_path(model, options, "image", &model->image_path, &model->image_on_shelf) != 0)
		return -1;
	uint64_t from = clock_now();
	if (model->image_path != NULL)
		model->image = image_open(&model->pack, &model->key, model->image_path);
	model_note_time(&model->times.image, &from);
	if (model->image != NULL)
		return 0;
	if (model->image_path != NULL && error_last()->code != ERR_NOT_FOUND)
		log_write(LOG_WARN, "packing again: %s", error_last()->message);
	error_clear();
	return build_image(model);
}

/* What lies in host memory, when that is to be narrower than the image. */
static int
find_narrow(struct model *model, const struct model_options *options)
{
	const char *name = narrow_name(options->parameters);
	if (options->parameters == NARROW_FP32)
		return 0;
	if (take_path(model, options, name, &model->narrow_path, &model->narrow_on_shelf) != 0)
		return -1;
	model->narrow = narrow_image_open(model->image, &model->pack, options->parameters,
					  &model->key, model->narrow_path);
	if (model->narrow == NULL)
		return -1;
	model->image->narrow = model->narrow;
	log_info("%s: parameters as %s: %.1f of %.1f MiB; moved by %.2e, those of one by %.2e "
		 "(root mean square, relative)",
		 model->hash, name, (double)model->narrow->image.bytes / (1 << 20),
		 (double)model->image->bytes / (1 << 20), model->narrow->error,
		 model->narrow->worst_error);
	return 0;
}

/* --- keeping ------------------------------------------------------------------------------------------------------ */

static bool
has_image_to_keep(const struct model *model)
{
	return model->image_path != NULL && model->image->path == NULL;
}

static bool
has_narrow_to_keep(const struct model *model)
{
	return model->narrow_path != NULL && model->narrow->image.path == NULL;
}

/* Bytes in memory that are to be on disk. */
static uint64_t
bytes_to_keep(const struct model *model)
{
	uint64_t bytes = has_image_to_keep(model) ? model->image->bytes : 0;
	return bytes + (has_narrow_to_keep(model) ? model->narrow->image.bytes : 0);
}

void
model_leave_backlog(struct model *model)
{
	if (model->waiting != 0)
		backlog_take(model->backlog, model->waiting);
	model->waiting = 0;
}

uint64_t
model_waiting(const struct model *model)
{
	return model->waiting;
}

int
model_keep(struct model *model)
{
	if (has_image_to_keep(model) &&
	    image_keep(model->image, &model->pack, &model->key, model->image_path) != 0)
		return error_wrap("packed image not kept");
	if (has_narrow_to_keep(model) && narrow_image_keep(model->narrow, model->narrow_path) != 0)
		return error_wrap("packed image not kept");
	model_leave_backlog(model);
	return 0;
}

/* Let what was made wait for model_keep where it may, else write it now. */
static void
keep_or_wait(struct model *model, const struct model_options *options)
{
	uint64_t bytes = bytes_to_keep(model), from = clock_now();
	if (bytes == 0)
		return;
	if (options->backlog != NULL && backlog_add(options->backlog, bytes)) {
		model->backlog = options->backlog;
		model->waiting = bytes;
		return;
	}
	if (model_keep(model) != 0) {
		log_write(LOG_WARN, "%s", error_last()->message);
		error_clear();
	}
	model_note_time(&model->times.image, &from);
}

int
model_find_images(struct model *model, const struct model_options *options)
{
	identify(model, options);
	onnx_drop(&model->files, model->files.data, model->files.size);
	if (make_key(model, options) != 0 || find_image(model, options) != 0 ||
	    find_narrow(model, options) != 0)
		return -1;
	keep_or_wait(model, options);
	return 0;
}
