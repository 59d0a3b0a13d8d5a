#include "native.h"

#include <lauxlib.h>
#include <lua.h>

int
luaopen_tidepool_native(lua_State *L)
{
	lua_createtable(L, 0, 2);
	lua_pushliteral(L, TIDEPOOL_VERSION);
	lua_setfield(L, -2, "version");
	return 1;
}
