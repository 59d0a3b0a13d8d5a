#include "config_text.h"

#include <lua.h>
#include <math.h>

/* Most nesting of a table that is written. */
enum { DEPTH_MAX = 16 };

/* Every byte as an escape, so that no byte needs thought. */
static void
write_string(FILE *text, const char *bytes, size_t length)
{
	fputc('"', text);
	for (size_t i = 0; i < length; i++)
		fprintf(text, "\\%03u", (unsigned)(unsigned char)bytes[i]);
	fputc('"', text);
}

/* Write the string, number or boolean at the stack's index. */
static const char *
write_scalar(lua_State *L, FILE *text, int index)
{
	size_t length;
	const char *bytes;
	switch (lua_type(L, index)) {
	case LUA_TBOOLEAN:
		fputs(lua_toboolean(L, index) ? "true" : "false", text);
		return NULL;
	case LUA_TNUMBER:
		fprintf(text, "%.17g", lua_tonumber(L, index));
		return isfinite(lua_tonumber(L, index)) ? NULL
							: "holds a number that is not finite";
	case LUA_TSTRING:
		bytes = lua_tolstring(L, index, &length);
		write_string(text, bytes, length);
		return NULL;
	default:
		return "may hold strings, numbers, booleans and tables only";
	}
}

const char *
config_write_table(lua_State *L, FILE *text, uint32_t depth)
{
	if (depth == DEPTH_MAX || !lua_checkstack(L, 4))
		return "is nested too deeply";
	const char *problem = NULL;
	fputc('{', text);
	lua_pushnil(L);
	while (problem == NULL && lua_next(L, -2) != 0) {
		fputc('[', text);
		problem = write_scalar(L, text, -2);
		fputs("]=", text);
		if (problem == NULL && lua_istable(L, -1))
			problem = config_write_table(L, text, depth + 1);
		else if (problem == NULL)
			problem = write_scalar(L, text, -1);
		fputc(',', text);
		lua_pop(L, 1);
	}
	if (problem != NULL)
		return problem;
	fputc('}', text);
	return NULL;
}
