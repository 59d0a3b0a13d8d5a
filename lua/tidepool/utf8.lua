-- Whether bytes are UTF-8 (RFC 3629: no overlong forms, no surrogates).
local bit = require "bit"
local ffi = require "ffi"

local band, cast = bit.band, ffi.cast
local bytes_pointer = ffi.typeof "const uint8_t *"
local words_pointer = ffi.typeof "const uint32_t *"

-- By the first byte of a sequence: its length, and the least and the most that its second byte may be.
local function shape(lead)
  if lead >= 0xc2 and lead <= 0xdf then return 2, 0x80, 0xbf end
  if lead == 0xe0 then return 3, 0xa0, 0xbf end
  if lead == 0xed then return 3, 0x80, 0x9f end
  if lead >= 0xe1 and lead <= 0xef then return 3, 0x80, 0xbf end
  if lead == 0xf0 then return 4, 0x90, 0xbf end
  if lead >= 0xf1 and lead <= 0xf3 then return 4, 0x80, 0xbf end
  if lead == 0xf4 then return 4, 0x80, 0x8f end
  return 0
end

-- Length of the sequence at data[i]; 0 when there is none.
local function sequence_length(data, i, bytes)
  local lead = data[i]
  if lead < 0x80 then return 1 end
  local length, low, high = shape(lead)
  if length == 0 or i + length > bytes or data[i + 1] < low or data[i + 1] > high then return 0 end
  for k = i + 2, i + length - 1 do
    if band(data[k], 0xc0) ~= 0x80 then return 0 end
  end
  return length
end

local M = {}

function M.is_valid(text)
  local data, bytes, i = cast(bytes_pointer, text), #text, 0
  while i < bytes do
    -- Four bytes of ASCII at a time.
    if i + 4 <= bytes and band(cast(words_pointer, data + i)[0], 0x80808080) == 0 then
      i = i + 4
    else
      local length = sequence_length(data, i, bytes)
      if length == 0 then return false end
      i = i + length
    end
  end
  return true
end

return M
