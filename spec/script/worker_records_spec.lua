-- A worker that was taken over may write what it likes into the ring: it is ended, and the next serves.
local ffi = require "ffi"
local worker = require "spec.support.worker"

local C = worker.C
require "spec.support.c" "script/record.h"

describe("records of a worker: nothing is trusted,", function()
  local rig, script, victim

  before_each(function()
    rig = worker.rig { hold_batches = true }
    script = rig:handler("if req == 1 then return tide.tensor('FP32', {1}, {4}):get() end return req",
      { models = { net = 2 } })
    assert.equal(2, (rig:call(script, 2)))
    victim = rig:invoke(script, 1)
    C.rig_wait(rig.rig, 50)
  end)

  after_each(function() rig:delete() end)

  -- The worker is ended, its request told so, and the next served.
  local function ends(pattern)
    assert.is_true(rig:run(2))
    local _, problem = rig:outcome(victim)
    assert.matches("^UNAVAILABLE: function \"f\": its worker broke the protocol and was ended: ", problem)
    assert.matches(pattern, problem)
    assert.equal(3, (rig:call(script, 3)))
    assert.equal(1, rig:stats(script).crashed)
  end

  local function forge(ctype, kind, fields)
    local record = ffi.new(ctype)
    for name, value in pairs(fields or {}) do record[name] = value end
    record.record.bytes, record.record.kind = math.ceil(ffi.sizeof(record) / 16) * 16, kind
    if record.record.request == 0 then record.record.request = C.rig_number(rig.rig, victim) end
    local padded = ffi.new("uint8_t[?]", record.record.bytes)
    ffi.copy(padded, record, ffi.sizeof(record))
    C.rig_forge(rig.rig, script, padded, record.record.bytes)
  end

  local function forge_payload(kind, offset, bytes, fields)
    fields = fields or {}
    fields.payload = { offset, bytes }
    forge("struct record_text", kind, fields)
  end

  it("positions", function()
    C.rig_forge_position(rig.rig, script, 2 ^ 30)
    ends "position"
  end)

  it("kinds", function()
    forge("struct record_text", 99)
    ends "kind 99"
  end)

  it("requests that are not there", function()
    forge_payload(C.RECORD_REPLY, C.RECORD_HERE, 0, { record = { request = 12345 } })
    ends "request 12345"
  end)

  it("payloads outside of record and heap", function()
    forge_payload(C.RECORD_REPLY, C.RECORD_HERE, 4096)
    ends "beyond its record"
  end)

  it("payloads outside of the heap", function()
    forge_payload(C.RECORD_REPLY, 2 ^ 40, 16)
    ends "outside the heap"
  end)

  it("payloads whose end overflows", function()
    forge_payload(C.RECORD_REPLY, 4096, ffi.cast("uint64_t", -4096))
    ends "outside the heap"
  end)

  it("replies that are no MessagePack", function()
    forge_payload(C.RECORD_REPLY, 0, 4096 * 4)
    ends "MessagePack"
  end)

  it("releases of what is not given out, or of the script", function()
    forge("struct record_release", C.RECORD_RELEASE, { offset = 0 })
    ends "offset 0"
  end)

  it("releases of what was not given out", function()
    forge("struct record_release", C.RECORD_RELEASE, { offset = 4096 * 1000 })
    ends "nothing was given out"
  end)

  it("calls and batches while a batch is out", function()
    forge("struct record_text", C.RECORD_BATCH)
    ends "while one is out"
  end)

  it("replies while a batch is out", function()
    local record = ffi.new("struct { struct record_text text; uint8_t value[16]; }")
    record.text.record.bytes, record.text.record.kind = 64, C.RECORD_REPLY
    record.text.record.request = C.rig_number(rig.rig, victim)
    record.text.payload = { C.RECORD_HERE, 1 }
    record.value[0] = 0xc0
    C.rig_forge(rig.rig, script, record, 64)
    ends "while a batch is out"
  end)
end)
