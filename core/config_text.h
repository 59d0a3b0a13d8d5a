/*
 * A Lua table as the text of a Lua table, so that it can go from one Lua state into another.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

struct lua_State;

/*
 * Write the table on top of the stack, which stays there. NULL, or what is wrong with it: it may hold strings, finite
 * numbers, booleans and tables. depth: nesting so far, 0 for the caller.
 */
const char *
config_write_table(struct lua_State *L, FILE *text, uint32_t depth);
