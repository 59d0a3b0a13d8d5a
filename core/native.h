/*
 * The Lua module tidepool.native: what the command line needs of the core besides a connection to a node.
 */
#pragma once

struct lua_State;

/* A lua_CFunction; leaves the module's table. */
int
luaopen_tidepool_native(struct lua_State *L);
