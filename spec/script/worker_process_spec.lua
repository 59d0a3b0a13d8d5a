-- A worker's process ends, and what it had is told, taken back or done by another.
local ffi = require "ffi"
local worker = require "spec.support.worker"

local C = worker.C
ffi.cdef "int kill(int pid, int signal);"

describe("a worker's process", function()
  local rig

  before_each(function() rig = worker.rig { hold_batches = true } end)

  after_each(function()
    rig:delete()
  end)

  it("kill -9 while requests run fails them with the signal, and the next gets a fresh worker", function()
    local script = rig:handler("if req == 1 then return tide.tensor('FP32', {1}, {4}):get() end return req")
    local other = rig:handler("return req", { name = "other" })
    assert.equal(7, (rig:call(other, 7)))
    local victims = {}
    for _, pid in ipairs(worker.pids()) do victims[pid] = true end
    local first, second = rig:invoke(script, 1), rig:invoke(script, 1)
    for _ = 1, 200 do
      if C.rig_batches(rig.rig) >= 2 then break end
      C.rig_wait(rig.rig, 50)
    end
    for _, pid in ipairs(worker.pids()) do
      if not victims[pid] then assert.equal(0, C.kill(pid, 9)) end
    end
    assert.is_true(rig:run(3))
    for _, request in ipairs { first, second } do
      assert.equal('UNAVAILABLE: function "f": its worker was killed by signal 9 (Killed) while the request ran',
        select(2, rig:outcome(request)))
    end
    assert.equal(2, (rig:call(script, 2)))
    assert.equal(8, (rig:call(other, 8)))
    assert.equal(1, rig:stats(other).started)
    assert.equal(1, rig:stats(script).crashed)
  end)

  it("one that has no request and does not read what was taken back from it makes way for a fresh one", function()
    local script = rig:handler("return req", { workers_max = 1 })
    assert.equal(1, (rig:call(script, 1)))
    for _, pid in ipairs(worker.pids()) do assert.equal(0, C.kill(pid, 19)) end -- SIGSTOP
    for i = 1, 4000 do C.rig_cancel(rig.rig, rig:invoke(script, i)) end
    assert.equal(2, (rig:call(script, 2)))
    assert.equal(2, rig:stats(script).started)
  end)

  it("a batch that is out stays whole until it is done, though its worker has died", function()
    local script = rig:handler "return #tide.tensor('INT32', { 100000 }):get()"
    rig:invoke(script, 1)
    C.rig_wait(rig.rig, 100)
    for _, pid in ipairs(worker.pids()) do C.kill(pid, 9) end
    assert.is_true(rig:run(1))
    C.rig_release_batches(rig.rig)
    assert.equal("tensor 1\nget 1\n", ffi.string(C.rig_calls(rig.rig)))
    assert.equal(100000, (rig:call(script, 1)))
  end)

  it("a cancelled request gets no event, and its place is free again", function()
    local script = rig:handler("if req == 1 then return tide.tensor('FP32', {1}, {4}):get() end return req",
      { concurrency = 1 })
    local request = rig:invoke(script, 1)
    C.rig_wait(rig.rig, 50)
    local waiting = rig:invoke(script, 1)
    C.rig_cancel(rig.rig, waiting)
    C.rig_cancel(rig.rig, request)
    assert.equal(2, (rig:call(script, 2)))
    assert.equal("still running", select(2, rig:outcome(request)))
    assert.equal("still running", select(2, rig:outcome(waiting)))
    assert.equal(0, rig:stats(script).requests)
  end)

  it("a cancelled request's handler may end in order, and log it, within its limit", function()
    local script = rig:handler([[
      local ok, problem = pcall(function() return tide.tensor('FP32', {1}, {4}):get() end)
      print("ended", ok, problem)
      for i = 1, req do print(("x"):rep(400)) end]], { log_bytes = 1024 })
    local request = rig:invoke(script, 100)
    C.rig_wait(rig.rig, 50)
    C.rig_cancel(rig.rig, request)
    local deadline = os.time() + 10
    repeat C.rig_wait(rig.rig, 20) until rig:stats(script).requests == 0 or os.time() > deadline
    C.rig_wait(rig.rig, 50)
    assert.matches("^ended\tfalse\tCANCELLED: the request was cancelled\nx+\nx+\n$", ffi.string(C.rig_logs(rig.rig)))
    assert.equal(0, rig:stats(script).crashed)
  end)

  it("a retired script finishes its requests, then its workers end", function()
    local script = rig:handler "return tide.tensor('FP32', {1}, {4}):get()[1]"
    local request = rig:invoke(script, 1)
    C.rig_wait(rig.rig, 50)
    C.worker_script_retire(script)
    assert.equal(1, worker.await_pids(1))
    C.rig_release_batches(rig.rig)
    assert.is_true(rig:run(1))
    assert.equal(4, (rig:outcome(request)))
    C.rig_wait(rig.rig, 100)
    assert.equal(0, worker.await_pids(0))
  end)

  it("idle ones are retired", function()
    rig:delete()
    rig = worker.rig { idle_ms = 100 }
    local script = rig:handler "return 1"
    rig:call(script, 1)
    assert.equal(1, rig:stats(script).workers)
    C.rig_wait(rig.rig, 400)
    assert.equal(0, rig:stats(script).workers)
    assert.equal(0, rig:stats(script).crashed)
    assert.equal(1, (rig:call(script, 1)))
  end)
end)
