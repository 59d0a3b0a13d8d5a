/*
 * Methods about models: model.load, unload, list, trim.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/narrow_image.h"
#include "path/deploy_record.h"
#include "path/engine.h"
#include "path/methods.h"
#include "path/models.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/state.h"

enum { LOADING_ARENA_BYTES = 64 << 10 };

/* A model.load on a pool thread. */
struct loading {
	uv_work_t work;
	struct engine *engine;
	struct pending *pending;
	struct arena arena;
	char name[ENGINE_NAME_BYTES];
	struct model_source source;
	/* source.data's copy: the request may go before the work is done. */
	void *data;
	struct model_opened opened;
	int status;
	struct error error;
};

static void
loading_free(struct loading *loading)
{
	if (loading->opened.model != NULL)
		model_unref(loading->opened.model);
	arena_destroy(&loading->arena);
	free(loading->data);
	free(loading);
}

static int
write_name(const struct loading *loading)
{
	struct writer writer;
	writer_create(&writer);
	writer_map(&writer, 1);
	writer_string(&writer, "hash");
	writer_string(&writer, loading->opened.hash);
	int status = writer_finish(&writer);
	if (status == 0)
		status = state_write(loading->engine, "names", loading->name,
				     (struct slice){ writer.data, writer.bytes });
	writer_destroy(&writer);
	return status;
}

static void
load(uv_work_t *work)
{
	struct loading *loading = work->data;
	loading->status = models_fetch(loading->engine, &loading->source, &loading->opened);
	if (loading->status == 0 && loading->source.hash == NULL)
		loading->status = write_name(loading);
	if (loading->status != 0)
		loading->error = *error_last();
}

/* Give the model its name; one of that name before loses it. */
static struct engine_model *
name_model(struct loading *loading)
{
	struct engine *engine = loading->engine;
	struct slice name = { (const unsigned char *)loading->name, strlen(loading->name) };
	struct engine_model *old = models_find(engine, name);
	struct engine_model *model = models_add(engine, &loading->opened, loading->name);
	loading->opened.model = NULL;
	if (model == NULL || model == old) {
		if (model != NULL)
			models_unref(model);
		return model;
	}
	if (model->named) {
		error_set(ERR_ALREADY_EXISTS, "name: the same model is loaded as '%s'",
			  model->name);
		models_unref(model);
		return NULL;
	}
	if (old != NULL) {
		old->named = false;
		models_unref(old);
	}
	snprintf(model->name, sizeof(model->name), "%s", loading->name);
	model->named = true;
	return model;
}

static void
write_ports(struct writer *writer, const char *key, const struct model_port *ports, uint32_t count)
{
	writer_string(writer, key);
	writer_array(writer, count);
	for (uint32_t i = 0; i < count; i++) {
		writer_map(writer, 3);
		writer_string(writer, "name");
		writer_string(writer, ports[i].name);
		writer_string(writer, "datatype");
		writer_string(writer, data_type_name(ports[i].type.data_type));
		writer_string(writer, "shape");
		writer_array(writer, ports[i].type.rank);
		for (uint32_t d = 0; d < ports[i].type.rank; d++)
			writer_int(writer, ports[i].type.dims[d]);
	}
}

static void
write_residency(struct writer *writer, const struct engine_model *model)
{
	const struct engine *engine = model->engine;
	writer_string(writer, "devices");
	writer_array(writer, engine->device_count);
	for (uint32_t d = 0; d < engine->device_count; d++) {
		const struct residency *residency =
			engine->devices[d].lost ? NULL : model->residency[d];
		const struct tier_state *state = tier_state(model, &engine->devices[d]);
		bool says_why = state->tier == TIER_failed && state->reason != NULL;
		writer_map(writer, says_why ? 4 : 3);
		writer_string(writer, "state");
		writer_string(writer, tier_name(state->tier));
		if (says_why) {
			writer_string(writer, "reason");
			writer_string(writer, state->reason);
		}
		writer_string(writer, "groups");
		writer_uint(writer, residency == NULL ? 0 : residency_groups(residency));
		writer_string(writer, "bytes");
		writer_uint(writer, residency == NULL ? 0 : residency_bytes(residency));
	}
}

/* How the parameters lie in host memory, and what that cost in accuracy. */
static void
write_parameters(struct writer *writer, const struct model *model)
{
	const struct narrow_image *narrow = model_narrow(model);
	writer_string(writer, "parameters");
	writer_map(writer, 4);
	writer_string(writer, "form");
	writer_string(writer, narrow_name(narrow == NULL ? NARROW_FP32 : narrow->form));
	writer_string(writer, "host_bytes");
	writer_uint(writer, image_on_host(model_image(model))->bytes);
	writer_string(writer, "error");
	writer_double(writer, narrow == NULL ? 0 : narrow->error);
	writer_string(writer, "worst_error");
	writer_double(writer, narrow == NULL ? 0 : narrow->worst_error);
}

/* What loading the model's prefix takes, as far as a load was measured. */
static double
prefix_ns(const struct view_model *view)
{
	return view->bytes == 0 ? 0 : view->load_ns * view->prefix_bytes / view->bytes;
}

static void
write_model(struct writer *writer, const struct engine_model *model)
{
	const struct model_info *info = model_info(model->model);
	writer_map(writer, 20);
	writer_string(writer, "name");
	writer_string(writer, model->name);
	writer_string(writer, "hash");
	writer_string(writer, model->hash);
	writer_string(writer, "named");
	writer_bool(writer, model->named);
	writer_string(writer, "bytes");
	writer_uint(writer, (uint64_t)model->view.bytes);
	writer_string(writer, "groups");
	writer_uint(writer, model->view.group_count);
	write_parameters(writer, model->model);
	writer_string(writer, "image");
	writer_string(writer, keeping_name(model->keeping));
	writer_string(writer, "pages");
	writer_string(writer, locking_name(model->lock.state));
	writer_string(writer, "prefix_groups");
	writer_uint(writer, model->view.prefix_groups);
	writer_string(writer, "prefix_bytes");
	writer_uint(writer, (uint64_t)model->view.prefix_bytes);
	writer_string(writer, "users");
	writer_uint(writer, model->references - (model->named ? 1 : 0));
	writer_string(writer, "run_us");
	writer_double(writer, model->view.run_ns / 1e3);
	writer_string(writer, "load_us");
	writer_double(writer, model->view.load_ns / 1e3);
	writer_string(writer, "shared_load_us");
	writer_double(writer, model->view.shared_load_ns / 1e3);
	writer_string(writer, "prefix_us");
	writer_double(writer, prefix_ns(&model->view) / 1e3);
	writer_string(writer, "runs");
	writer_uint(writer, model->runs);
	writer_string(writer, "jobs");
	writer_uint(writer, model->view.jobs);
	write_ports(writer, "inputs", info->inputs, info->input_count);
	write_ports(writer, "outputs", info->outputs, info->output_count);
	write_residency(writer, model);
}

static void
loaded(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct loading *loading = work->data;
	struct request *request = loading->pending == NULL ? NULL : pending_end(loading->pending);
	struct engine_model *model = NULL;
	if (loading->status == 0)
		model = name_model(loading);
	else
		error_restore(&loading->error);
	if (request != NULL && model != NULL && request_result(request) != NULL) {
		write_model(request->result, model);
		route_enter(request, ROUTE_reply);
	} else if (request != NULL) {
		route_fail(request);
	} else if (model == NULL) {
		log_error("model '%s': %s", loading->name, error_last()->message);
	}
	loading_free(loading);
}

static struct loading *
loading_new(struct engine *engine, struct slice name)
{
	struct loading *loading = calloc(1, sizeof(*loading));
	if (loading == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "model.load: no memory");
		return NULL;
	}
	loading->engine = engine;
	loading->work.data = loading;
	arena_create(&loading->arena, LOADING_ARENA_BYTES);
	memcpy(loading->name, name.data, name.bytes);
	return loading;
}

static int
copy_data(struct loading *loading)
{
	struct slice *data = &loading->source.data;
	if (data->data == NULL)
		return 0;
	loading->data = malloc(data->bytes + 1);
	if (loading->data == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "model.load: no memory");
	memcpy(loading->data, data->data, data->bytes);
	data->data = loading->data;
	return 0;
}

/* {name, path|data} without its name is what a record calls a source. */
static int
read_source(struct request *request, struct loading *loading)
{
	struct slice parameter = request->message.params[0], value;
	static const char *const keys[] = { "path", "data" };
	struct writer writer;
	writer_create(&writer);
	int found[2], status = 0;
	uint32_t pairs = 0;
	for (int i = 0; i < 2 && status == 0; i++) {
		found[i] = methods_field(parameter, keys[i], &value);
		status = found[i] < 0 ? -1 : 0;
		pairs += found[i] > 0;
	}
	writer_map(&writer, pairs);
	for (int i = 0; i < 2 && status == 0; i++) {
		if (found[i] == 0)
			continue;
		methods_field(parameter, keys[i], &value);
		writer_string(&writer, keys[i]);
		writer_raw(&writer, value.data, value.bytes);
	}
	if (status == 0)
		status = deploy_record_read_source((struct slice){ writer.data, writer.bytes },
						   "model.load", &loading->source, &loading->arena);
	if (status == 0)
		status = copy_data(loading);
	writer_destroy(&writer);
	return status;
}

static int
call_load(struct request *request)
{
	struct slice name;
	if (methods_string(request, "name", &name) != 0 || state_check_name("name", name) != 0)
		return -1;
	struct loading *loading = loading_new(request->engine, name);
	if (loading == NULL)
		return -1;
	if (read_source(request, loading) != 0 ||
	    (loading->pending = pending_new(request)) == NULL) {
		loading_free(loading);
		return -1;
	}
	uv_queue_work(&request->engine->loop, &loading->work, load, loaded);
	return ROUTE_WAIT;
}

static int
call_unload(struct request *request)
{
	struct slice name;
	if (methods_string(request, "name", &name) != 0)
		return -1;
	struct engine_model *model = models_find(request->engine, name);
	if (model == NULL)
		return error_set(ERR_NOT_FOUND, "model '%.*s': not loaded", (int)name.bytes,
				 (const char *)name.data);
	if (model->references > 1)
		return error_set(ERR_FAILED_PRECONDITION, "model '%s': %u functions use it",
				 model->name, model->references - 1);
	struct writer *result = request_result(request);
	if (result == NULL || state_remove(request->engine, "names", model->name) != 0)
		return -1;
	models_unref(model);
	writer_bool(result, true);
	return ROUTE_REPLY;
}

static int
call_trim(struct request *request)
{
	struct engine *engine = request->engine;
	struct slice name;
	uint32_t device = 0, keep = 0;
	if (methods_string(request, "name", &name) != 0 ||
	    methods_number(request, "device", engine->device_count, &device) != 0 ||
	    methods_number(request, "keep", UINT32_MAX, &keep) != 0)
		return -1;
	struct engine_model *model = models_find_listed(engine, name);
	if (model == NULL)
		return error_set(ERR_NOT_FOUND, "model '%.*s': not loaded", (int)name.bytes,
				 (const char *)name.data);
	struct writer *result = request_result(request);
	if (result == NULL)
		return -1;
	writer_uint(result, models_trim(engine, model->view.id, &engine->devices[device], keep));
	schedule_unpark(&engine->devices[device]);
	return ROUTE_REPLY;
}

static int
call_list(struct request *request)
{
	struct engine *engine = request->engine;
	struct writer *result = request_result(request);
	uint32_t count = 0;
	if (result == NULL)
		return -1;
	list_each(link, &engine->models)
		count++;
	writer_array(result, count);
	list_each(link, &engine->models)
		write_model(result, list_entry(link, struct engine_model, of_engine));
	return ROUTE_REPLY;
}

/* A kept name: bring its model back. */
static void
restore_one(void *context, const char *name)
{
	struct engine *engine = context;
	struct slice record, value, hash;
	struct reader reader;
	if (state_read(engine, "names", name, &record) != 0)
		return;
	struct loading *loading =
		loading_new(engine, (struct slice){ (const unsigned char *)name, strlen(name) });
	if (loading != NULL && methods_field(record, "hash", &value) == 1) {
		reader_create(&reader, value);
		if (reader_string(&reader, "hash", &hash) == 0)
			loading->source.hash =
				arena_strndup(&loading->arena, (const char *)hash.data, hash.bytes);
	}
	free((void *)(uintptr_t)record.data);
	if (loading == NULL)
		return;
	/* Before anything else runs: functions may name these models. */
	load(&loading->work);
	loaded(&loading->work, 0);
}

int
models_restore(struct engine *engine)
{
	return state_each(engine, "names", restore_one, engine);
}

const struct method methods_of_models[] = {
	{ "model.load", "({name, path|data})", "Import a model that functions can then name",
	  call_load, false },
	{ "model.unload", "(name)", "Forget a model that no function uses", call_unload, false },
	{ "model.trim", "({name, device?, keep?})",
	  "Take a model's groups from a device, the first `keep` of them apart; bytes given back",
	  call_trim, false },
	{ "model.list", "()", "All models with inputs, outputs, sizes and residency", call_list,
	  false },
	{ 0 },
};
