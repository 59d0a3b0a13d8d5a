/*
 * spec-runner FILE [ARGS...]: LuaJIT with all of core/ linked in. Runs FILE with `arg` set as the luajit program would;
 * spec/support/run.lua is what the Makefile gives it.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

#include "script/json.h"

static int
traceback(lua_State *L)
{
	if (lua_isstring(L, 1))
		luaL_traceback(L, L, lua_tostring(L, 1), 1);
	return 1;
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: spec-runner FILE [ARGS...]\n");
		return 2;
	}
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
	lua_pushcfunction(L, luaopen_cjson);
	lua_setfield(L, -2, "cjson");
	lua_pop(L, 1);
	lua_createtable(L, argc - 2, 2);
	for (int i = 0; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i - 1);
	}
	lua_setglobal(L, "arg");
	lua_pushcfunction(L, traceback);
	if (luaL_loadfile(L, argv[1]) != 0 || lua_pcall(L, 0, 0, 1) != 0) {
		/* busted ends a failed run by raising nil. */
		if (lua_tostring(L, -1) != NULL)
			fprintf(stderr, "spec-runner: %s\n", lua_tostring(L, -1));
		return 1;
	}
	lua_close(L);
	return 0;
}
