-- Tensors as the wire has them: { datatype = "FP32", shape = { 1, 3 }, data = bin, little endian }, with the names of
-- the Open Inference Protocol. make() builds one of Lua numbers, bytes or an FFI array; array() and list() read one.
local ffi = require "ffi"
local msgpack = require "tidepool.msgpack"

local element = {
  BOOL = "uint8_t", UINT8 = "uint8_t", UINT16 = "uint16_t", UINT32 = "uint32_t", UINT64 = "uint64_t",
  INT8 = "int8_t", INT16 = "int16_t", INT32 = "int32_t", INT64 = "int64_t",
  FP16 = "uint16_t", BF16 = "uint16_t", FP32 = "float", FP64 = "double",
}
local array_type, pointer_type, element_bytes = {}, {}, {}
-- Not "$[?]" with a type for $: once compiled, that gives the type of the first time for any (LuaJIT 2.1 beta 3).
for name, ctype in pairs(element) do
  array_type[name] = ffi.typeof(ctype .. "[?]")
  pointer_type[name] = ffi.typeof("const " .. ctype .. " *")
  element_bytes[name] = ffi.sizeof(ctype)
end
-- What half precision is read as.
local float_array = ffi.typeof "float[?]"

local word = ffi.new "union { float f32; uint32_t u32; }"

-- A float as the 16 high bits of itself, rounded to nearest, ties to even.
local function to_bf16(value)
  word.f32 = value
  if value ~= value then return 0x7fc0 end
  local bits = tonumber(word.u32)
  local high = math.floor(bits / 65536)
  local low = bits % 65536
  if low > 0x8000 or (low == 0x8000 and high % 2 == 1) then high = high + 1 end
  return high
end

local function from_bf16(bits)
  word.u32 = bits * 65536
  return word.f32
end

-- To the nearest whole number, ties to even.
local function round_even(value)
  local down = math.floor(value)
  local rest = value - down
  if rest > 0.5 or (rest == 0.5 and down % 2 == 1) then return down + 1 end
  return down
end

-- IEEE 754 binary16.
local function to_fp16(value)
  if value ~= value then return 0x7e00 end
  local sign = (value < 0 or 1 / value < 0) and 0x8000 or 0
  value = math.abs(value)
  if value >= 65520 then return sign + 0x7c00 end
  if value < 2 ^ -14 then return sign + round_even(value * 2 ^ 24) end
  local _, exponent = math.frexp(value)
  -- A mantissa that rounds up to 2048 carries into the exponent, as it should.
  return sign + (exponent + 13) * 1024 + round_even(value * 2 ^ (11 - exponent))
end

local function from_fp16(bits)
  local sign = bits >= 0x8000 and -1 or 1
  local exponent, mantissa = math.floor(bits % 0x8000 / 1024), bits % 1024
  if exponent == 0 then return sign * mantissa * 2 ^ -24 end
  if exponent == 31 then return mantissa == 0 and sign / 0 or 0 / 0 end
  return sign * (1024 + mantissa) * 2 ^ (exponent - 25)
end

local M = {}

local function check_datatype(datatype)
  if not element[datatype] then
    local names = {}
    for name in pairs(element) do names[#names + 1] = name end
    table.sort(names)
    error(("tensor: datatype %s is none of %s"):format(tostring(datatype), table.concat(names, ", ")), 3)
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

local to_half = { FP16 = to_fp16, BF16 = to_bf16 }
local from_half = { FP16 = from_fp16, BF16 = from_bf16 }

local function bytes_of_table(datatype, data, count)
  local out = array_type[datatype](count)
  local filled = flatten(data, out, 0, count, to_half[datatype])
  if filled ~= count then
    error(("tensor: data has %s %d elements, its shape says %d"):format(
      filled > count and "more than" or "only", math.min(filled, count), count), 3)
  end
  return ffi.string(out, count * element_bytes[datatype])
end

-- A tensor for the wire. shape: sizes, {} for a scalar. data: numbers (booleans for BOOL) in nested or flat tables, or
-- the bytes as a string, or an FFI array or pointer of at least as many.
function M.make(datatype, shape, data)
  check_datatype(datatype)
  local count = count_of(shape)
  local bytes = count * element_bytes[datatype]
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
  if #data ~= count * element_bytes[tensor.datatype] then
    error(("tensor: data has %d bytes, its shape and datatype say %d"):format(
      #data, count * element_bytes[tensor.datatype]), 3)
  end
  return tensor.datatype, count, data
end

-- The elements as an FFI array of their type (FP16 and BF16 as floats), and their number.
function M.array(tensor)
  local datatype, count, data = parts(tensor)
  local convert = from_half[datatype]
  if not convert then
    local array = array_type[datatype](count)
    ffi.copy(array, data, #data)
    return array, count
  end
  local array, bits = float_array(count), ffi.cast(pointer_type[datatype], data)
  for i = 0, count - 1 do array[i] = convert(bits[i]) end
  return array, count
end

-- The elements as one flat table, in row-major order; 64-bit integers as int64_t, BOOL as booleans.
function M.list(tensor)
  local array, count = M.array(tensor)
  local list = {}
  for i = 0, count - 1 do list[i + 1] = array[i] end
  if tensor.datatype == "BOOL" then
    for i = 1, count do list[i] = list[i] ~= 0 end
  end
  return list
end

return M
