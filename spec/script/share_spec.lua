-- What a script takes of the machine, over all of its workers.
local bit = require "bit"
local ffi = require "ffi"
local worker = require "spec.support.worker"

local C = worker.C
ffi.cdef [[
int sched_getscheduler(int pid);
int sched_getaffinity(int pid, size_t bytes, void *set);
]]
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

  -- How many processors a process may run on; pid 0: this one.
  local function processors(pid)
    local set = ffi.new "uint64_t[16]"
    assert.equal(0, C.sched_getaffinity(pid, 128, set))
    local count = 0
    for word = 0, 15 do
      for b = 0, 63 do
        if bit.band(bit.rshift(set[word], b), 1) == 1 then count = count + 1 end
      end
    end
    return count
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

  it("leaves a processor to scripts that answer quickly, while these are used", function()
    local heavy = rig:handler("while true do end", { timeout_ms = 10000 })
    local light = rig:handler "return req"
    assert.equal(1, (rig:call(light, 1)))
    for _ = 1, 50 do
      if policy_of(light) then break end
      C.rig_wait(rig.rig, 10)
    end
    if not policy_of(light) then pending "workers' numbers are not known here" end
    local all = processors(0)
    if all < 2 then pending "there is one processor only" end
    rig:invoke(heavy, 1)
    await(function()
      for _ = 1, 30 do assert.equal(1, (rig:call(light, 1))) end
      return C.rig_worker_pid(heavy) > 0 and processors(C.rig_worker_pid(heavy)) == all - 1
    end)
    assert.equal(all, processors(C.rig_worker_pid(light)))
    await(function() return processors(C.rig_worker_pid(heavy)) == all end)
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
