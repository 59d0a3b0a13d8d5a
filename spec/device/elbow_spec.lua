local ffi = require "ffi"
local C = require "spec.support.c"("device/device.h", "device/elbow.h", "device/fault.h")
local new_rig = require "spec.support.rig"
local is_sanitized = require "spec.support.sanitizer"

local ROOM = 4 * 2 ^ 20

describe("elbow", function()
  local rig
  before_each(function() rig = new_rig() end)
  after_each(function() rig.close() end)

  local function measure(device)
    local stream = rig.stream(device, C.STREAM_COPY_IN)
    return tonumber(C.elbow_measure(device, stream, rig.reserve(device, ROOM), ROOM, 2 ^ 18))
  end

  it("is small where each copy costs nothing but its bytes", function()
    local elbow = measure(rig.open { memory_bytes = 16 * 2 ^ 20, link_rate = 1e9 })
    assert.is_true(elbow >= 256 * 2 ^ 10 and elbow <= ROOM)
  end)

  it("is large where each copy costs time of its own", function()
    local device = rig.open_faulty { memory_bytes = 16 * 2 ^ 20, link_rate = 8e8 }
    rig.plan(device, { slow_copy_us = 2000 })
    local elbow = measure(device)
    -- A sanitizer's copies take times of their own.
    assert.is_true(elbow >= 2 * 2 ^ 20 or is_sanitized, elbow)
  end)

  it("is an error where copies fail", function()
    local device = rig.open_faulty { memory_bytes = 16 * 2 ^ 20 }
    rig.plan(device, { fail_copy = 2 })
    assert.equal(0, measure(device))
    assert.equal(C.ERR_DATA_LOSS, C.error_last().code)
    assert.is_truthy(ffi.string(C.error_last().message))
  end)
end)
