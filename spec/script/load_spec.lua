-- How many workers there are: one more where requests wait for one that is busy, none where there is nothing to do.
local ffi = require "ffi"
local worker = require "spec.support.worker"

local C = worker.C
ffi.cdef "int kill(int pid, int signal);"

describe("workers of a script", function()
  local rig

  after_each(function()
    if rig then rig:delete() end
    rig = nil
  end)

  local function await(f)
    for _ = 1, 1000 do
      if f() then return end
      C.rig_wait(rig.rig, 10)
    end
    error "it did not come about"
  end

  local function logged(text) return ffi.string(C.rig_logs(rig.rig)):find(text, 1, true) ~= nil end

  it("are more than one when one is busy: what it has not begun goes to the others", function()
    rig = worker.rig()
    local script = rig:handler("if req == 'spin' then print 'spins' while true do end end return req",
      { timeout_ms = 10000 })
    assert.equal(1, (rig:call(script, 1)))
    local spinning = rig:invoke(script, "spin")
    await(function() return logged "spins" end)
    -- They are in the ring of the worker that spins.
    local first = rig.ended
    local others = {}
    for i = 1, 50 do others[i] = rig:invoke(script, i) end
    assert.is_true(rig:run(first + 50, 5000))
    for i = 1, 50 do assert.equal(i, (rig:outcome(others[i]))) end
    assert.is_true(rig:stats(script).started >= 2)
    assert.equal("still running", select(2, rig:outcome(spinning)))
    C.rig_cancel(rig.rig, spinning)
  end)

  it("are at most workers_max; what waits is served when one of them is ended", function()
    rig = worker.rig()
    local script = rig:handler("if req == 'spin' then print 'spins' while true do end end return req",
      { timeout_ms = 500, workers_max = 1 })
    rig:invoke(script, "spin")
    await(function() return logged "spins" end)
    local waiting = rig:invoke(script, "waits")
    assert.is_true(rig:run(2, 10000))
    assert.equal("waits", (rig:outcome(waiting)))
    assert.equal(2, rig:stats(script).started)
  end)

  it("share work that takes long", function()
    rig = worker.rig()
    local script = rig:handler("local until_ = os.clock() + 0.02 while os.clock() < until_ do end return req",
      { workers_max = 3 })
    local requests = {}
    for i = 1, 60 do requests[i] = rig:invoke(script, i) end
    assert.is_true(rig:run(60, 20000))
    for i = 1, 60 do assert.same({ i }, { rig:outcome(requests[i]) }) end
    local started = rig:stats(script).started
    assert.is_true(started == 2 or started == 3, "started " .. started)
  end)

  it("that do not load fail what waits for them, though its time is shorter", function()
    rig = worker.rig()
    local script = assert(rig:script("return { setup = function() while true do end end, handler = print }",
      { timeout_ms = 200 }))
    assert.matches("did not load in time", select(2, rig:call(script, 1, 9000)))
  end)

  it("are kept when there are to be some always, and go when there are not", function()
    rig = worker.rig { idle_ms = 50 }
    local kept = rig:handler("return req", { workers_min = 2 })
    local passing = rig:handler("return req")
    assert.equal(1, (rig:call(passing, 1)))
    await(function() return rig:stats(kept).workers == 2 and rig:stats(passing).workers == 0 end)
    C.rig_wait(rig.rig, 300)
    assert.same({ 2, 0 }, { rig:stats(kept).workers, rig:stats(passing).workers })
  end)

  it("of all scripts are at most so many: the one idle longest makes room", function()
    rig = worker.rig { processes = 2 }
    local a, b, c = rig:handler "return 1", rig:handler "return 2", rig:handler "return 3"
    rig:call(a, 0)
    C.rig_wait(rig.rig, 20)
    rig:call(b, 0)
    C.rig_wait(rig.rig, 20)
    assert.equal(3, (rig:call(c, 0)))
    await(function() return rig:stats(a).workers == 0 end)
    assert.same({ 1, 1 }, { rig:stats(b).workers, rig:stats(c).workers })
  end)

  it("outlive nothing when the zygote is killed, and another takes its place", function()
    rig = worker.rig()
    local script = rig:handler("if req == 'spin' then print 'spins' while true do end end return req")
    assert.equal(1, (rig:call(script, 1)))
    for round = 1, 2 do
      local spinning = rig:invoke(script, "spin")
      await(function() return logged(("spins\n"):rep(round)) end)
      local unbegun = rig:invoke(script, "later")
      assert.equal(0, C.kill(C.rig_zygote_pid(), 9))
      assert.is_true(rig:run(rig.ended + 2, 10000))
      assert.matches("its worker died with the zygote", select(2, rig:outcome(spinning)))
      assert.same({ "later" }, { rig:outcome(unbegun) })
      assert.equal(round, (rig:call(script, round)))
      C.rig_wait(rig.rig, 1100)
    end
    local totals = ffi.new "struct worker_totals"
    C.worker_host_totals(C.rig_host(rig.rig), totals)
    assert.equal(2, tonumber(totals.zygotes_lost))
  end)
end)
