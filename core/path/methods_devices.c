/*
 * Methods about devices: device.map, and device.fault for nodes that were configured to be tried.
 */
#include "base/fault_point.h"
#include "device/fault.h"
#include "path/engine.h"
#include "path/methods.h"
#include "path/request.h"

/* The device that the call names; NULL with the error set. */
static struct engine_device *
find_device(const struct request *request)
{
	struct engine *engine = request->engine;
	uint32_t id = 0;
	if (methods_number(request, "device", engine->device_count, &id) != 0)
		return NULL;
	return &engine->devices[id];
}

/* --- device.map ---------------------------------------------------------------------------------------------------- */

/* A map that is written piece by piece; counted first, since an array says its length at its head. */
struct map_writing {
	struct writer *writer;
	const struct engine_device *device;
	uint32_t count;
};

static void
count_piece(void *context, uint64_t offset, uint64_t bytes, const void *owner)
{
	(void)offset;
	(void)bytes;
	(void)owner;
	((struct map_writing *)context)->count++;
}

static const struct engine_model *
find_model(const struct engine *engine, const void *owner)
{
	list_each(link, &engine->models) {
		struct engine_model *model = list_entry(link, struct engine_model, of_engine);
		if (model == owner)
			return model;
	}
	return NULL;
}

/* What an extent is used for. */
static const char *
use_name(const struct engine_device *device, const void *owner, const struct engine_model *model)
{
	if (owner == NULL)
		return "free";
	if (owner == device)
		return "scratch";
	return model != NULL ? "model" : "tensors";
}

static void
write_piece(void *context, uint64_t offset, uint64_t bytes, const void *owner)
{
	const struct map_writing *map = context;
	const struct engine_model *model =
		owner == NULL ? NULL : find_model(map->device->engine, owner);
	writer_map(map->writer, model != NULL ? 4 : 3);
	writer_string(map->writer, "offset");
	writer_uint(map->writer, offset);
	writer_string(map->writer, "bytes");
	writer_uint(map->writer, bytes);
	writer_string(map->writer, "use");
	writer_string(map->writer, use_name(map->device, owner, model));
	if (model == NULL)
		return;
	writer_string(map->writer, "model");
	writer_string(map->writer, model->name);
}

static int
call_map(struct request *request)
{
	const struct engine_device *device = find_device(request);
	if (device == NULL)
		return -1;
	struct map_writing map = { .writer = request_result(request), .device = device };
	if (map.writer == NULL)
		return -1;
	pool_map(device->pool, count_piece, &map);
	writer_array(map.writer, map.count);
	pool_map(device->pool, write_piece, &map);
	return ROUTE_REPLY;
}

/* --- device.fault -------------------------------------------------------------------------------------------------- */

/* Keys of the call's map, and where in the plan each goes. */
static const struct {
	const char *key;
	size_t offset;
} plan_keys[] = {
	{ "refuse_copy", offsetof(struct fault_plan, refuse_copy) },
	{ "fail_copy", offsetof(struct fault_plan, fail_copy) },
	{ "fail_launch", offsetof(struct fault_plan, fail_launch) },
	{ "fail_new", offsetof(struct fault_plan, fail_new) },
	{ "lose_after", offsetof(struct fault_plan, lose_after) },
	{ "slow_copy_us", offsetof(struct fault_plan, slow_copy_us) },
};

static int
read_plan(const struct request *request, struct fault_plan *plan)
{
	for (size_t i = 0; i < sizeof(plan_keys) / sizeof(plan_keys[0]); i++) {
		uint32_t *count = (uint32_t *)((char *)plan + plan_keys[i].offset);
		if (methods_number(request, plan_keys[i].key, UINT32_MAX, count) != 0)
			return -1;
	}
	return 0;
}

/* Fault points are the node's, not a device's; a call arms those that it names. */
static int
arm_points(const struct request *request)
{
	static const char *const keys[] = {
#define X(name, key) key,
		FAULT_POINTS(X)
#undef X
	};
	for (enum fault_point point = 0; point < FAULT_POINT_COUNT; point++) {
		uint32_t n = 0;
		if (methods_number(request, keys[point], UINT32_MAX, &n) != 0)
			return -1;
		if (n > 0)
			fault_point_arm(point, n);
	}
	return 0;
}

static int
call_fault(struct request *request)
{
	const struct engine_device *device = find_device(request);
	struct fault_plan plan = { 0 };
	if (device == NULL)
		return -1;
	if (!request->engine->config->devices[device->view.id].faults)
		return error_set(ERR_FAILED_PRECONDITION,
				 "device.fault: devices[%u] is not configured with faults = true",
				 device->view.id + 1);
	if (read_plan(request, &plan) != 0 || arm_points(request) != 0)
		return -1;
	struct writer *result = request_result(request);
	if (result == NULL)
		return -1;
	fault_set(device->device, &plan);
	writer_bool(result, true);
	return ROUTE_REPLY;
}

const struct method methods_of_devices[] = {
	{ "device.map", "({device}?)",
	  "Every piece of a device's memory: offset, bytes, use, model", call_map, false },
	{ "device.fault",
	  "({device, refuse_copy, fail_copy, fail_launch, fail_new, lose_after, slow_copy_us, "
	  "fail_arena, fail_extent})",
	  "Make the n-th call of a kind from now fail, on a device configured with faults = true",
	  call_fault, false },
	{ 0 },
};
