-- Floating-point numbers out of bytes that others wrote. LuaJIT keeps other kinds of value in what a NaN leaves free: a
-- NaN with unusual bits, read as it is, would be taken for one of these. Here every NaN becomes the usual one.
local bit = require "bit"
local ffi = require "ffi"

local band, cast = bit.band, ffi.cast
local words_pointer = ffi.typeof "const uint32_t *"
local floats_pointer = ffi.typeof "const float *"
local doubles_pointer = ffi.typeof "const double *"
local NAN = 0 / 0

local M = {}

-- Element i, from 0, of the floats at data.
function M.float(data, i)
  if band(cast(words_pointer, data)[i], 0x7fffffff) > 0x7f800000 then return NAN end
  return cast(floats_pointer, data)[i]
end

function M.double(data, i)
  local words = cast(words_pointer, data) + 2 * i
  local high = band(words[1], 0x7fffffff)
  if high > 0x7ff00000 or high == 0x7ff00000 and words[0] ~= 0 then return NAN end
  return cast(doubles_pointer, data)[i]
end

return M
