-- Element types of tensors: names of the Open Inference Protocol, ONNX's numbers, C types, and half precision.
local ffi = require "ffi"

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

-- By name: { name, number = ONNX's, bytes, pointer, array = FFI types, to, from = conversions of halves }.
M.types = {}
-- The same by ONNX's number.
M.by_number = {}

-- Not "$[?]" with a type for $: once compiled, that gives the type of the first time for any (LuaJIT 2.1 beta 3).
local function define(name, number, ctype, to, from)
  local kind = {
    name = name, number = number, bytes = ffi.sizeof(ctype), to = to, from = from,
    pointer = ffi.typeof(ctype .. " *"), array = ffi.typeof(ctype .. "[?]"),
  }
  M.types[name] = kind
  M.by_number[number] = kind
end

define("FP32", 1, "float")
define("UINT8", 2, "uint8_t")
define("INT8", 3, "int8_t")
define("UINT16", 4, "uint16_t")
define("INT16", 5, "int16_t")
define("INT32", 6, "int32_t")
define("INT64", 7, "int64_t")
define("BOOL", 9, "uint8_t")
define("FP16", 10, "uint16_t", to_fp16, from_fp16)
define("FP64", 11, "double")
define("UINT32", 12, "uint32_t")
define("UINT64", 13, "uint64_t")
define("BF16", 16, "uint16_t", to_bf16, from_bf16)

-- "BF16, BOOL, …": for messages.
function M.names()
  local names = {}
  for name in pairs(M.types) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

return M
