/*
 * Methods about the policy: policy.load, current, list. The policy in force is kept in the state folder.
 */
#include "path/methods_policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/embedded.h"
#include "base/file.h"
#include "base/log.h"
#include "path/engine.h"
#include "path/methods.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/state.h"

enum { POLICY_FILE_BYTES = 1 << 20 };

/* A record on its way to the state folder. */
struct keeping {
	uv_work_t work;
	struct engine *engine;
	struct pending *pending;
	struct writer record;
	int status;
	struct error error;
};

static void
keep(uv_work_t *work)
{
	struct keeping *keeping = work->data;
	keeping->status =
		state_write(keeping->engine, NULL, "policy",
			    (struct slice){ keeping->record.data, keeping->record.bytes });
	if (keeping->status != 0)
		keeping->error = *error_last();
}

static int
write_current(struct request *request)
{
	struct writer *result = request_result(request);
	const struct policy_host *policy = request->engine->policy;
	size_t length;
	if (result == NULL)
		return -1;
	writer_map(result, 4);
	writer_string(result, "name");
	writer_string(result, policy_name(policy));
	writer_string(result, "faults");
	writer_uint(result, policy_faults(policy));
	writer_string(result, "last_fault");
	if (policy_faults(policy) == 0)
		writer_nil(result);
	else
		writer_string(result, policy_last_fault(policy)->message);
	writer_string(result, "source");
	const char *source = policy_source(policy, &length);
	writer_bytes(result, source, length);
	return ROUTE_REPLY;
}

static void
kept(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct keeping *keeping = work->data;
	struct request *request = pending_end(keeping->pending);
	if (request != NULL && keeping->status == 0 && write_current(request) != -1) {
		route_enter(request, ROUTE_reply);
	} else if (request != NULL) {
		if (keeping->status != 0)
			error_restore(&keeping->error);
		route_fail(request);
	}
	writer_destroy(&keeping->record);
	free(keeping);
}

/* What policy.load was given; config NULL when there is none. */
struct load {
	char name[ENGINE_NAME_BYTES];
	struct slice source;
	char *config;
};

static int
read_text(struct slice map, const char *key, struct slice *text)
{
	struct slice value;
	struct reader reader;
	int found = methods_field(map, key, &value);
	if (found <= 0)
		return found;
	reader_create(&reader, value);
	if (reader_nil(&reader))
		return 0;
	return reader_string(&reader, key, text) == 0 ? 1 : -1;
}

static int
read_load(struct request *request, struct slice map, struct load *load)
{
	struct slice name, config = { 0 };
	int found = read_text(map, "name", &name);
	if (found == 0)
		return error_set(ERR_INVALID_ARGUMENT, "policy.load: name: missing");
	if (found < 0 || state_check_name("name", name) != 0)
		return -1;
	memcpy(load->name, name.data, name.bytes);
	found = read_text(map, "source", &load->source);
	if (found == 0)
		return error_set(ERR_INVALID_ARGUMENT, "policy.load: source: missing");
	if (found < 0 || read_text(map, "config", &config) < 0)
		return -1;
	if (config.data != NULL)
		load->config =
			arena_strndup(&request->arena, (const char *)config.data, config.bytes);
	return 0;
}

static int
keep_record(struct request *request, struct slice record)
{
	struct keeping *keeping = calloc(1, sizeof(*keeping));
	if (keeping == NULL || (keeping->pending = pending_new(request)) == NULL) {
		free(keeping);
		return error_set(ERR_RESOURCE_EXHAUSTED, "policy.load: no memory");
	}
	keeping->engine = request->engine;
	keeping->work.data = keeping;
	writer_create(&keeping->record);
	writer_raw(&keeping->record, record.data, record.bytes);
	uv_queue_work(&request->engine->loop, &keeping->work, keep, kept);
	return ROUTE_WAIT;
}

static int
call_load(struct request *request)
{
	struct slice map;
	struct load load = { 0 };
	if (methods_parameter(request, 0, "policy", &map) != 0 ||
	    read_load(request, map, &load) != 0)
		return -1;
	if (policy_load(request->engine->policy, load.name, (const char *)load.source.data,
			load.source.bytes, load.config) != 0)
		return -1;
	schedule_want_dispatch(request->engine);
	return keep_record(request, map);
}

static int
call_current(struct request *request)
{
	return write_current(request);
}

static void
base_name(const char *path, char name[ENGINE_NAME_BYTES])
{
	const char *slash = strrchr(path, '/');
	const char *base = slash == NULL ? path : slash + 1;
	const char *dot = strrchr(base, '.');
	int length = dot == NULL ? (int)strlen(base) : (int)(dot - base);
	snprintf(name, ENGINE_NAME_BYTES, "%.*s", length, base);
}

/* The name of a built-in policy; NULL for other built-in files. A policy says its own name, a helper module does not. */
static const char *
builtin_name(const struct embedded *file, char name[ENGINE_NAME_BYTES])
{
	char says[ENGINE_NAME_BYTES + sizeof("name = \"\"")];
	if (strncmp(file->name, "policies/", strlen("policies/")) != 0)
		return NULL;
	base_name(file->name, name);
	snprintf(says, sizeof(says), "name = \"%s\"", name);
	return strstr(file->text, says) == NULL ? NULL : name;
}

static int
call_list(struct request *request)
{
	char name[ENGINE_NAME_BYTES];
	struct writer *result = request_result(request);
	uint32_t count = 0;
	if (result == NULL)
		return -1;
	for (const struct embedded *file = embedded_files; file->name != NULL; file++)
		count += builtin_name(file, name) != NULL;
	writer_array(result, count);
	for (const struct embedded *file = embedded_files; file->name != NULL; file++)
		if (builtin_name(file, name) != NULL)
			writer_string(result, name);
	return ROUTE_REPLY;
}

/* --- at start, and when the file changes ---------------------------------------------------------------------------- */

bool
policy_is_builtin(const char *name)
{
	size_t bytes;
	return strchr(name, '/') == NULL && policy_builtin(name, &bytes) != NULL;
}

int
policy_load_file(struct engine *engine, const char *path)
{
	char name[ENGINE_NAME_BYTES];
	size_t bytes;
	const char *builtin = policy_is_builtin(path) ? policy_builtin(path, &bytes) : NULL;
	char *source = builtin == NULL ? file_read(path, POLICY_FILE_BYTES, &bytes) : NULL;
	if (builtin == NULL && source == NULL)
		return error_wrap("policy");
	base_name(path, name);
	int status = policy_load(engine->policy, name, builtin == NULL ? source : builtin, bytes,
				 engine->config->policy_config);
	free(source);
	if (status == 0)
		schedule_want_dispatch(engine);
	return status;
}

void
policy_file_changed(void *context, const char *path)
{
	struct engine *engine = context;
	if (policy_load_file(engine, path) == 0)
		log_info("policy: %s was loaded again", path);
	else
		log_error("policy: %s was not loaded, the old one stays: %s", path,
			  error_last()->message);
}

void
policy_restore(struct engine *engine)
{
	struct slice record, name, source, config = { 0 };
	char text[ENGINE_NAME_BYTES] = "";
	if (state_read(engine, NULL, "policy", &record) != 0)
		return;
	if (read_text(record, "name", &name) == 1 && read_text(record, "source", &source) == 1 &&
	    read_text(record, "config", &config) >= 0 && name.bytes < sizeof(text)) {
		memcpy(text, name.data, name.bytes);
		char *given = config.data == NULL
				      ? NULL
				      : strndup((const char *)config.data, config.bytes);
		if (policy_load(engine->policy, text, (const char *)source.data, source.bytes,
				given) != 0)
			log_error("state: policy '%s': %s", text, error_last()->message);
		free(given);
	}
	free((void *)(uintptr_t)record.data);
}

const struct method methods_of_policy[] = {
	{ "policy.load", "({name, source, config?})",
	  "Check a policy and put it in force; queued jobs are handed over", call_load, false },
	{ "policy.current", "()", "Name and source of the policy in force", call_current, false },
	{ "policy.list", "()", "Names of the policies that come with the node", call_list, false },
	{ 0 },
};
