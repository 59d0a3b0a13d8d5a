local ffi = require "ffi"
local C = require "spec.support.c"("base/error.h", "base/trace.h")

describe("trace", function()
  after_each(function()
    C.trace_stop()
    C.trace_free()
  end)

  local function put(fields)
    C.trace_put(ffi.new("struct trace_event", fields))
  end

  it("numbers each text once, and each row of each owner", function()
    local first, second = C.trace_name "copy", C.trace_name "wait"
    assert.is_true(first > 0 and second > 0 and first ~= second)
    assert.equal(first, C.trace_name "copy")
    assert.equal("wait", ffi.string(C.trace_text(second)))
    assert.equal(0, C.trace_name(nil))
    assert.is_true(C.trace_text(0) == nil and C.trace_text(C.trace_name_count() + 1) == nil)
    local row = C.trace_track("device 0", "compute")
    assert.equal(row, C.trace_track("device 0", "compute"))
    assert.not_equal(row, C.trace_track("device 1", "compute"))
    assert.equal("device 0", ffi.string(C.trace_track_owner(row)))
    assert.equal("compute", ffi.string(C.trace_track_row(row)))
  end)

  it("cuts texts that are too long, and finds them again", function()
    local long = ("x"):rep(500)
    local number = C.trace_name(long)
    assert.equal(number, C.trace_name(long))
    assert.equal(C.TRACE_TEXT_BYTES - 1, #ffi.string(C.trace_text(number)))
  end)

  it("keeps nothing while it is off", function()
    put { value = 1 }
    assert.is_false(C.trace_is_on())
    assert.equal(0, C.trace_start(10))
    assert.is_true(C.trace_is_on())
    local result = C.trace_stop()
    assert.equal(0, result.count)
    put { value = 2 }
    assert.equal(0, C.trace_stop().count)
  end)

  it("keeps what it has room for, in order, and counts the rest", function()
    assert.equal(0, C.trace_start(3))
    for i = 1, 5 do put { value = i, from = 10 * i, to = 10 * i + 5 } end
    local result = C.trace_stop()
    assert.equal(3, result.count)
    assert.equal(2, tonumber(result.dropped))
    for i = 0, 2 do assert.equal(i + 1, tonumber(result.events[i].value)) end
  end)

  it("is made one at a time", function()
    assert.equal(0, C.trace_start(3))
    assert.equal(-1, C.trace_start(3))
    assert.equal(C.ERR_FAILED_PRECONDITION, C.error_last().code)
  end)
end)
