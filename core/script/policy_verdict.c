#include "script/policy_verdict.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "script/policy.h"
#include "script/policy_jobs.h"
#include "script/policy_state.h"

/* LuaJIT's type number of FFI objects, which lua.h does not name. */
enum { TYPE_CDATA = 10 };

/*
 * The pointer that the FFI object at the index holds; NULL when it is none. It may be a view of any kind, or a pointer
 * that the script reckoned out: compare it, do not follow it.
 */
static const void *
pointer_at(lua_State *L, int index)
{
	if (lua_type(L, index) != TYPE_CDATA)
		return NULL;
	const void *pointer;
	memcpy(&pointer, lua_topointer(L, index), sizeof(pointer));
	return pointer;
}

/* A whole number from 0 to below limit. */
static bool
number_at(lua_State *L, int index, uint32_t limit, uint32_t *number)
{
	if (lua_type(L, index) != LUA_TNUMBER)
		return false;
	double value = lua_tonumber(L, index);
	if (!(value >= 0 && value < limit) || value != (uint32_t)value)
		return false;
	*number = (uint32_t)value;
	return true;
}

/* A device: its view, or its id. */
static bool
device_at(lua_State *L, int index, const struct view_node *node, uint32_t *device)
{
	const void *pointer = pointer_at(L, index);
	if (pointer == NULL)
		return number_at(L, index, node->device_count, device);
	for (uint32_t i = 0; i < node->device_count; i++) {
		if (node->devices[i] == pointer) {
			*device = i;
			return true;
		}
	}
	return false;
}

static bool
model_at(lua_State *L, int index, const struct view_node *node, const struct view_model **model)
{
	const void *pointer = pointer_at(L, index);
	uint32_t id;
	if (pointer == NULL) {
		*model = number_at(L, index, node->model_count, &id) ? node->models[id] : NULL;
		return *model != NULL;
	}
	for (uint32_t i = 0; i < node->model_count; i++) {
		if (node->models[i] == pointer) {
			*model = pointer;
			return true;
		}
	}
	return false;
}

static const struct view_residency *
residency(const struct view_node *node, const struct view_model *model, uint32_t device)
{
	return &node->residency[(size_t)model->id * node->device_stride + device];
}

static bool
is_whole(const struct view_node *node, const struct view_model *model, uint32_t device)
{
	return residency(node, model, device)->groups == model->group_count;
}

static bool
needs_nothing(const struct view_node *node, const struct view_job *job, uint32_t device)
{
	for (uint32_t i = 0; i < job->model_count; i++)
		if (!is_whole(node, job->models[i], device))
			return false;
	return true;
}

/* True when the peer has more of one of the models than the device. */
static bool
can_give(const struct view_node *node, const struct view_job *job, uint32_t peer, uint32_t device)
{
	for (uint32_t i = 0; i < job->model_count; i++)
		if (residency(node, job->models[i], device)->groups <
		    residency(node, job->models[i], peer)->groups)
			return true;
	return false;
}

static bool
has_peer(enum view_source source)
{
	return source == VIEW_SOURCE_PEER || source == VIEW_SOURCE_BOTH ||
	       source == VIEW_SOURCE_RELAY;
}

/* What is not there is relayed; whether that helps is looked at when it begins. */
static bool
can_relay(const struct view_node *node, uint32_t peer)
{
	return node->devices[peer]->peer_rate > 0;
}

static int
check_source(const char *name, const struct view_node *node, const struct policy_verdict *verdict)
{
	const struct view_job *job = verdict->job;
	uint32_t device = verdict->device;
	uint32_t peer = verdict->peer;
	if (verdict->source == VIEW_SOURCE_RESIDENT && !needs_nothing(node, job, device))
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: dispatch: source RESIDENT, but device %u has not all "
				 "of job %.0f's models",
				 name, device, job->id);
	if (!has_peer(verdict->source))
		return 0;
	bool gives = verdict->source == VIEW_SOURCE_RELAY ? can_relay(node, peer)
							  : can_give(node, job, peer, device);
	if (peer == device || !(node->devices[device]->peer_rate > 0) || !gives)
		return error_set(
			ERR_INVALID_ARGUMENT,
			"policy %s: dispatch: source PEER, BOTH or RELAY, but device %u can give "
			"device %u nothing that job %.0f needs",
			name, peer, device, job->id);
	return 0;
}

/* The job and where it goes; the source is checked after it. */
static int
check_place(const char *name, const struct view_node *node, const struct policy_job *row,
	    uint32_t device)
{
	const struct view_job *job = row->job;
	if (row->state != POLICY_JOB_QUEUED)
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: dispatch: job %.0f is dispatched already", name,
				 job->id);
	if (!node->devices[device]->idle)
		return error_set(ERR_INVALID_ARGUMENT, "policy %s: dispatch: device %u is not idle",
				 name, device);
	if (job->bound_device >= 0 && (uint32_t)job->bound_device != device)
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: dispatch: job %.0f is bound to device %d, not %u",
				 name, job->id, job->bound_device, device);
	return 0;
}

int
verdict_read(const struct policy_state *state, const struct view_node *node,
	     const struct policy_jobs *jobs, struct policy_verdict *verdict,
	     struct policy_job **row)
{
	lua_State *L = state->L;
	const char *name = state->name;
	int at = policy_state_result(state, 0);
	uint32_t source;
	if (lua_isnil(L, at))
		return 0;
	*row = policy_jobs_find(jobs, pointer_at(L, at));
	if (*row == NULL)
		return error_set(
			ERR_INVALID_ARGUMENT,
			"policy %s: dispatch: the first value is no job that is queued (%s)", name,
			lua_typename(L, lua_type(L, at)));
	if (!device_at(L, at + 1, node, &verdict->device))
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: dispatch: the second value is no device", name);
	if (check_place(name, node, *row, verdict->device) != 0)
		return -1;
	if (!number_at(L, at + 2, VIEW_SOURCE_RELAY + 1, &source))
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: dispatch: the third value is no source", name);
	verdict->job = (*row)->job;
	verdict->source = (enum view_source)source;
	verdict->peer = 0;
	if (has_peer(verdict->source) && !device_at(L, at + 3, node, &verdict->peer))
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: dispatch: source PEER, BOTH or RELAY without a device "
				 "as fourth value",
				 name);
	return check_source(name, node, verdict) == 0 ? 1 : -1;
}

/* Pair number i of the list. */
static int
read_eviction(const struct policy_state *state, const struct view_node *node, uint32_t device,
	      int i, struct policy_eviction *eviction)
{
	lua_State *L = state->L;
	lua_rawgeti(L, policy_state_result(state, 0), 2 * i + 1);
	lua_rawgeti(L, policy_state_result(state, 0), 2 * i + 2);
	bool is_model = model_at(L, -2, node, &eviction->model);
	bool is_keep = number_at(L, -1, UINT32_MAX, &eviction->keep);
	lua_pop(L, 2);
	if (!is_model)
		return error_set(ERR_INVALID_ARGUMENT, "policy %s: evict: value %d is no model",
				 state->name, 2 * i + 1);
	const struct view_residency *there = residency(node, eviction->model, device);
	if (!is_keep || eviction->keep >= there->groups || eviction->keep < there->pinned)
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: evict: value %d, groups of model %u to keep on device "
				 "%u, is not from %u (pinned) to below %u (there)",
				 state->name, 2 * i + 2, eviction->model->id, device, there->pinned,
				 there->groups);
	return 0;
}

static bool
is_listed(const struct policy_eviction *evictions, int count, const struct view_model *model)
{
	for (int i = 0; i < count; i++)
		if (evictions[i].model == model)
			return true;
	return false;
}

int
evictions_read(const struct policy_state *state, const struct view_node *node, uint32_t device,
	       struct policy_eviction *evictions)
{
	lua_State *L = state->L;
	int at = policy_state_result(state, 0);
	uint32_t pairs;
	if (lua_isnil(L, at))
		return 0;
	if (!lua_istable(L, at))
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: evict: returned a %s, not a list", state->name,
				 lua_typename(L, lua_type(L, at)));
	if (lua_isnil(L, at + 1))
		pairs = (uint32_t)(lua_objlen(L, at) / 2);
	else if (!number_at(L, at + 1, UINT32_MAX, &pairs))
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: evict: the second value is no count of pairs",
				 state->name);
	int count = pairs < POLICY_EVICTIONS_MAX ? (int)pairs : POLICY_EVICTIONS_MAX;
	for (int i = 0; i < count; i++) {
		if (read_eviction(state, node, device, i, &evictions[i]) != 0)
			return -1;
		if (is_listed(evictions, i, evictions[i].model))
			return error_set(ERR_INVALID_ARGUMENT,
					 "policy %s: evict: model %u is listed twice", state->name,
					 evictions[i].model->id);
	}
	return count;
}

int
prefetch_read(const struct policy_state *state, const struct view_node *node, uint32_t device,
	      const struct view_model **model)
{
	lua_State *L = state->L;
	int at = policy_state_result(state, 0);
	if (lua_isnil(L, at))
		return 0;
	if (!model_at(L, at, node, model))
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: prefetch: returned a %s that is no model", state->name,
				 luaL_typename(L, at));
	if (is_whole(node, *model, device))
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: prefetch: device %u has all of model %u", state->name,
				 device, (*model)->id);
	return 1;
}

int
admission_read(const struct policy_state *state, double *retry_after_ms)
{
	lua_State *L = state->L;
	int at = policy_state_result(state, 0);
	if (!lua_isboolean(L, at))
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: admit: returned a %s, not true or false", state->name,
				 lua_typename(L, lua_type(L, at)));
	*retry_after_ms = 0;
	if (lua_toboolean(L, at))
		return 1;
	if (lua_isnil(L, at + 1))
		return 0;
	if (lua_type(L, at + 1) != LUA_TNUMBER || !(lua_tonumber(L, at + 1) >= 0))
		return error_set(ERR_INVALID_ARGUMENT,
				 "policy %s: admit: retry_after_ms is not a number from 0",
				 state->name);
	*retry_after_ms = lua_tonumber(L, at + 1);
	return 0;
}
