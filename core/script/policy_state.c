#include "script/policy_state.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/embedded.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "script/guard.h"
#include "script/machine_code.h"
#include "script/policy.h"

enum {
	/* Lua stack: the message handler, then the functions of enum policy_entry, then what a call needs. */
	HANDLER_AT = 1,
	ENTRIES_AT = 2,
	STACK_BASE = ENTRIES_AT + POLICY_ENTRIES - 1,
	/* Keys of the same in the registry, away from LuaJIT's. */
	HANDLER_REGISTERED = 1000,
	ENTRIES_REGISTERED = 1001,
	PATH_BYTES = 4096,
};

struct policy_script *
policy_script_new(const char *name, const char *source, size_t length, const char *config)
{
	if (length > POLICY_SOURCE_BYTES_MAX) {
		error_set(ERR_INVALID_ARGUMENT, "policy %s: source of %zu bytes exceeds %d", name,
			  length, POLICY_SOURCE_BYTES_MAX);
		return NULL;
	}
	struct policy_script *script = calloc(1, sizeof(*script));
	if (script == NULL)
		goto no_memory;
	script->name = strdup(name);
	script->source = malloc(length + 1);
	script->length = length;
	script->config = config == NULL ? NULL : strdup(config);
	if (script->name == NULL || script->source == NULL ||
	    (config != NULL && script->config == NULL))
		goto no_memory;
	memcpy(script->source, source, length);
	script->source[length] = '\0';
	return script;
no_memory:
	error_set_errno("policy %s", name);
	policy_script_delete(script);
	return NULL;
}

void
policy_script_delete(struct policy_script *script)
{
	if (script == NULL)
		return;
	free(script->name);
	free(script->source);
	free(script->config);
	free(script);
}

static struct policy_state *
state_of(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(1));
}

/* Lua: what print ends in. */
static int
write_log(lua_State *L)
{
	const struct policy_state *state = state_of(L);
	log_info("policy %s: %s", state->script->name, luaL_checkstring(L, 1));
	return 0;
}

/*
 * Lua: source and chunk name of a helper, from the folder or built in; nothing when there is none. The file is read into
 * a block of Lua's, so that nothing is lost when the call is left half-way.
 */
static int
find_module(lua_State *L)
{
	const struct policy_state *state = state_of(L);
	char path[PATH_BYTES];
	if (state->folder != NULL) {
		snprintf(path, sizeof(path), "%s/%s.lua", state->folder, luaL_checkstring(L, 1));
		void *block = lua_newuserdata(L, POLICY_SOURCE_BYTES_MAX);
		ssize_t length = file_read_into(path, block, POLICY_SOURCE_BYTES_MAX);
		if (length >= 0) {
			lua_pushlstring(L, block, (size_t)length);
			lua_pushstring(L, path);
			return 2;
		}
	}
	snprintf(path, sizeof(path), "policies/%s.lua", luaL_checkstring(L, 1));
	const struct embedded *file = embedded_find(path);
	if (file == NULL)
		return 0;
	lua_pushlstring(L, file->text, file->length);
	lua_pushstring(L, path);
	return 2;
}

/*
 * Lua: told with a number where a new trace ends, 0 when all were thrown away (the area with them). The first trace after
 * that lies at the end of its area; later ones of the same area need no look.
 */
static int
note_code(lua_State *L)
{
	struct policy_state *state = state_of(L);
	uintptr_t end = (uintptr_t)lua_tonumber(L, 1);
	if (end == 0)
		state->code = 0;
	else if (state->code == 0)
		state->code = machine_code_area(end);
	return 0;
}

/* Lua: message handler; adds where the error came from. */
static int
add_traceback(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TSTRING)
		luaL_traceback(L, L, lua_tostring(L, 1), 1);
	return 1;
}

static void
open_library(lua_State *L, lua_CFunction open, const char *name)
{
	lua_pushcfunction(L, open);
	lua_pushstring(L, name);
	lua_call(L, 1, 0);
}

/* Lua, protected: libraries, then policy_env.lua, whose functions stay on the main stack by way of the registry. */
static int
set_up(lua_State *L)
{
	struct policy_state *state = lua_touserdata(L, 1);
	open_library(L, luaopen_base, "");
	open_library(L, luaopen_package, LUA_LOADLIBNAME);
	open_library(L, luaopen_table, LUA_TABLIBNAME);
	open_library(L, luaopen_string, LUA_STRLIBNAME);
	open_library(L, luaopen_math, LUA_MATHLIBNAME);
	open_library(L, luaopen_bit, LUA_BITLIBNAME);
	open_library(L, luaopen_jit, LUA_JITLIBNAME);
	open_library(L, luaopen_ffi, LUA_FFILIBNAME);
	const struct embedded *env = embedded_find("core/script/policy_env.lua");
	const struct embedded *views = embedded_find("core/script/view.h");
	if (luaL_loadbuffer(L, env->text, env->length, "@policy_env.lua") != 0)
		return lua_error(L);
	lua_pushlstring(L, views->text, views->length);
	lua_pushlightuserdata(L, state);
	lua_pushcclosure(L, find_module, 1);
	lua_pushlightuserdata(L, state);
	lua_pushcclosure(L, write_log, 1);
	lua_pushlightuserdata(L, state);
	lua_pushcclosure(L, note_code, 1);
	lua_pushinteger(L, MACHINE_CODE_BYTES);
	lua_call(L, 5, POLICY_ENTRIES);
	for (int i = POLICY_ENTRIES - 1; i >= 0; i--)
		lua_rawseti(L, LUA_REGISTRYINDEX, ENTRIES_REGISTERED + i);
	lua_pushcfunction(L, add_traceback);
	lua_rawseti(L, LUA_REGISTRYINDEX, HANDLER_REGISTERED);
	return 0;
}

/* The error of a call that ended with status; its message is on top of the stack. */
static int
set_error(struct policy_state *state, int status)
{
	lua_State *L = state->L;
	if (status == LUA_ERRMEM)
		return error_set(ERR_RESOURCE_EXHAUSTED, "policy %s: exceeds its memory of %d MiB",
				 state->script->name, POLICY_MEMORY_BYTES >> 20);
	if (lua_type(L, -1) == LUA_TSTRING)
		return error_set(ERR_INVALID_ARGUMENT, "%s", lua_tostring(L, -1));
	return error_set(ERR_INVALID_ARGUMENT, "%s: raised a %s", state->script->name,
			 luaL_typename(L, -1));
}

/* What a guarded body is given, and what it says. */
struct body {
	struct policy_state *state;
	enum policy_entry entry;
	const struct policy_call *call;
	lua_CFunction function;
	void *argument;
	int status;
};

/* What a policy runs when its host calls that entry, for messages. */
static const char *const entry_names[POLICY_ENTRIES] = {
	[POLICY_START] = "its file or new()",
	[POLICY_RESTORE] = "restore()",
	[POLICY_BIND] = "the call",
	[POLICY_SUBMIT] = "submit()",
	[POLICY_DISPATCH] = "dispatch()",
	[POLICY_EVICT] = "evict()",
	[POLICY_DONE] = "done()",
	[POLICY_REQUEUE] = "requeue()",
	[POLICY_TICK] = "tick()",
	[POLICY_ADMIT] = "admit()",
	[POLICY_PREFETCH] = "prefetch()",
	[POLICY_SNAPSHOT] = "snapshot()",
};

/* Run body in the guard; 0 or -1 with the error set. */
static int
run(struct policy_state *state, void (*function)(void *), struct body *body)
{
	switch (guard_run(state->guard, function, body)) {
	case GUARD_RETURNED:
		if (body->status == 0)
			return 0;
		set_error(state, body->status);
		lua_settop(state->L, STACK_BASE);
		return -1;
	case GUARD_OVERDUE:
		state->abandoned = true;
		return error_set(ERR_DEADLINE_EXCEEDED, "policy %s: %s did not return within %d ms",
				 state->script->name, entry_names[body->entry], POLICY_TIMEOUT_MS);
	case GUARD_CRASHED:
		state->abandoned = true;
		return error_set(ERR_INVALID_ARGUMENT, "policy %s: %s read outside of its views",
				 state->script->name, entry_names[body->entry]);
	}
	return -1;
}

static void
protected_body(void *argument)
{
	struct body *body = argument;
	body->status = lua_cpcall(body->state->L, body->function, body->argument);
}

static int
run_protected(struct policy_state *state, enum policy_entry entry, lua_CFunction function,
	      void *argument)
{
	struct body body = {
		.state = state, .entry = entry, .function = function, .argument = argument
	};
	return run(state, protected_body, &body);
}

static void
call_body(void *argument)
{
	struct body *body = argument;
	lua_State *L = body->state->L;
	const struct policy_call *call = body->call;
	lua_pushvalue(L, ENTRIES_AT + (int)call->entry);
	for (int i = 0; i < call->argument_count; i++)
		lua_pushnumber(L, call->arguments[i]);
	body->status = lua_pcall(L, call->argument_count, call->result_count, HANDLER_AT);
}

int
policy_state_call(struct policy_state *state, const struct policy_call *call)
{
	struct body body = { .state = state, .entry = call->entry, .call = call };
	return run(state, call_body, &body);
}

int
policy_state_result(const struct policy_state *state, int index)
{
	return STACK_BASE + 1 + index;
}

void
policy_state_drop(struct policy_state *state)
{
	lua_settop(state->L, STACK_BASE);
}

/* Lua, protected: POLICY_START with the script; leaves what it says in the state. */
static int
start(lua_State *L)
{
	struct policy_state *state = lua_touserdata(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, ENTRIES_REGISTERED + POLICY_START);
	lua_pushstring(L, state->script->name);
	lua_pushlstring(L, state->script->source, state->script->length);
	if (state->script->config == NULL)
		lua_pushnil(L);
	else
		lua_pushstring(L, state->script->config);
	lua_call(L, 3, 6);
	snprintf(state->name, sizeof(state->name), "%s", lua_tostring(L, -6));
	state->has_tick = lua_toboolean(L, -5);
	state->has_admit = lua_toboolean(L, -4);
	state->has_prefetch = lua_toboolean(L, -3);
	state->has_snapshot = lua_toboolean(L, -2);
	state->has_restore = lua_toboolean(L, -1);
	return 0;
}

/* The message handler and the entries go where policy_state_call finds them. The stack has room for 20 from the start. */
static void
lay_out_stack(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, HANDLER_REGISTERED);
	for (int i = 0; i < POLICY_ENTRIES; i++)
		lua_rawgeti(L, LUA_REGISTRYINDEX, ENTRIES_REGISTERED + i);
}

struct policy_state *
policy_state_new(struct guard *guard, const struct policy_script *script, const char *folder,
		 const struct view_node *node)
{
	struct policy_state *state = calloc(1, sizeof(*state));
	if (state == NULL) {
		error_set_errno("policy %s", script->name);
		return NULL;
	}
	state->guard = guard;
	state->script = script;
	state->folder = folder;
	if (heap_create(&state->heap, POLICY_MEMORY_BYTES) != 0)
		goto failed;
	state->L = lua_newstate(heap_realloc, &state->heap);
	if (state->L == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "policy %s: no Lua state", script->name);
		goto failed;
	}
	if (run_protected(state, POLICY_START, set_up, state) != 0)
		goto failed;
	lay_out_stack(state->L);
	struct policy_call bind = { POLICY_BIND, 2, 0, { node->now, (double)(uintptr_t)node } };
	if (policy_state_call(state, &bind) != 0 ||
	    run_protected(state, POLICY_START, start, state) != 0)
		goto failed;
	return state;
failed:
	policy_state_delete(state);
	return NULL;
}

/* A state that was left in the middle of a call cannot be closed: what it had is taken away from under it. */
void
policy_state_delete(struct policy_state *state)
{
	if (state == NULL)
		return;
	if (state->L != NULL && !state->abandoned)
		lua_close(state->L);
	else if (state->abandoned)
		machine_code_free(state->code);
	heap_destroy(&state->heap);
	free(state);
}

/* Text for Lua. */
struct text {
	struct policy_state *state;
	const char *start;
	size_t length;
};

static int
restore(lua_State *L)
{
	const struct text *text = lua_touserdata(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, ENTRIES_REGISTERED + POLICY_RESTORE);
	lua_pushlstring(L, text->start, text->length);
	lua_call(L, 1, 0);
	return 0;
}

int
policy_state_restore(struct policy_state *state, const char *text, size_t length)
{
	struct text argument = { state, text, length };
	return run_protected(state, POLICY_RESTORE, restore, &argument);
}
