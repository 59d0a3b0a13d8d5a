local ffi = require "ffi"
local C = require "spec.support.c" "base/turn.h"

ffi.cdef "int sched_getscheduler(int pid); unsigned geteuid(void);"
local SCHED_OTHER, SCHED_IDLE = 0, 5

describe("turn", function()
  it("of one that answers quickly is as everybody's, but soon", function()
    assert.equal(0, C.turn_be_prompt(0))
    assert.equal(SCHED_OTHER, C.sched_getscheduler(0))
  end)

  it("of one that works for long comes last, until root takes that back", function()
    if C.geteuid() ~= 0 then pending "without root it would be for good" end
    assert.equal(0, C.turn_yield_to_all(0))
    assert.equal(SCHED_IDLE, C.sched_getscheduler(0))
    assert.equal(0, C.turn_be_prompt(0))
    assert.equal(SCHED_OTHER, C.sched_getscheduler(0))
  end)

  it("of a process that is not there is an error", function()
    assert.equal(-1, C.turn_be_prompt(2 ^ 30))
    assert.equal(-1, C.turn_yield_to_all(2 ^ 30))
  end)
end)
