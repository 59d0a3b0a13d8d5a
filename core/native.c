#include "native.h"

#include <lauxlib.h>
#include <lua.h>

#include "base/embedded.h"

/* native.embedded(name): the text of a built-in file; nil when there is none. */
static int
embedded(lua_State *L)
{
	const struct embedded *file = embedded_find(luaL_checkstring(L, 1));
	if (file == NULL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, file->text, file->length);
	return 1;
}

int
luaopen_tidepool_native(lua_State *L)
{
	lua_createtable(L, 0, 2);
	lua_pushliteral(L, TIDEPOOL_VERSION);
	lua_setfield(L, -2, "version");
	lua_pushcfunction(L, embedded);
	lua_setfield(L, -2, "embedded");
	return 1;
}
