-- The Lua client: `luarocks --lua-version=5.1 make rockspec/tidepool-scm-1.rockspec` in a source tree; needs no network.
rockspec_format = "1.0"
package = "tidepool"
version = "scm-1"
source = { url = "git+https://localhost/tidepool.git" }
description = {
  summary = "Client of the Tidepool inference engine",
  detailed = "Calls inference functions of a Tidepool node over MessagePack-RPC. Plain Lua for LuaJIT; sockets by FFI.",
  license = "MIT",
}
dependencies = { "lua ~> 5.1" }
-- Not "builtin", which would install all of lua/: the command line's modules are of no use outside the program.
build = {
  type = "none",
  install = {
    lua = {
      ["tidepool.client.init"] = "lua/tidepool/client/init.lua",
      ["tidepool.client.framer"] = "lua/tidepool/client/framer.lua",
      ["tidepool.client.socket"] = "lua/tidepool/client/socket.lua",
      ["tidepool.client.tensor"] = "lua/tidepool/client/tensor.lua",
      ["tidepool.spec"] = "lua/tidepool/spec.lua",
      ["tidepool.element"] = "lua/tidepool/element.lua",
      ["tidepool.misuse"] = "lua/tidepool/misuse.lua",
      ["tidepool.msgpack.init"] = "lua/tidepool/msgpack/init.lua",
      ["tidepool.msgpack.decode"] = "lua/tidepool/msgpack/decode.lua",
      ["tidepool.msgpack.encode"] = "lua/tidepool/msgpack/encode.lua",
      ["tidepool.msgpack.values"] = "lua/tidepool/msgpack/values.lua",
      ["tidepool.nan"] = "lua/tidepool/nan.lua",
      ["tidepool.shown"] = "lua/tidepool/shown.lua",
      ["tidepool.utf8"] = "lua/tidepool/utf8.lua",
    },
  },
}
