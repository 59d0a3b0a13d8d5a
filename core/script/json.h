/*
 * JSON for Lua states: lua-cjson, linked in. A state that is to have it puts luaopen_cjson into package.preload.cjson, and
 * scripts use it as require "tidepool.json" or "cjson".
 */
#pragma once

struct lua_State;

/* A lua_CFunction; leaves the module's table. */
int
luaopen_cjson(struct lua_State *L);
