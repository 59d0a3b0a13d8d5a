#include "path/devices.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/elbow.h"
#include "device/fault.h"
#include "path/engine.h"
#include "path/submit.h"
#include "path/tracing.h"
#include "path/view.h"

enum {
	/* What the elbow of a device's link is measured with. */
	ELBOW_BYTES = 8 << 20,
};

/* The configured device, behind the decorator that makes it fail where that was asked for. */
static struct device *
open_kind(const struct engine *engine, const struct config_device *config)
{
	struct device_options options = config->options;
	options.plans_folder = engine->cache_folder;
	struct device *device = device_open(config->kind, &options);
	if (device == NULL || !config->faults)
		return device;
	struct device *faulty = fault_new(device);
	if (faulty == NULL)
		device_close(device);
	return faulty;
}

static int
open_streams(struct engine_device *device)
{
	bool has_peers = device_properties(device->device)->peer_rate > 0;
	bool widens = device->engine->config->parameters != NARROW_FP32;
	device->compute = stream_new(device->device, STREAM_COMPUTE);
	device->copy_in = stream_new(device->device, STREAM_COPY_IN);
	if (has_peers) {
		device->copy_peer = stream_new(device->device, STREAM_COPY_PEER);
		device->lent = stream_new(device->device, STREAM_COPY_LENT);
	}
	if (widens)
		device->widen = stream_new(device->device, STREAM_WIDEN);
	return device->compute == NULL || device->copy_in == NULL ||
			       (has_peers && (device->copy_peer == NULL || device->lent == NULL)) ||
			       (widens && device->widen == NULL)
		       ? -1
		       : 0;
}

static void
close_streams(struct engine_device *device)
{
	struct device_stream **streams[] = { &device->compute, &device->copy_in, &device->copy_peer,
					     &device->lent, &device->widen };
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		if (*streams[i] != NULL)
			stream_delete(*streams[i]);
		*streams[i] = NULL;
	}
}

static int
open_device(struct engine *engine, uint32_t id)
{
	struct engine_device *device = &engine->devices[id];
	const struct config_device *config = &engine->config->devices[id];
	device->engine = engine;
	device->view.id = id;
	list_create(&device->parked);
	device->device = open_kind(engine, config);
	if (device->device == NULL)
		return error_wrap("devices[%u]", id + 1);
	const struct device_properties *properties = device_properties(device->device);
	device->view.switch_id = properties->switch_id;
	device->view.link_rate = properties->link_rate;
	device->view.peer_rate = properties->peer_rate;
	device->view.load_rate = (double)properties->link_rate;
	device->view.prefetching = -1;
	prefetch_create(&device->prefetch, device);
	device->pool = pool_new(device->device, properties->memory_bytes);
	if (device->pool == NULL)
		return error_wrap("devices[%u]", id + 1);
	if (open_streams(device) != 0 || submit_start(device) != 0)
		return error_wrap("devices[%u]", id + 1);
	device->is_running = true;
	tracing_device(device);
	view_device_memory(device);
	view_device_busy(device, NULL, clock_now());
	log_info("device %u: %s, %llu MiB, %u threads", id, properties->name,
		 (unsigned long long)(properties->memory_bytes >> 20), properties->threads);
	return 0;
}

static void
close_device(struct engine_device *device)
{
	if (device->is_running)
		submit_stop(device);
	close_streams(device);
	if (device->scratch != NULL)
		pool_free(device->pool, device->scratch);
	if (device->pool != NULL)
		pool_delete(device->pool);
	if (device->device != NULL)
		device_close(device->device);
}

void
devices_close(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->device_count; i++)
		close_device(&engine->devices[i]);
	free(engine->devices);
	engine->devices = NULL;
}

/* Whole units of the pool, from where on larger copies are hardly faster; 0 when that cannot be told. */
static uint64_t
measure_elbow(struct engine_device *device)
{
	uint64_t elbow = 0;
	size_t room = ELBOW_BYTES < device->view.capacity ? ELBOW_BYTES : POOL_UNIT;
	struct extent *extent = pool_alloc(device->pool, room, device);
	if (extent != NULL) {
		elbow = elbow_measure(device->device, device->copy_in, extent->address, room,
				      POOL_UNIT);
		pool_free(device->pool, extent);
	}
	if (elbow == 0)
		log_warn("device %u: the best size of copies is not known: %s", device->view.id,
			 error_last()->message);
	return (elbow + POOL_UNIT - 1) / POOL_UNIT * POOL_UNIT;
}

/* What was asked for, or the largest of what suits each device. */
static size_t
choose_group(struct engine *engine)
{
	uint64_t largest = POOL_UNIT;
	if (engine->config->group_bytes != 0)
		return engine->config->group_bytes;
	for (uint32_t i = 0; i < engine->device_count && !clock_is_virtual(); i++) {
		uint64_t elbow = measure_elbow(&engine->devices[i]);
		largest = elbow > largest ? elbow : largest;
	}
	return largest;
}

/* Models are packed, and programs compiled, for one kind of device: all are of the first one's. */
static int
check_kinds(const struct config *config)
{
	for (uint32_t i = 1; i < config->device_count; i++) {
		if (config->devices[i].kind != config->devices[0].kind)
			return error_set(ERR_INVALID_ARGUMENT,
					 "devices[%u]: kind %s beside %s: a node's devices are of "
					 "one kind; serve another from a node of its own",
					 i + 1, device_kind_name(config->devices[i].kind),
					 device_kind_name(config->devices[0].kind));
	}
	return 0;
}

int
devices_open(struct engine *engine)
{
	if (check_kinds(engine->config) != 0)
		return -1;
	engine->devices = calloc(engine->config->device_count, sizeof(*engine->devices));
	if (engine->devices == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: no memory for its devices");
	snprintf(engine->cache_folder, sizeof(engine->cache_folder), "%s/cache",
		 engine->config->state);
	for (uint32_t id = 0; id < engine->config->device_count; id++) {
		engine->device_count++;
		if (open_device(engine, id) != 0)
			return -1;
	}
	const struct device_properties *first = device_properties(engine->devices[0].device);
	engine->model_options = (struct model_options){ .kind = first->kind,
							.threads = first->threads,
							.group_bytes = choose_group(engine),
							.parameters = engine->config->parameters };
	engine->model_options.cache_folder = engine->cache_folder;
	engine->model_options.shelf = &engine->shelf;
	engine->model_options.backlog = &engine->backlog;
	return view_create(engine);
}

int
devices_reopen(struct engine_device *device)
{
	close_streams(device);
	pool_let_go(device->pool);
	if (device_recover(device->device) != 0)
		return -1;
	if (pool_take_again(device->pool) != 0 || open_streams(device) != 0)
		return -1;
	return 0;
}

void
devices_watch(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->device_count; i++) {
		struct engine_device *device = &engine->devices[i];
		bool is_busy = device->job != NULL || device->loads > 0;
		/* What is found out comes back as the completions of what is under way. */
		if (is_busy && !device->lost && device_health(device->device) != 0)
			error_clear();
	}
	recovery_look(engine);
}
