#include <assert.h>
#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/embedded.h"
#include "base/error.h"
#include "script/child.h"
#include "script/child_calls.h"
#include "script/heap.h"
#include "script/json.h"
#include "script/record.h"

/* The runtime's entry points (lua/tidepool/worker/init.lua), in the order of `entries`. */
enum entry {
	ENTRY_START,
	ENTRY_INVOKE,
	ENTRY_RESULT,
	ENTRY_ERROR,
	ENTRY_CANCEL,
	ENTRY_ANSWER,
	ENTRY_CREDIT,
	ENTRY_REHEARSE,
	ENTRY_COUNT,
};

static const char *const entries[ENTRY_COUNT] = { "start",  "invoke", "result", "failure",
						  "cancel", "answer", "credit", "rehearse" };

static struct {
	lua_State *L;
	/* What workers inherit, in one piece. */
	struct heap zygote_heap;
	int entries[ENTRY_COUNT];
} lua;

enum { ZYGOTE_HEAP_BYTES = 64 << 20 };

/* --- memory --------------------------------------------------------------------------------------------------------- */

/*
 * A lua_Alloc for workers. New blocks are cut from a mapping of the worker's own, one beside the other. Blocks from before the
 * fork are never written to, not even when they are freed: their pages stay the zygote's, shared by all workers.
 */
static void *
worker_alloc(void *context, void *block, size_t old, size_t new)
{
	struct heap *heap = context;
	bool inherited = block != NULL &&
			 ((char *)block < heap->base || (char *)block >= heap->base + heap->size);
	if (!inherited)
		return heap_realloc(heap, block, old, new);
	void *moved = new == 0 ? NULL : heap_realloc(heap, NULL, 0, new);
	if (moved != NULL)
		memcpy(moved, block, old < new ? old : new);
	return moved;
}

int
child_lua_limit(size_t bytes)
{
	struct heap heap;
	if (heap_create(&heap, bytes) != 0)
		return -1;
	/* Its books lie beside the first blocks, so that they share a page. */
	struct heap *books = heap_realloc(&heap, NULL, 0, sizeof(heap));
	*books = heap;
	lua_setallocf(lua.L, worker_alloc, books);
	return 0;
}

size_t
child_memory_limit(void)
{
	void *heap;
	lua_getallocf(lua.L, &heap);
	return ((const struct heap *)heap)->size;
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

/*
 * The compiler counts how often code runs, in 64 counters that all of it shares; they start anew
 * when it is switched on. Workers that inherited what the zygote's own work has left of them would
 * compile their first requests.
 */
static void
reset_hot_counters(lua_State *L)
{
	int known = luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF) &&
		    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
	assert(known);
	(void)known;
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
	push_header(L, "core/image/image.h");
	lua_setglobal(L, "TIDEPOOL_IMAGE_H");
	push_header(L, "core/text/unicode.h");
	lua_setglobal(L, "TIDEPOOL_UNICODE_H");
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
	if (heap_create(&lua.zygote_heap, ZYGOTE_HEAP_BYTES) != 0)
		return -1;
	lua_State *L = lua_newstate(heap_realloc, &lua.zygote_heap);
	/* Read now, while there are files: a worker that looked for its time zone would be killed. */
	setenv("TZ", "UTC0", 1);
	tzset();
	if (L == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for the workers' Lua state");
	lua_pushcfunction(L, load_runtime);
	if (lua_pcall(L, 0, 0, 0) != 0) {
		error_set(ERR_INTERNAL, "the workers' library: %s", lua_tostring(L, -1));
		lua_close(L);
		return -1;
	}
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
	int status = lua_pcall(L, count, 0, 0);
	if (status == 0)
		return;
	if (status == LUA_ERRMEM)
		_exit(CHILD_EXIT_MEMORY);
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
child_lua_rehearse(void)
{
	call(ENTRY_REHEARSE, 0);
	lua_gc(lua.L, LUA_GCCOLLECT, 0);
	reset_hot_counters(lua.L);
}

void
child_lua_start(const void *block, size_t bytes)
{
	push_address(block);
	lua_pushnumber(lua.L, (lua_Number)bytes);
	call(ENTRY_START, 2);
}

void
child_lua_invoke(uint32_t request, uint64_t deadline, uint16_t flags, const void *payload,
		 size_t bytes)
{
	lua_pushnumber(lua.L, request);
	lua_pushnumber(lua.L, (lua_Number)deadline);
	push_address(payload);
	lua_pushnumber(lua.L, (lua_Number)bytes);
	lua_pushboolean(lua.L, (flags & RECORD_STREAMS) != 0);
	call(ENTRY_INVOKE, 5);
}

void
child_lua_answer(uint32_t request, uint32_t number, uint32_t code, const void *payload,
		 size_t bytes)
{
	lua_pushnumber(lua.L, request);
	lua_pushnumber(lua.L, number);
	lua_pushnumber(lua.L, code);
	push_address(payload);
	lua_pushnumber(lua.L, (lua_Number)bytes);
	call(ENTRY_ANSWER, 5);
}

void
child_lua_credit(uint32_t request, uint64_t bytes)
{
	lua_pushnumber(lua.L, request);
	lua_pushnumber(lua.L, (lua_Number)bytes);
	call(ENTRY_CREDIT, 2);
}

void
child_lua_result(uint32_t request, const void *tensors, uint32_t count, bool collect)
{
	lua_pushnumber(lua.L, request);
	push_address(tensors);
	lua_pushnumber(lua.L, count);
	lua_pushboolean(lua.L, collect);
	call(ENTRY_RESULT, 4);
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
