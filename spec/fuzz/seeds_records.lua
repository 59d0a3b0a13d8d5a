-- Writes the seeds of the fuzz target of workers' records: `luajit spec/fuzz/seeds_records.lua` in the root of the
-- source tree. The form of an input is in spec/fuzz/records.c.
package.path = "./lua/?.lua;./?.lua;" .. package.path
local ffi = require "ffi"
local msgpack = require "tidepool.msgpack"
local C = require "spec.support.c" "script/record.h"

-- A piece: what stands behind the header, padded to 8 bytes.
local function piece(kind, which, body, flags)
  body = body .. ("\0"):rep(-#body % 8)
  return string.char(kind, flags or 0, which, #body / 8) .. body
end

local function bytes_of(ctype, values) return ffi.string(ffi.new(ctype, values), ffi.sizeof(ctype)) end

-- What follows the header of a record_text.
local function text(payload, code, offset)
  return bytes_of("uint32_t[2]", { code or 0, 0 })
    .. bytes_of("uint64_t[2]", { offset or C.RECORD_HERE, #payload }) .. (offset and "" or payload)
end

local function call(kind, inputs, outputs, handle, rest)
  local body = string.char(kind, #inputs, #outputs, 0) .. bytes_of("uint32_t[1]", { handle })
  local ends = {}
  for _, number in ipairs(inputs) do ends[#ends + 1] = number end
  for _, number in ipairs(outputs) do ends[#ends + 1] = number end
  if #ends > 0 then body = body .. bytes_of(("uint32_t[%d]"):format(#ends + #ends % 2), ends) end
  return piece(C.RECORD_CALL, 0, body .. (rest or ""))
end

local tensor = bytes_of("struct call_tensor", { 1, 1, { 2 } }) .. bytes_of("uint64_t[2]", { C.RECORD_HERE, 8 })
  .. bytes_of("float[2]", { 1, 2 })

local seeds = {
  reply = piece(C.RECORD_REPLY, 0, text(msgpack.encode { a = { 1, 2, "x" } })),
  reply_in_heap = piece(C.RECORD_REPLY, 1, text(("x"):rep(16), 0, 0)),
  failed = piece(C.RECORD_FAILED, 0, text("it went wrong", 3)) .. piece(C.RECORD_FAILED, 1, text("spent", 8), 1),
  failed_to_load = piece(C.RECORD_FAILED, 3, text("no such field", 3)),
  log = piece(C.RECORD_LOG, 0, text "a line") .. piece(C.RECORD_LOG, 3, text "another"),
  batch = call(C.CALL_TENSOR, {}, {}, 1, tensor) .. call(C.CALL_MODEL, { 1 }, { 2 }, 0) .. call(C.CALL_GET, {}, {}, 2)
    .. piece(C.RECORD_BATCH, 0, ""),
  early = call(C.CALL_TENSOR, {}, {}, 1, tensor) .. piece(C.RECORD_BATCH, 0, "", C.RECORD_EARLY)
    .. call(C.CALL_GET, {}, {}, 1) .. piece(C.RECORD_BATCH, 0, ""),
  operation = call(C.CALL_TENSOR, {}, {}, 1, tensor)
    .. call(C.CALL_OPERATION, { 1 }, { 2 }, 0, "Softmax" .. ("\0"):rep(25)) .. call(C.CALL_FREE, {}, {}, 1),
  ask = piece(C.RECORD_ASK, 1, text(msgpack.encode(msgpack.array { "g", 1, msgpack.null }), 1)),
  part = piece(C.RECORD_PART, 1, text(msgpack.encode "part")) .. piece(C.RECORD_PART, 2, text(msgpack.encode(5))),
  release = piece(C.RECORD_RELEASE, 3, bytes_of("uint64_t[1]", { 4096 })),
  ready = piece(C.RECORD_READY, 3, ""),
  header = piece(0, 0, bytes_of("struct ring_record", { 64, 20, 0, 1, 0 })),
}

os.execute "mkdir -p spec/fuzz/seeds/records"
for name, bytes in pairs(seeds) do
  local file = assert(io.open("spec/fuzz/seeds/records/" .. name, "wb"))
  file:write(bytes)
  file:close()
end
