-- Tensors as the wire has them: { datatype = "FP32", shape = { 1, 3 }, data = bin, little endian }, with the names of
-- the Open Inference Protocol. make() builds one of Lua numbers, bytes or an FFI array; array() and list() read one.
local ffi = require "ffi"
local element = require "tidepool.element"
local msgpack = require "tidepool.msgpack"
local nan = require "tidepool.nan"

local types = element.types
-- What half precision is read as.
local float_array = ffi.typeof "float[?]"

local M = {}

local function check_datatype(datatype)
  if not types[datatype] then
    error(("tensor: datatype %s is none of %s"):format(tostring(datatype), element.names()), 3)
  end
end

local function count_of(shape)
  local count = 1
  for i, size in ipairs(shape) do
    if type(size) ~= "number" or size < 0 or size ~= math.floor(size) then
      error(("tensor: shape[%d] is %s, must be a whole number"):format(i, tostring(size)), 3)
    end
    count = count * size
  end
  return count
end

-- Numbers of nested tables into out from at on; returns where it stopped.
local function flatten(data, out, at, room, convert)
  for _, value in ipairs(data) do
    if type(value) == "table" then
      at = flatten(value, out, at, room, convert)
    else
      if at == room then return room + 1 end
      if type(value) == "boolean" then value = value and 1 or 0 end
      out[at] = convert and convert(value) or value
      at = at + 1
    end
  end
  return at
end

local function bytes_of_table(datatype, data, count)
  local out = types[datatype].array(count)
  local filled = flatten(data, out, 0, count, types[datatype].to)
  if filled ~= count then
    error(("tensor: data has %s %d elements, its shape says %d"):format(
      filled > count and "more than" or "only", math.min(filled, count), count), 3)
  end
  return ffi.string(out, count * types[datatype].bytes)
end

-- A tensor for the wire. shape: sizes, {} for a scalar. data: numbers (booleans for BOOL) in nested or flat tables, or
-- the bytes as a string, or an FFI array or pointer of at least as many.
function M.make(datatype, shape, data)
  check_datatype(datatype)
  local count = count_of(shape)
  local bytes = count * types[datatype].bytes
  if type(data) == "table" then
    data = bytes_of_table(datatype, data, count)
  elseif type(data) == "cdata" then
    data = ffi.string(ffi.cast("const char *", data), bytes)
  elseif type(data) ~= "string" then
    error("tensor: data is a " .. type(data) .. ", must be a table, a string or cdata", 2)
  end
  if #data ~= bytes then
    error(("tensor: data has %d bytes, its shape and datatype say %d"):format(#data, bytes), 2)
  end
  return { datatype = datatype, shape = msgpack.array { unpack(shape) }, data = msgpack.bin(data) }
end

local function parts(tensor)
  if type(tensor) ~= "table" or type(tensor.shape) ~= "table" or not tensor.data then
    error("tensor: not a map of datatype, shape and data", 3)
  end
  check_datatype(tensor.datatype)
  local count = count_of(tensor.shape)
  local data = msgpack.is_bin(tensor.data) and tensor.data[1] or tensor.data
  if #data ~= count * types[tensor.datatype].bytes then
    error(("tensor: data has %d bytes, its shape and datatype say %d"):format(
      #data, count * types[tensor.datatype].bytes), 3)
  end
  return tensor.datatype, count, data
end

-- The elements as an FFI array of their type (FP16 and BF16 as floats), and their number.
function M.array(tensor)
  local datatype, count, data = parts(tensor)
  local convert = types[datatype].from
  if not convert then
    local array = types[datatype].array(count)
    ffi.copy(array, data, #data)
    return array, count
  end
  local array, bits = float_array(count), ffi.cast(types[datatype].pointer, data)
  for i = 0, count - 1 do array[i] = convert(bits[i]) end
  return array, count
end

local readers = { FP32 = nan.float, FP16 = nan.float, BF16 = nan.float, FP64 = nan.double }
local function plain(array, i) return array[i] end

-- The elements as one flat table, in row-major order; 64-bit integers as int64_t, BOOL as booleans.
function M.list(tensor)
  local array, count = M.array(tensor)
  local list = {}
  local read = readers[tensor.datatype] or plain
  for i = 0, count - 1 do list[i + 1] = read(array, i) end
  if tensor.datatype == "BOOL" then
    for i = 1, count do list[i] = list[i] ~= 0 end
  end
  return list
end

return M
