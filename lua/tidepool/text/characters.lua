-- Characters of UTF-8 text as tokenizers look at them; what Unicode says of each comes from core/text/unicode.h and is
-- kept by code point.
local ffi = require "ffi"
local C = require "tidepool.worker.native"

local byte, char, floor = string.byte, string.char, math.floor

local M = {}

-- The UTF-8 of a code point.
function M.encode(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xc0 + floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return char(0xe0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(0xf0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64,
    0x80 + code % 64)
end

local REPLACEMENT = 0xfffd
-- By the first byte of a sequence: what follows it, its own bits, the least code point that is not overlong.
local function continuation(unit) return unit and unit >= 0x80 and unit < 0xc0 end

-- The code point at `at`, and where the next one is. Bytes that are no UTF-8 are each U+FFFD.
function M.next(text, at)
  local first, second, third, fourth = byte(text, at, at + 3)
  if first < 0x80 then return first, at + 1 end
  if not continuation(second) then return REPLACEMENT, at + 1 end
  if first >= 0xc2 and first < 0xe0 then return (first - 0xc0) * 64 + second - 0x80, at + 2 end
  if not continuation(third) then return REPLACEMENT, at + 1 end
  if first >= 0xe0 and first < 0xf0 then
    local code = (first - 0xe0) * 4096 + (second - 0x80) * 64 + third - 0x80
    if code >= 0x800 and (code < 0xd800 or code > 0xdfff) then return code, at + 3 end
  elseif first >= 0xf0 and first < 0xf5 and continuation(fourth) then
    local code = (first - 0xf0) * 262144 + (second - 0x80) * 4096 + (third - 0x80) * 64 + fourth - 0x80
    if code >= 0x10000 and code <= 0x10ffff then return code, at + 4 end
  end
  return REPLACEMENT, at + 1
end

local categories = {}

-- "Lu", "Nd", …
function M.category(code)
  local known = categories[code]
  if known then return known end
  local pair = C.unicode_category(code)
  known = char(floor(pair / 256), pair % 256)
  categories[code] = known
  return known
end

-- Unicode's White_Space.
local spaces = { [0x85] = true }
for code = 9, 13 do spaces[code] = true end
function M.is_space(code) return spaces[code] or M.category(code):byte() == 90 --[[ Z ]] end

-- P…, and ASCII's symbols.
function M.is_punctuation(code)
  if code < 128 then
    return code > 32 and code < 127 and not (code >= 48 and code < 58) and not (code >= 65 and code < 91)
      and not (code >= 97 and code < 123)
  end
  return M.category(code):byte() == 80 --[[ P ]]
end

function M.lower(code) return C.unicode_lower(code) end

local parts = ffi.new("int32_t[?]", C.UNICODE_PARTS_MAX)

-- A list of the code points that a character is made of.
function M.decompose(code)
  local list = {}
  for i = 1, C.unicode_decompose(code, parts) do list[i] = parts[i - 1] end
  return list
end

return M
