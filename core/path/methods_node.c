/*
 * Methods about the node itself and the connection: hello, api_info, cancel, node.status, watch.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "path/decode.h"
#include "path/engine.h"
#include "path/methods.h"
#include "path/request.h"
#include "path/view.h"

enum { PROTOCOL_VERSION = 1 };

/* Compares in a time that does not tell where they differ. */
static bool
same_secret(struct slice given, const char *secret)
{
	size_t bytes = strlen(secret);
	unsigned char difference = given.bytes != bytes;
	for (size_t i = 0; i < given.bytes; i++)
		difference |= given.data[i] ^ (unsigned char)secret[i < bytes ? i : bytes];
	return difference == 0;
}

static int
check_token(struct request *request)
{
	const char *token = request->engine->config->token;
	struct slice value, given = { 0 };
	if (request->message.param_count > 0) {
		int found = methods_field(request->message.params[0], "token", &value);
		if (found < 0)
			return -1;
		struct reader reader;
		reader_create(&reader, value);
		if (found == 1 && !reader_nil(&reader) &&
		    reader_string(&reader, "token", &given) != 0)
			return -1;
	}
	if (token == NULL || request->client->authenticated)
		return 0;
	if (given.data == NULL || !same_secret(given, token))
		return error_set(ERR_UNAUTHENTICATED, "hello: token: %s",
				 given.data == NULL ? "missing" : "not the node's");
	request->client->authenticated = true;
	return 0;
}

static int
call_hello(struct request *request)
{
	if (check_token(request) != 0)
		return -1;
	struct writer *result = request_result(request);
	if (result == NULL)
		return -1;
	writer_map(result, 3);
	writer_string(result, "server");
	writer_string(result, "tidepool");
	writer_string(result, "version");
	writer_string(result, TIDEPOOL_VERSION);
	writer_string(result, "protocol");
	writer_int(result, PROTOCOL_VERSION);
	return ROUTE_REPLY;
}

static void
count_method(void *context, const struct method *method)
{
	(void)method;
	++*(uint32_t *)context;
}

static void
write_method(void *context, const struct method *method)
{
	struct writer *writer = context;
	writer_map(writer, 3);
	writer_string(writer, "name");
	writer_string(writer, method->name);
	writer_string(writer, "parameters");
	writer_string(writer, method->parameters);
	writer_string(writer, "help");
	writer_string(writer, method->help);
}

static void
write_error_codes(struct writer *writer)
{
	uint32_t count = 0;
#define X(name, number) count++;
	ERROR_CODES(X)
#undef X
	writer_map(writer, count);
#define X(name, number)                                                                            \
	writer_string(writer, #name);                                                              \
	writer_int(writer, number);
	ERROR_CODES(X)
#undef X
}

static int
call_api_info(struct request *request)
{
	uint32_t count = 0;
	struct writer *result = request_result(request);
	if (result == NULL)
		return -1;
	methods_each(count_method, &count);
	writer_map(result, 4);
	writer_string(result, "version");
	writer_string(result, TIDEPOOL_VERSION);
	writer_string(result, "protocol");
	writer_int(result, PROTOCOL_VERSION);
	writer_string(result, "methods");
	writer_array(result, count);
	methods_each(write_method, result);
	writer_string(result, "errors");
	write_error_codes(result);
	return ROUTE_REPLY;
}

static struct request *
find_request(struct client *client, int64_t id)
{
	list_each(link, &client->requests) {
		struct request *request = list_entry(link, struct request, of_client);
		if (request->wants_reply && request->message.id == id && !request->answered)
			return request;
	}
	return NULL;
}

static int
call_cancel(struct request *request)
{
	struct slice parameter;
	struct reader reader;
	int64_t id;
	if (methods_parameter(request, 0, "id", &parameter) != 0)
		return -1;
	reader_create(&reader, parameter);
	if (reader_int(&reader, "id", &id) != 0)
		return -1;
	struct request *found = find_request(request->client, id);
	struct writer *result = request_result(request);
	if (result == NULL)
		return -1;
	bool is_other = found != NULL && found != request;
	if (is_other)
		request_cancel(found, ERR_CANCELLED, "cancelled by the client");
	writer_bool(result, is_other);
	return ROUTE_REPLY;
}

/* {residency = true} as the first parameter; 0, or -1 when it is something else. */
static int
read_residency(const struct request *request, bool *residency)
{
	struct reader reader;
	struct slice value;
	*residency = false;
	if (request->message.param_count == 0 ||
	    methods_field(request->message.params[0], "residency", &value) != 1)
		return 0;
	reader_create(&reader, value);
	return reader_bool(&reader, "residency", residency);
}

static int
call_watch(struct request *request)
{
	bool residency;
	if (read_residency(request, &residency) != 0)
		return -1;
	struct writer *result = request_result(request);
	if (result == NULL)
		return -1;
	request->client->watches = true;
	request->client->watches_residency = residency;
	writer_bool(result, true);
	return ROUTE_REPLY;
}

static void
write_uint(struct writer *writer, const char *key, uint64_t value)
{
	writer_string(writer, key);
	writer_uint(writer, value);
}

static const char *
state_of(const struct engine_device *device)
{
	if (device->lost)
		return device->recovery.is_under_way ? "reopening" : "lost";
	return device->job != NULL ? "busy" : "idle";
}

static void
write_borrow_refusals(struct writer *writer, const struct engine_device *device)
{
	writer_string(writer, "relays_refused");
	writer_map(writer, BORROW_REFUSALS_END);
	for (uint32_t i = 0; i < BORROW_REFUSALS_END; i++)
		write_uint(writer, borrow_refusal_name(i), device->borrow_refusals[i]);
}

static void
write_device(struct writer *writer, const struct engine_device *device)
{
	const struct device_properties *properties = device_properties(device->device);
	struct pool_stats stats;
	pool_stats(device->pool, &stats);
	writer_map(writer, 20);
	write_uint(writer, "id", device->view.id);
	writer_string(writer, "kind");
	writer_string(writer, device_kind_name(properties->kind));
	writer_string(writer, "name");
	writer_string(writer, properties->name);
	writer_string(writer, "state");
	writer_string(writer, state_of(device));
	write_uint(writer, "reopened", device->recovery.count);
	write_uint(writer, "memory_bytes", stats.capacity);
	write_uint(writer, "used_bytes", stats.used);
	write_uint(writer, "largest_free_bytes", stats.largest_free);
	write_uint(writer, "extents", stats.extents);
	write_uint(writer, "jobs", device->jobs);
	write_uint(writer, "busy_us", (uint64_t)(device->view.busy_ns / 1e3));
	write_uint(writer, "copying_us", (uint64_t)(device->view.copying_ns / 1e3));
	write_uint(writer, "idle_us", (uint64_t)(device->view.idle_ns / 1e3));
	write_uint(writer, "loads", device->loads_begun);
	write_uint(writer, "prefetches", device->prefetches);
	write_uint(writer, "loans", device->loans);
	write_borrow_refusals(writer, device);
	write_uint(writer, "evictions", device->evictions);
	write_uint(writer, "load_rate", (uint64_t)device->load_rate);
	writer_string(writer, "switch");
	writer_int(writer, properties->switch_id);
}

static void
write_hop(struct writer *writer, const struct histogram *hop, enum route_stage stage)
{
	writer_string(writer, route_stage_name(stage));
	writer_map(writer, 4);
	write_uint(writer, "count", hop->count);
	writer_string(writer, "mean_us");
	writer_double(writer, (double)histogram_mean(hop) / 1e3);
	writer_string(writer, "p50_us");
	writer_double(writer, (double)histogram_quantile(hop, 0.5) / 1e3);
	writer_string(writer, "p99_us");
	writer_double(writer, (double)histogram_quantile(hop, 0.99) / 1e3);
}

static uint32_t
length(const struct list *list)
{
	uint32_t count = 0;
	list_each(link, list)
		count++;
	return count;
}

static void
write_store(struct writer *writer, const struct store *store)
{
	writer_string(writer, "store");
	writer_map(writer, 4);
	write_uint(writer, "budget_bytes", store->budget);
	write_uint(writer, "used_bytes", store->used);
	write_uint(writer, "reads", store->reads);
	write_uint(writer, "drops", store->drops);
}

static void
write_cache(struct writer *writer, struct shelf *shelf)
{
	writer_string(writer, "cache");
	writer_map(writer, 4);
	write_uint(writer, "budget_bytes", shelf->budget);
	write_uint(writer, "used_bytes", atomic_load_explicit(&shelf->bytes, memory_order_relaxed));
	write_uint(writer, "images", atomic_load_explicit(&shelf->images, memory_order_relaxed));
	write_uint(writer, "removed", atomic_load_explicit(&shelf->removed, memory_order_relaxed));
}

static void
write_workers(struct writer *writer, const struct worker_host *workers)
{
	struct worker_totals totals;
	worker_host_totals(workers, &totals);
	writer_string(writer, "workers");
	writer_map(writer, 5);
	write_uint(writer, "running", totals.workers);
	write_uint(writer, "started", totals.started);
	write_uint(writer, "zygotes_lost", totals.zygotes_lost);
	writer_string(writer, "apart");
	writer_bool(writer, totals.apart);
	writer_string(writer, "violations");
	writer_map(writer, WORKER_VIOLATIONS);
	for (enum worker_violation kind = 0; kind < WORKER_VIOLATIONS; kind++)
		write_uint(writer, worker_violation_name(kind), totals.violations[kind]);
}

/* How often a model came to stand so on a device. */
static void
write_tiers(struct writer *writer, const struct engine *engine)
{
	writer_string(writer, "residency");
	writer_map(writer, TIER_COUNT);
	for (enum tier tier = 0; tier < TIER_COUNT; tier++)
		write_uint(writer, tier_name(tier), engine->tier_changes[tier]);
}

/* Batches that ran as one program, and what became of the others. */
static void
write_fusion(struct writer *writer, const struct fusion *fusion)
{
	const struct fusion_stats *stats = &fusion->stats;
	writer_string(writer, "fusion");
	writer_map(writer, 8);
	write_uint(writer, "programs", fusion->count);
	write_uint(writer, "bytes", fusion->bytes);
	write_uint(writer, "hits", stats->hits);
	write_uint(writer, "operations", stats->fused);
	write_uint(writer, "misses", stats->misses);
	write_uint(writer, "compiled", stats->compiled);
	write_uint(writer, "refused", stats->refused);
	write_uint(writer, "remade", stats->remade);
}

static int
call_status(struct request *request)
{
	struct engine *engine = request->engine;
	struct writer *result = request_result(request);
	if (result == NULL)
		return -1;
	writer_map(result, 20);
	writer_string(result, "version");
	writer_string(result, TIDEPOOL_VERSION);
	write_uint(result, "pid", (uint64_t)getpid());
	write_uint(result, "uptime_ms", (clock_now() - engine->started_at) / 1000000);
	write_uint(result, "connections", length(&engine->clients));
	write_uint(result, "requests", engine->requests);
	write_uint(result, "errors", engine->errors);
	write_uint(result, "requests_under_way", engine->request_count - 1);
	write_uint(result, "jobs", engine->view.job_count);
	write_uint(result, "functions", length(&engine->functions));
	write_uint(result, "models", length(&engine->models));
	write_uint(result, "group_bytes", engine->model_options.group_bytes);
	writer_string(result, "isolation");
	writer_string(result, worker_isolation());
	writer_string(result, "policy");
	writer_string(result, policy_name(engine->policy));
	writer_string(result, "devices");
	writer_array(result, engine->device_count);
	uint64_t now = clock_now();
	for (uint32_t i = 0; i < engine->device_count; i++) {
		view_device_reckon(&engine->devices[i], now);
		write_device(result, &engine->devices[i]);
	}
	write_workers(result, engine->workers);
	write_store(result, &engine->store);
	write_cache(result, &engine->shelf);
	write_tiers(result, engine);
	write_fusion(result, &engine->fusion);
	writer_string(result, "path");
	writer_map(result, ROUTE_reply);
	for (enum route_stage stage = 0; stage < ROUTE_reply; stage++)
		write_hop(result, &engine->stats.hops[stage], stage);
	return ROUTE_REPLY;
}

const struct method methods_of_node[] = {
	{ "hello", "({token, client}?)", "Say who asks; needed first where the node has a token",
	  call_hello, true },
	{ "api_info", "()", "The methods and error codes of this node", call_api_info, true },
	{ "invoke", "(function, value, {timeout_us, priority, traceparent}?)",
	  "Call a function; the result is what its handler returns", NULL, false },
	{ "cancel", "(id)", "Take back the request with that id; true when it was still under way",
	  call_cancel, false },
	{ "node.status", "()", "Devices, counts, and the time spent in each stage of the path",
	  call_status, false },
	{ "watch", "({residency}?)",
	  "Send `event` notifications of deploys, models and devices from now on; of every change "
	  "of where models stand too",
	  call_watch, false },
	{ 0 },
};
