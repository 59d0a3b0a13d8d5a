-- Writes the seeds of the framer's and the message decoder's fuzz targets: `luajit spec/fuzz/seeds_net.lua` in the root
-- of the source tree.
package.path = "./lua/?.lua;" .. package.path
local msgpack = require "tidepool.msgpack"

local messages = {
  hello = { 0, 1, "hello", {} },
  invoke = { 0, 2, "invoke", { "filetype", { data = msgpack.bin "\x7fELF" }, { timeout_us = 50000 } } },
  tensor = { 0, 3, "invoke", { "net", { datatype = "FP32", shape = { 1, 2 }, data = msgpack.bin(("\0"):rep(8)) } } },
  response = { 1, 4, msgpack.null, { label = "elf", score = 0.5 } },
  failure = { 1, 5, { 5, "NOT_FOUND: function", msgpack.null }, msgpack.null },
  notification = { 2, "cancel", { 4 } },
  integers = { 0, 6, "m", { 127, 255, 65535, 2 ^ 32 - 1, 2 ^ 40, -1, -100, -2 ^ 40 } },
  strings = { 0, 7, "m", { "", ("x"):rep(40), ("y"):rep(300), msgpack.ext(1, "abcd"), msgpack.ext(2, "abc") } },
  nested = { 0, 8, "m", { { { { { { 1, { k = { v = {} } } } } } } } } },
  wrong = { 0, "id", 5, "params" },
}

local function write(folder, name, bytes)
  local file = assert(io.open(("spec/fuzz/seeds/%s/%s"):format(folder, name), "wb"))
  file:write(bytes)
  file:close()
end

os.execute "mkdir -p spec/fuzz/seeds/message spec/fuzz/seeds/framer"
for name, message in pairs(messages) do
  local bytes = msgpack.encode(message)
  write("message", name, bytes)
  -- In pieces of 8 bytes, and twice in a row.
  write("framer", name, "\7" .. bytes .. bytes)
end
