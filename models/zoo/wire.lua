-- Protocol Buffers' wire format: serialized fields as strings, which concatenate to messages.
local ffi = require "ffi"

local M = {}

function M.varint(number)
  local bytes = {}
  number = ffi.cast("uint64_t", ffi.cast("int64_t", number))
  repeat
    local low = tonumber(number % 128)
    number = number / 128
    bytes[#bytes + 1] = string.char(number ~= 0 and low + 128 or low)
  until number == 0
  return table.concat(bytes)
end

function M.key(field, kind) return M.varint(field * 8 + kind) end
function M.int(field, number) return M.key(field, 0) .. M.varint(number) end
function M.bytes(field, text) return M.key(field, 2) .. M.varint(#text) .. text end
function M.float(field, number) return M.key(field, 5) .. ffi.string(ffi.new("float[1]", number), 4) end

return M
