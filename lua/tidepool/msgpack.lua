-- MessagePack for LuaJIT, over FFI buffers. Little-endian hosts, as the wire's tensors are.
--
--   encode(value) -> string              raises on what has no MessagePack form
--   encode_raw(value, on_foreign) -> pointer, bytes: the same, to be copied before the next call of encode;
--                                 on_foreign(value) gives what goes out for userdata and cdata that have no form
--   decode(data, bytes, offset, on_bin)  -> value, offset after it; raises on bytes that are malformed or cut off
--
-- Lua to MessagePack: whole numbers that a double holds exactly become integers, the others float64; int64_t and
-- uint64_t keep all 64 bits; strings become str, or bin when they are not UTF-8; bin(s) becomes bin; a table whose keys
-- are 1…n becomes an array, any other a map, the empty one an array unless made by map{}; null becomes nil.
-- MessagePack to Lua: str and bin become strings; integers beyond 2^53 become int64_t or uint64_t; nil inside an array
-- or a map becomes null, so that nothing shifts; an empty map answers is_map, so that it goes back as one.
local bit = require "bit"
local ffi = require "ffi"
local nan = require "tidepool.nan"
local utf8 = require "tidepool.utf8"

local band, bor, bswap, rshift = bit.band, bit.bor, bit.bswap, bit.rshift
local copy, ffi_string, istype, cast = ffi.copy, ffi.string, ffi.istype, ffi.cast
local floor, type, pairs, getmetatable, setmetatable = math.floor, type, pairs, getmetatable, setmetatable

local u8_pointer = ffi.typeof "uint8_t *"
local const_pointer = ffi.typeof "const uint8_t *"
local u32_pointer = ffi.typeof "uint32_t *"
local const_u32_pointer = ffi.typeof "const uint32_t *"
local bytes_type = ffi.typeof "uint8_t[?]"
local int64_type, uint64_type = ffi.typeof "int64_t", ffi.typeof "uint64_t"

-- One number seen as a double, a float, a 64-bit integer or two words, low word first.
local number = ffi.new "union { double f64; float f32; int64_t i64; uint64_t u64; uint32_t word[2]; }"

local M = {}

-- Nesting that encode and decode accept.
local DEPTH_MAX = 128
local EXACT = 2 ^ 53

M.null = setmetatable({}, {
  __tostring = function() return "null" end,
  __newindex = function() error "msgpack.null cannot hold anything" end,
})
local null = M.null

local Bin = { __tostring = function(self) return self[1] end, __len = function(self) return #self[1] end }
local Ext = {}
local Map = {}
local Array = {}

-- The bytes of s, to go out as bin.
function M.bin(s)
  assert(type(s) == "string", "bin takes a string")
  return setmetatable({ s }, Bin)
end

function M.is_bin(value) return getmetatable(value) == Bin end

-- An extension value: kind is -128…127.
function M.ext(kind, data) return setmetatable({ kind = kind, data = data }, Ext) end

function M.is_ext(value) return getmetatable(value) == Ext end

-- t goes out as a map, or as an array, whatever its keys (an array takes t[1…#t]).
function M.map(t) return setmetatable(t or {}, Map) end

function M.array(t) return setmetatable(t or {}, Array) end

function M.is_map(value) return getmetatable(value) == Map end

-- The encoder's buffer: grows, is kept, and is left alone between calls.
local room = 4096
local out = bytes_type(room)
local at = 0

local function grow(bytes)
  local larger = room
  while larger < at + bytes do larger = larger * 2 end
  local old = out
  out = bytes_type(larger)
  copy(out, old, at)
  room = larger
end

local function put_byte(byte)
  if at + 1 > room then grow(1) end
  out[at] = byte
  at = at + 1
end

local function put_16(tag, value)
  if at + 3 > room then grow(3) end
  out[at] = tag
  out[at + 1] = rshift(value, 8)
  out[at + 2] = band(value, 0xff)
  at = at + 3
end

local function put_32(tag, value)
  if at + 5 > room then grow(5) end
  out[at] = tag
  cast(u32_pointer, out + at + 1)[0] = bswap(value)
  at = at + 5
end

-- What `number` holds.
local function put_64(tag)
  if at + 9 > room then grow(9) end
  out[at] = tag
  local words = cast(u32_pointer, out + at + 1)
  words[0] = bswap(number.word[1])
  words[1] = bswap(number.word[0])
  at = at + 9
end

local function put_bytes(data, bytes)
  if at + bytes > room then grow(bytes) end
  copy(out + at, data, bytes)
  at = at + bytes
end

-- The tag of a length that takes 8, 16 or 32 bits; tag8 nil: there is none.
local function put_length(tag8, tag16, length)
  if tag8 and length < 0x100 then
    put_byte(tag8)
    put_byte(length)
  elseif length < 0x10000 then
    put_16(tag16, length)
  else
    assert(length < 2 ^ 32, "msgpack: a value of more than 4 GiB")
    put_32(tag16 + 1, bit.tobit(length))
  end
end

local put_bin

-- A stock client's decoder rejects a str that is not UTF-8.
local function put_string(s)
  if not utf8.is_valid(s) then return put_bin(s) end
  local bytes = #s
  if bytes < 32 then
    put_byte(bor(0xa0, bytes))
  else
    put_length(0xd9, 0xda, bytes)
  end
  put_bytes(s, bytes)
end

function put_bin(s)
  put_length(0xc4, 0xc5, #s)
  put_bytes(s, #s)
end

local fixed_ext = { [1] = 0xd4, [2] = 0xd5, [4] = 0xd6, [8] = 0xd7, [16] = 0xd8 }

local function put_ext(ext)
  local tag = fixed_ext[#ext.data]
  if tag then
    put_byte(tag)
  else
    put_length(0xc7, 0xc8, #ext.data)
  end
  put_byte(band(ext.kind, 0xff))
  put_bytes(ext.data, #ext.data)
end

local function put_negative(value)
  if value >= -32 then
    put_byte(value + 256)
  elseif value >= -128 then
    put_byte(0xd0)
    put_byte(value + 256)
  elseif value >= -32768 then
    put_16(0xd1, value + 65536)
  elseif value >= -2147483648 then
    put_32(0xd2, value)
  else
    number.i64 = value
    put_64(0xd3)
  end
end

local function put_whole(value)
  if value < 0 then return put_negative(value) end
  if value < 128 then
    put_byte(value)
  elseif value < 0x100 then
    put_byte(0xcc)
    put_byte(value)
  elseif value < 0x10000 then
    put_16(0xcd, value)
  elseif value < 2 ^ 32 then
    put_32(0xce, bit.tobit(value))
  else
    number.i64 = value
    put_64(0xcf)
  end
end

local function put_number(value)
  if value == floor(value) and value <= EXACT and value >= -EXACT and (value ~= 0 or 1 / value > 0) then
    put_whole(value)
  else
    number.f64 = value
    put_64(0xcb)
  end
end

-- Gives what is encoded in place of a value that has no form; nil: there is no such help.
local foreign_hook
local put

local function put_foreign(value, depth)
  if not foreign_hook then error("msgpack: cannot encode " .. tostring(value), 0) end
  return put(foreign_hook(value), depth)
end

local function put_cdata(value, depth)
  if istype(int64_type, value) then
    if value >= -EXACT and value <= EXACT then return put_whole(tonumber(value)) end
    number.i64 = value
    put_64(value < 0 and 0xd3 or 0xcf)
  elseif istype(uint64_type, value) then
    if value <= EXACT then return put_whole(tonumber(value)) end
    number.u64 = value
    put_64(0xcf)
  else
    put_foreign(value, depth)
  end
end

-- How many pairs t has, and whether its keys are 1…count.
local function shape_of(t)
  local count, sequence = 0, true
  local length = #t
  for key in pairs(t) do
    count = count + 1
    if type(key) ~= "number" or key < 1 or key > length or key ~= floor(key) then sequence = false end
  end
  return count, sequence and count == length
end

local function put_array(t, length, depth)
  if length < 16 then
    put_byte(bor(0x90, length))
  else
    put_length(nil, 0xdc, length)
  end
  for i = 1, length do put(t[i], depth) end
end

local function put_map(t, count, depth)
  if count < 16 then
    put_byte(bor(0x80, count))
  else
    put_length(nil, 0xde, count)
  end
  for key, value in pairs(t) do
    put(key, depth)
    put(value, depth)
  end
end

local function put_table(t, depth)
  if t == null then return put_byte(0xc0) end
  local mark = getmetatable(t)
  if mark == Bin then return put_bin(t[1]) end
  if mark == Ext then return put_ext(t) end
  if depth > DEPTH_MAX then error("msgpack: nesting over " .. DEPTH_MAX .. " (a table that holds itself?)", 0) end
  if mark == Array then return put_array(t, #t, depth + 1) end
  local count, sequence = shape_of(t)
  if sequence and mark ~= Map then return put_array(t, count, depth + 1) end
  return put_map(t, count, depth + 1)
end

function put(value, depth)
  local kind = type(value)
  if kind == "string" then
    put_string(value)
  elseif kind == "number" then
    put_number(value)
  elseif kind == "table" then
    put_table(value, depth)
  elseif kind == "boolean" then
    put_byte(value and 0xc3 or 0xc2)
  elseif kind == "nil" then
    put_byte(0xc0)
  elseif kind == "cdata" then
    put_cdata(value, depth)
  elseif kind == "userdata" then
    put_foreign(value, depth)
  else
    error("msgpack: cannot encode a " .. kind, 0)
  end
end

-- A buffer that once held something huge is not kept.
local KEPT = 4 * 1024 * 1024

local function take()
  local encoded = ffi_string(out, at)
  at = 0
  if room > KEPT then
    room = 4096
    out = bytes_type(room)
  end
  return encoded
end

function M.encode(value)
  at = 0
  put(value, 1)
  return take()
end

function M.encode_raw(value, on_foreign)
  at = 0
  if room > KEPT then
    room = 4096
    out = bytes_type(room)
  end
  foreign_hook = on_foreign
  local ok, problem = pcall(put, value, 1)
  foreign_hook = nil
  if not ok then error(problem, 0) end
  return out, at
end

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
  return M.ext(kind < 128 and kind or kind - 256, get_string(bytes))
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
