-- Lua values to MessagePack (tidepool.msgpack has the rules).
local bit = require "bit"
local ffi = require "ffi"
local utf8 = require "tidepool.utf8"
local values = require "tidepool.msgpack.values"

local band, bor, bswap, rshift = bit.band, bit.bor, bit.bswap, bit.rshift
local copy, ffi_string, istype, cast = ffi.copy, ffi.string, ffi.istype, ffi.cast
local floor, type, pairs, getmetatable = math.floor, type, pairs, getmetatable
local null, Bin, Ext, Map, Array = values.null, values.Bin, values.Ext, values.Map, values.Array
local DEPTH_MAX = values.DEPTH_MAX

local u32_pointer = ffi.typeof "uint32_t *"
local bytes_type = ffi.typeof "uint8_t[?]"
local int64_type, uint64_type = ffi.typeof "int64_t", ffi.typeof "uint64_t"
-- Whole numbers below this are exact in a double.
local EXACT = 2 ^ 53

-- One number seen as a double, a float, a 64-bit integer or two words, low word first.
local number = ffi.new "union { double f64; float f32; int64_t i64; uint64_t u64; uint32_t word[2]; }"

local M = {}

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
-- The value that an error is about.
local misfit
local put

local function refuse(value, what)
  misfit = value
  error("msgpack: cannot encode " .. what, 0)
end

local function put_foreign(value, depth)
  if not foreign_hook then refuse(value, tostring(value)) end
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
    refuse(value, "a " .. kind)
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

-- Where in value the wanted one is: ".a[2]", "" for itself; nil: it was not found.
local function place_in(value, wanted, depth)
  if rawequal(value, wanted) then return "" end
  if type(value) ~= "table" or depth > DEPTH_MAX then return nil end
  for key, inner in next, value do
    local step = type(key) == "string" and "." .. key or ("[%s]"):format(tostring(key))
    local place = rawequal(key, wanted) and "" or place_in(inner, wanted, depth + 1)
    if place then return step .. place end
  end
end

-- The message with the place in the value of what it is about.
local function placed(problem, value)
  local wanted = misfit
  misfit = nil
  local place = wanted ~= nil and place_in(value, wanted, 1) or ""
  if place == "" or type(problem) ~= "string" then return problem end
  return (problem:gsub("^msgpack: ", function(prefix) return prefix .. place .. ": " end))
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
  if not ok then error(placed(problem, value), 0) end
  return out, at
end

return M
