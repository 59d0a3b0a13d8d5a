-- `require "tidepool"` in a function's script.
--
--   tide.tensor(datatype, shape, data)   a tensor for the device (tensor.lua); its methods are in ops.lua
--   tide.zeros(datatype, shape)          a tensor here, to be filled (host.lua)
--   tide.get(a, b, …)                    several tensors with one wait
--   tide.flush()                         the device may begin with the calls so far; the handler goes on
--   tide.wait()                          until the calls so far have run
--   tide.concat, stack, where, einsum    operators on several tensors
--   tide.range, tide.full                tensors that are made on the device
--   tide.json, tide.bin(s), tide.null    JSON; a string that goes out as MessagePack bin; MessagePack's nil in tables
--   tide.image, tide.text                pictures (image.lua) and tokenizers (text/init.lua), done here in the worker
--   tide.base64                          encode and decode
--   tide.log(…)                          a line in the function's log; print is the same
--   tide.error(code, message)            raises an error that the client gets with that code
-- The runtime (worker/init.lua) adds the last two.
local base64 = require "tidepool.base64"
local image = require "tidepool.image"
local msgpack = require "tidepool.msgpack"
local ops = require "tidepool.ops"
local script_json = require "tidepool.script_json"
local tensor = require "tidepool.tensor"
local text = require "tidepool.text"

local tide = {
  tensor = tensor.tensor,
  zeros = tensor.zeros,
  get = tensor.get,
  flush = tensor.flush,
  wait = tensor.wait,
  concat = ops.concat,
  where = ops.where,
  stack = ops.stack,
  einsum = ops.einsum,
  range = ops.range,
  full = ops.full,
  json = script_json,
  base64 = base64,
  image = image,
  text = text,
  bin = msgpack.bin,
  map = msgpack.map,
  array = msgpack.array,
  null = msgpack.null,
}

return tide
