-- Base64 (RFC 4648, the standard alphabet).
local misuse = require "tidepool.misuse"
local shown = require "tidepool.shown"

local byte, char, concat, find = string.byte, string.char, table.concat, string.find
local rshift, band, lshift, bor = bit.rshift, bit.band, bit.lshift, bit.bor

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
-- Characters by number, and pairs of them by twelve bits; and back.
local letters, pairs_of, numbers = {}, {}, {}
for i = 0, 63 do
  letters[i] = ALPHABET:sub(i + 1, i + 1)
  numbers[byte(letters[i])] = i
end
for i = 0, 4095 do pairs_of[i] = letters[rshift(i, 6)] .. letters[band(i, 63)] end

local M = {}

local function need_string(value, what)
  if type(value) ~= "string" then misuse("%s: takes a string, not %s", what, shown(value)) end
end

-- The text of a string's bytes, padded.
function M.encode(bytes)
  need_string(bytes, "base64.encode")
  local out, count, whole = {}, 0, #bytes - #bytes % 3
  for at = 1, whole, 3 do
    local a, b, c = byte(bytes, at, at + 2)
    local bits = bor(lshift(a, 16), lshift(b, 8), c)
    out[count + 1], out[count + 2] = pairs_of[rshift(bits, 12)], pairs_of[band(bits, 4095)]
    count = count + 2
  end
  local a, b = byte(bytes, whole + 1, whole + 2)
  if b then
    local bits = lshift(bor(lshift(a, 8), b), 2)
    out[count + 1] = pairs_of[rshift(bits, 6)] .. letters[band(bits, 63)] .. "="
  elseif a then
    out[count + 1] = pairs_of[lshift(a, 4)] .. "=="
  end
  return concat(out)
end

-- The bytes of a text, which may be broken into lines and need not be padded; nil and a message for anything else.
function M.decode(text)
  need_string(text, "base64.decode")
  text = text:gsub("[\r\n]", ""):gsub("=?=$", "")
  local wrong = find(text, "[^%w+/]")
  if wrong then return nil, ("base64: character %d is none of the alphabet"):format(wrong) end
  if #text % 4 == 1 then return nil, "base64: the text is cut off" end
  local out, count = {}, 0
  for at = 1, #text, 4 do
    local a, b, c, d = byte(text, at, at + 3)
    local bits = bor(lshift(numbers[a], 18), lshift(numbers[b], 12), lshift(numbers[c] or 0, 6), numbers[d] or 0)
    count = count + 1
    if d then
      out[count] = char(rshift(bits, 16), band(rshift(bits, 8), 255), band(bits, 255))
    elseif c then
      out[count] = char(rshift(bits, 16), band(rshift(bits, 8), 255))
    else
      out[count] = char(rshift(bits, 16))
    end
  end
  return concat(out)
end

return M
