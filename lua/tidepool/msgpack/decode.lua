-- MessagePack to Lua values (tidepool.msgpack has the rules).
local bit = require "bit"
local ffi = require "ffi"
local nan = require "tidepool.nan"
local values = require "tidepool.msgpack.values"

local bswap = bit.bswap
local ffi_string, cast = ffi.string, ffi.cast
local type, setmetatable = type, setmetatable
local null, Map = values.null, values.Map
local DEPTH_MAX = values.DEPTH_MAX

local u8_pointer = ffi.typeof "uint8_t *"
local const_pointer = ffi.typeof "const uint8_t *"
local const_u32_pointer = ffi.typeof "const uint32_t *"
-- Whole numbers below this are exact in a double.
local EXACT = 2 ^ 53

-- One number seen as a double, a float, a 64-bit integer or two words, low word first.
local number = ffi.new "union { double f64; float f32; int64_t i64; uint64_t u64; uint32_t word[2]; }"

local M = {}

-- The decoder's input: bytes from 0 up to `stop`, read at `pos`. `anchor` keeps a string alive while it is read.
local input, pos, stop, bin_hook
local anchor -- luacheck: ignore 231

local function need(bytes)
  if pos + bytes > stop then
    error(("msgpack: cut off at byte %d: %d more needed"):format(tonumber(stop), tonumber(pos + bytes - stop)), 0)
  end
end

local function get_8()
  need(1)
  local value = input[pos]
  pos = pos + 1
  return value
end

local function get_16()
  need(2)
  local value = input[pos] * 256 + input[pos + 1]
  pos = pos + 2
  return value
end

-- As a signed 32-bit number, which is what bswap makes.
local function get_32()
  need(4)
  local value = bswap(cast(const_u32_pointer, input + pos)[0])
  pos = pos + 4
  return value
end

local function get_u32()
  local value = get_32()
  return value < 0 and value + 2 ^ 32 or value
end

local function get_64()
  need(8)
  local words = cast(const_u32_pointer, input + pos)
  number.word[1] = bswap(words[0])
  number.word[0] = bswap(words[1])
  pos = pos + 8
end

local function get_string(bytes)
  need(bytes)
  local value = ffi_string(input + pos, bytes)
  pos = pos + bytes
  return value
end

local function get_bin(bytes)
  if not bin_hook then return get_string(bytes) end
  need(bytes)
  local start = input + pos
  pos = pos + bytes
  return bin_hook(start, bytes)
end

local function get_ext(bytes)
  local kind = get_8()
  return values.ext(kind < 128 and kind or kind - 256, get_string(bytes))
end

local get

local function deeper(depth)
  if depth > DEPTH_MAX then error("msgpack: nesting over " .. DEPTH_MAX, 0) end
  return depth + 1
end

-- A count cannot be larger than what the bytes left can hold, whatever it claims.
local function get_array(count, depth)
  need(count)
  local t = {}
  depth = deeper(depth)
  for i = 1, count do
    local value = get(depth)
    if value == nil then value = null end
    t[i] = value
  end
  return t
end

local function get_map(count, depth)
  need(count * 2)
  if count == 0 then return setmetatable({}, Map) end
  local t = {}
  depth = deeper(depth)
  for _ = 1, count do
    local key = get(depth)
    if key == nil or key ~= key then
      error(("msgpack: the map key before byte %d is nil or NaN"):format(tonumber(pos)), 0)
    end
    local value = get(depth)
    if value == nil then value = null end
    t[key] = value
  end
  return t
end

local function get_double()
  get_64()
  return nan.double(number.word, 0)
end

local function get_float()
  number.word[0] = get_32()
  return nan.float(number.word, 0)
end

local function get_i16()
  local value = get_16()
  return value < 0x8000 and value or value - 0x10000
end

local function get_i8()
  local value = get_8()
  return value < 128 and value or value - 256
end

local function get_u64()
  get_64()
  local value = number.u64
  if value <= EXACT then return tonumber(value) end
  return value
end

local function get_i64()
  get_64()
  local value = number.i64
  if value <= EXACT and value >= -EXACT then return tonumber(value) end
  return value
end

-- By tag from 0xc0 on; the argument is the depth, which only arrays and maps use.
local by_tag = {
  [0xc0] = function() return nil end,
  [0xc2] = function() return false end,
  [0xc3] = function() return true end,
  [0xc4] = function() return get_bin(get_8()) end,
  [0xc5] = function() return get_bin(get_16()) end,
  [0xc6] = function() return get_bin(get_u32()) end,
  [0xc7] = function() return get_ext(get_8()) end,
  [0xc8] = function() return get_ext(get_16()) end,
  [0xc9] = function() return get_ext(get_u32()) end,
  [0xca] = get_float,
  [0xcb] = get_double,
  [0xcc] = get_8,
  [0xcd] = get_16,
  [0xce] = get_u32,
  [0xcf] = get_u64,
  [0xd0] = get_i8,
  [0xd1] = get_i16,
  [0xd2] = get_32,
  [0xd3] = get_i64,
  [0xd4] = function() return get_ext(1) end,
  [0xd5] = function() return get_ext(2) end,
  [0xd6] = function() return get_ext(4) end,
  [0xd7] = function() return get_ext(8) end,
  [0xd8] = function() return get_ext(16) end,
  [0xd9] = function() return get_string(get_8()) end,
  [0xda] = function() return get_string(get_16()) end,
  [0xdb] = function() return get_string(get_u32()) end,
  [0xdc] = function(depth) return get_array(get_16(), depth) end,
  [0xdd] = function(depth) return get_array(get_u32(), depth) end,
  [0xde] = function(depth) return get_map(get_16(), depth) end,
  [0xdf] = function(depth) return get_map(get_u32(), depth) end,
}

function get(depth)
  local tag = get_8()
  if tag < 0x80 then return tag end
  if tag < 0x90 then return get_map(tag - 0x80, depth) end
  if tag < 0xa0 then return get_array(tag - 0x90, depth) end
  if tag < 0xc0 then return get_string(tag - 0xa0) end
  if tag >= 0xe0 then return tag - 256 end
  local read = by_tag[tag]
  if not read then error(("msgpack: byte %d is 0xc1, which is no MessagePack"):format(tonumber(pos) - 1), 0) end
  return read(depth)
end

-- The value at `offset` (0 unless given) of data: a string, or a pointer with its length in bytes. on_bin(pointer,
-- bytes), when given, makes the value of each bin instead of a string; the pointer is into data.
function M.decode(data, bytes, offset, on_bin)
  anchor = data
  if type(data) == "string" then
    input, stop = cast(const_pointer, data), bytes or #data
  else
    input, stop = cast(u8_pointer, data), assert(bytes, "decode of a pointer needs its length")
  end
  pos, bin_hook = offset or 0, on_bin
  local value = get(1)
  anchor = nil
  return value, pos
end

return M
