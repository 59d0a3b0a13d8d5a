-- What a script takes of the machine, over all of its workers.
local ffi = require "ffi"
local worker = require "spec.support.worker"

local C = worker.C
ffi.cdef "int sched_getscheduler(int pid);"
local SCHED_IDLE = 5

describe("a script's share", function()
  local rig

  before_each(function() rig = worker.rig() end)
  after_each(function() rig:delete() end)

  local function await(f)
    for _ = 1, 500 do
      if f() then return end
      C.rig_wait(rig.rig, 10)
    end
    error "it did not come about"
  end

  -- How the kernel schedules the script's worker; nil: its number is not known.
  local function policy_of(script)
    local pid = C.rig_worker_pid(script)
    return pid > 0 and C.sched_getscheduler(pid) or nil
  end

  it("of the processor makes its workers run behind all others, the next from their start", function()
    local heavy = rig:handler("if req == 'spin' then while true do end end return req",
      { timeout_ms = 150, workers_max = 1 })
    local light = rig:handler "return req"
    assert.equal(1, (rig:call(heavy, 1)))
    if not policy_of(heavy) then pending "workers' numbers are not known here" end
    assert.equal(0, policy_of(heavy))
    -- How often it has to spin for that is a matter of what else runs on the machine.
    await(function()
      assert.matches("DEADLINE_EXCEEDED", select(2, rig:call(heavy, "spin", 10000)))
      assert.equal(1, (rig:call(heavy, 1)))
      return policy_of(heavy) == SCHED_IDLE
    end)
    assert.equal(1, (rig:call(light, 1)))
    assert.equal(0, policy_of(light))
    -- It takes little now, and is as everybody again.
    await(function()
      rig:call(heavy, 1)
      return policy_of(heavy) == 0
    end)
  end)

  it("of new workers is bounded when it loses them: requests wait, and are served", function()
    local script = rig:handler("while true do print(('x'):rep(1000)) end", { log_bytes = 4096 })
    local began = os.time()
    local count = 60
    for _ = 1, count do
      assert.matches("logged more than its limit", select(2, rig:call(script, 1, 20000)))
    end
    -- Eight at once, and one each 20 ms from then on.
    local least = (count - 8) * 0.02
    assert.is_true(os.time() - began >= math.floor(least))
    assert.is_true(rig:stats(script).started <= count)
  end)
end)
