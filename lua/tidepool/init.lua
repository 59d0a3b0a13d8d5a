-- `require "tidepool"` in a function's script.
--
--   tide.tensor(datatype, shape, data)   a tensor for the device (tensor.lua); its methods are in ops.lua
--   tide.zeros(datatype, shape)          a tensor here, to be filled (host.lua)
--   tide.get(a, b, …)                    several tensors with one wait
--   tide.concat, tide.where              operators on several tensors
--   tide.json, tide.bin(s), tide.null    JSON; a string that goes out as MessagePack bin; MessagePack's nil in tables
--   tide.log(…)                          a line in the function's log; print is the same
--   tide.error(code, message)            raises an error that the client gets with that code
-- The runtime (worker/init.lua) adds the last two.
local json = require "tidepool.json"
local msgpack = require "tidepool.msgpack"
local ops = require "tidepool.ops"
local tensor = require "tidepool.tensor"

local tide = {
  tensor = tensor.tensor,
  zeros = tensor.zeros,
  get = tensor.get,
  concat = ops.concat,
  where = ops.where,
  json = { encode = json.encode, decode = json.decode, null = json.null },
  bin = msgpack.bin,
  map = msgpack.map,
  array = msgpack.array,
  null = msgpack.null,
}

return tide
