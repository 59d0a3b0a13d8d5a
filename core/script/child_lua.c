#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/embedded.h"
#include "base/error.h"
#include "script/child.h"
#include "script/child_calls.h"
#include "script/json.h"

/* The runtime's entry points (lua/tidepool/worker/init.lua), in the order of `entries`. */
enum entry {
	ENTRY_START,
	ENTRY_INVOKE,
	ENTRY_RESULT,
	ENTRY_ERROR,
	ENTRY_CANCEL,
	ENTRY_COUNT,
};

static const char *const entries[ENTRY_COUNT] = { "start", "invoke", "result", "failure",
						  "cancel" };

static struct {
	lua_State *L;
	/* LuaJIT's own allocator, behind ours that counts. */
	lua_Alloc alloc;
	void *alloc_context;
	size_t used;
	size_t limit;
	int entries[ENTRY_COUNT];
} lua;

/* --- memory --------------------------------------------------------------------------------------------------------- */

/* A lua_Alloc: refuses what would go over the limit, which LuaJIT turns into "not enough memory". */
static void *
counted_alloc(void *context, void *block, size_t old, size_t new)
{
	if (new > old && lua.limit > 0 && lua.used + (new - old) > lua.limit)
		return NULL;
	void *moved = lua.alloc(lua.alloc_context, block, old, new);
	if (moved != NULL || new == 0)
		lua.used += new - old;
	return moved;
}

void
child_lua_limit(size_t bytes)
{
	lua.limit = bytes;
}

size_t
child_memory_limit(void)
{
	return lua.limit;
}

size_t
child_memory_used(void)
{
	return lua.used;
}

/* --- the state ------------------------------------------------------------------------------------------------------ */

/* Push the text of a header that is built in; raises when it is not. */
static void
push_header(lua_State *L, const char *name)
{
	const struct embedded *file = embedded_find(name);
	if (file == NULL)
		luaL_error(L, "%s is not built in", name);
	else
		lua_pushlstring(L, file->text, file->length);
}

/* A lua_CFunction: opens the libraries, loads the runtime, keeps its entry points. */
static int
load_runtime(lua_State *L)
{
	luaL_openlibs(L);
	lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
	lua_pushcfunction(L, luaopen_cjson);
	lua_setfield(L, -2, "cjson");
	push_header(L, "core/script/call.h");
	lua_setglobal(L, "TIDEPOOL_CALL_H");
	push_header(L, "core/script/child_calls.h");
	lua_setglobal(L, "TIDEPOOL_CHILD_CALLS_H");
	lua_getglobal(L, "require");
	lua_pushliteral(L, "tidepool.worker");
	lua_call(L, 1, 1);
	for (int i = 0; i < ENTRY_COUNT; i++) {
		lua_getfield(L, -1, entries[i]);
		luaL_checktype(L, -1, LUA_TFUNCTION);
		lua.entries[i] = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	return 0;
}

int
child_lua_prepare(void)
{
	lua_State *L = luaL_newstate();
	if (L == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for the workers' Lua state");
	lua_pushcfunction(L, load_runtime);
	if (lua_pcall(L, 0, 0, 0) != 0) {
		error_set(ERR_INTERNAL, "the workers' library: %s", lua_tostring(L, -1));
		lua_close(L);
		return -1;
	}
	lua_gc(L, LUA_GCCOLLECT, 0);
	lua.used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
	lua.alloc = lua_getallocf(L, &lua.alloc_context);
	lua_setallocf(L, counted_alloc, NULL);
	lua.L = L;
	return 0;
}

/* --- calling it ----------------------------------------------------------------------------------------------------- */

/* Call entry with the `count` arguments on the stack. The runtime catches what scripts raise: what gets here is its end. */
static void
call(enum entry entry, int count)
{
	lua_State *L = lua.L;
	lua_rawgeti(L, LUA_REGISTRYINDEX, lua.entries[entry]);
	lua_insert(L, -count - 1);
	if (lua_pcall(L, count, 0, 0) == 0)
		return;
	size_t bytes;
	const char *text = lua_tolstring(L, -1, &bytes);
	if (text != NULL)
		child_log(text, bytes);
	_exit(CHILD_EXIT_LUA);
}

static void
push_address(const void *address)
{
	lua_pushlightuserdata(lua.L, (void *)address);
}

void
child_lua_start(const void *block, size_t bytes)
{
	push_address(block);
	lua_pushnumber(lua.L, (lua_Number)bytes);
	call(ENTRY_START, 2);
}

void
child_lua_invoke(uint32_t request, uint64_t deadline, const void *payload, size_t bytes)
{
	lua_pushnumber(lua.L, request);
	lua_pushnumber(lua.L, (lua_Number)deadline);
	push_address(payload);
	lua_pushnumber(lua.L, (lua_Number)bytes);
	call(ENTRY_INVOKE, 4);
}

void
child_lua_result(uint32_t request, const void *tensors, uint32_t count)
{
	lua_pushnumber(lua.L, request);
	push_address(tensors);
	lua_pushnumber(lua.L, count);
	call(ENTRY_RESULT, 3);
}

void
child_lua_error(uint32_t request, uint32_t code, const char *text, size_t bytes)
{
	lua_pushnumber(lua.L, request);
	lua_pushnumber(lua.L, code);
	lua_pushlstring(lua.L, text, bytes);
	call(ENTRY_ERROR, 3);
}

void
child_lua_cancel(uint32_t request)
{
	lua_pushnumber(lua.L, request);
	call(ENTRY_CANCEL, 1);
}
