-- Finds where MessagePack values end in bytes that arrive piece by piece: the twin of core/net/framer.c for the client.
-- Each tag is looked at once, however the bytes are cut.
local bit = require "bit"
local ffi = require "ffi"

local bswap, cast = bit.bswap, ffi.cast
local const_u32_pointer = ffi.typeof "const uint32_t *"

-- What a tag byte announces: nothing beyond its field, bytes, elements, pairs, bytes with a type byte; or it is 0xc1.
local PLAIN, BYTES, ARRAY, MAP, EXT, INVALID = 0, 1, 2, 3, 4, 5

-- By tag: what it announces, bytes of the field after it, and the count or length when that is in the tag itself.
local class, field, fixed = ffi.new "uint8_t[256]", ffi.new "uint8_t[256]", ffi.new "uint8_t[256]"

local function describe(first, last, what, bytes, mask)
  for tag = first, last do
    class[tag], field[tag], fixed[tag] = what, bytes, mask and bit.band(tag, mask) or 0
  end
end

describe(0x80, 0x8f, MAP, 0, 0x0f)
describe(0x90, 0x9f, ARRAY, 0, 0x0f)
describe(0xa0, 0xbf, BYTES, 0, 0x1f)
describe(0xc1, 0xc1, INVALID, 0)
for i = 0, 2 do
  describe(0xc4 + i, 0xc4 + i, BYTES, 2 ^ i)
  describe(0xc7 + i, 0xc7 + i, EXT, 2 ^ i)
  describe(0xd9 + i, 0xd9 + i, BYTES, 2 ^ i)
end
describe(0xca, 0xca, PLAIN, 4)
describe(0xcb, 0xcb, PLAIN, 8)
for i = 0, 3 do
  describe(0xcc + i, 0xcc + i, PLAIN, 2 ^ i)
  describe(0xd0 + i, 0xd0 + i, PLAIN, 2 ^ i)
end
for i = 0, 4 do
  describe(0xd4 + i, 0xd4 + i, EXT, 0)
  fixed[0xd4 + i] = 2 ^ i
end
for i = 0, 1 do
  describe(0xdc + i, 0xdc + i, ARRAY, 2 * 2 ^ i)
  describe(0xde + i, 0xde + i, MAP, 2 * 2 ^ i)
end

local function read_field(at, bytes)
  if bytes == 1 then return at[0] end
  if bytes == 2 then return at[0] * 256 + at[1] end
  local value = bswap(cast(const_u32_pointer, at)[0])
  return value < 0 and value + 2 ^ 32 or value
end

local Framer = {}
Framer.__index = Framer

-- Values of up to that many bytes.
local function new(bytes_max)
  return setmetatable({ bytes_max = bytes_max, next = 0, depth = 0, left = {} }, Framer)
end

-- The innermost container got a value: close all that are full by it.
local function end_value(self)
  local left, depth = self.left, self.depth
  while depth > 0 do
    left[depth] = left[depth] - 1
    if left[depth] > 0 then break end
    depth = depth - 1
  end
  self.depth = depth
end

local function take(self, what, count, header)
  local payload, children = 0, 0
  if what == BYTES then
    payload = count
  elseif what == EXT then
    payload = count + 1
  elseif what == ARRAY then
    children = count
  elseif what == MAP then
    children = 2 * count
  end
  self.next = self.next + header + payload
  if children == 0 then return end_value(self) end
  self.depth = self.depth + 1
  self.left[self.depth] = children
end

-- data points at the value's first byte, bytes have arrived: the value's length once it is whole, nil before; nil and a
-- message when the bytes have no meaning.
function Framer:scan(data, bytes)
  while self.next == 0 or self.depth > 0 do
    local at = self.next
    if at >= bytes then return nil end
    local tag = data[at]
    local what, size = class[tag], field[tag]
    if at + 1 + size > bytes then return nil end
    if what == INVALID then return nil, ("byte %d is 0xc1, which is no MessagePack"):format(at) end
    local count = fixed[tag]
    if what ~= PLAIN and size > 0 then count = read_field(data + at + 1, size) end
    take(self, what, count, 1 + size)
    if self.next > self.bytes_max then return nil, ("over %d bytes in one message"):format(self.bytes_max) end
  end
  if self.next > bytes then return nil end
  local length = self.next
  self.next = 0
  return length
end

return { new = new }
