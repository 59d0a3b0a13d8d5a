#include "path/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "exec/program.h"
#include "path/decode.h"
#include "path/schedule.h"
#include "path/state.h"
#include "path/view.h"

static int
store(const struct node *node, const struct model_source *source, char *hash)
{
	if (source->path != NULL)
		return state_store_model_file(node, source->path, hash);
	if (source->hash == NULL)
		return state_store_model(node, source->data, hash);
	snprintf(hash, MODEL_HASH_BYTES, "%s", source->hash);
	return 0;
}

/* Compile for the declared inputs, unless a shape is left open. */
static int
compile_ahead(struct model *model)
{
	const struct model_info *info = model_info(model);
	struct tensor_type *types = calloc(info->input_count + 1, sizeof(*types));
	if (types == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "model: no memory");
	bool is_open = false;
	for (uint32_t i = 0; i < info->input_count; i++) {
		types[i] = info->inputs[i].type;
		is_open = is_open || tensor_elements(&types[i]) < 0;
	}
	int status = 0;
	if (!is_open) {
		struct program *program = model_compile(model, types, info->input_count);
		status = program == NULL ? -1 : 0;
		if (program != NULL)
			program_unref(program);
	}
	free(types);
	return status;
}

int
models_fetch(const struct node *node, const struct model_source *source, struct model_opened *opened)
{
	char path[STATE_PATH_BYTES];
	opened->model = NULL;
	if (store(node, source, opened->hash) != 0 ||
	    state_model_path(node, opened->hash, path) != 0)
		return -1;
	opened->model = model_open(path, &node->model_options);
	if (opened->model == NULL)
		return -1;
	if (compile_ahead(opened->model) == 0)
		return 0;
	model_unref(opened->model);
	opened->model = NULL;
	return -1;
}

struct node_model *
models_find(struct node *node, struct slice name)
{
	list_each (link, &node->models) {
		struct node_model *model = list_entry(link, struct node_model, of_node);
		if (model->named && slice_is(name, model->name))
			return model;
	}
	return NULL;
}

struct node_model *
models_find_hash(struct node *node, const char *hash)
{
	list_each (link, &node->models) {
		struct node_model *model = list_entry(link, struct node_model, of_node);
		if (strcmp(model->hash, hash) == 0)
			return model;
	}
	return NULL;
}

struct node_model *
models_ref(struct node_model *model)
{
	model->references++;
	return model;
}

struct node_model *
models_add(struct node *node, const struct model_opened *opened, const char *name)
{
	struct model *model = opened->model;
	struct node_model *entry = models_find_hash(node, opened->hash);
	if (entry != NULL) {
		model_unref(model);
		return models_ref(entry);
	}
	entry = calloc(1, sizeof(*entry));
	if (entry != NULL)
		entry->residency = calloc(node->device_count + 1, sizeof(*entry->residency));
	if (entry == NULL || entry->residency == NULL) {
		free(entry);
		model_unref(model);
		error_set(ERR_RESOURCE_EXHAUSTED, "model '%s': no memory", name);
		return NULL;
	}
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	memcpy(entry->hash, opened->hash, sizeof(entry->hash));
	entry->node = node;
	entry->model = model;
	entry->references = 1;
	entry->view.bytes = model_image(model)->bytes;
	entry->view.group_count = model_image(model)->group_count;
	if (view_add_model(node, entry) != 0) {
		free(entry->residency);
		free(entry);
		model_unref(model);
		return NULL;
	}
	list_push_back(&node->models, &entry->of_node);
	node_event(node, "model_loaded", entry->name, NULL);
	return entry;
}

static void
forget(struct node_model *model)
{
	struct node *node = model->node;
	node_event(node, "model_unloaded", model->name, NULL);
	view_remove_model(node, model);
	list_remove(&model->of_node);
	for (uint32_t d = 0; d < node->device_count; d++) {
		if (model->residency[d] == NULL)
			continue;
		residency_delete(model->residency[d]);
		view_device_memory(&node->devices[d]);
		schedule_unpark(&node->devices[d]);
	}
	model_unref(model->model);
	free(model->residency);
	free(model);
}

void
models_unref(struct node_model *model)
{
	if (--model->references == 0)
		forget(model);
}

struct residency *
models_residency(struct node_model *model, struct node_device *device)
{
	struct residency **residency = &model->residency[device->view.id];
	if (*residency == NULL)
		*residency = residency_new(device->pool, device->device, model_image(model->model),
					   model);
	return *residency;
}

uint64_t
models_trim(struct node *node, uint32_t id, struct node_device *device, uint32_t keep)
{
	/* The view is the first member. */
	struct node_model *model = (struct node_model *)(uintptr_t)node->view_models[id];
	if (model == NULL || model->residency[device->view.id] == NULL)
		return 0;
	uint64_t freed = residency_trim(model->residency[device->view.id], keep);
	view_residency_changed(model, device);
	return freed;
}

static void
collect_one(void *context, const char *hash)
{
	struct node *node = context;
	if (models_find_hash(node, hash) == NULL)
		state_remove_model(node, hash);
}

void
models_collect(struct node *node)
{
	if (state_each_model(node, collect_one, node) != 0)
		log_warn("state: %s", error_last()->message);
}

void
models_destroy(struct node *node)
{
	list_each_safe(link, &node->models)
	{
		forget(list_entry(link, struct node_model, of_node));
	}
}
