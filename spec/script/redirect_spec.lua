-- When a handler's calls go to the core: all together at the first wait, or earlier where it asks for that.
local ffi = require "ffi"
local worker = require "spec.support.worker"

local C = worker.C

describe("a handler's calls", function()
  local rig

  local function start(options)
    if rig then rig:delete() end
    rig = worker.rig(options)
  end

  before_each(function() start() end)
  after_each(function()
    rig:delete()
    rig = nil
  end)

  it("go as one batch at the first wait", function()
    assert.equal(3, rig:call(rig:handler [[
      local x = tide.tensor("INT32", { 1 }, { 3 })
      for _ = 1, 100 do x = x:abs() end
      return x:get()[1]
    ]], 0))
    assert.equal(1, C.rig_batches(rig.rig))
  end)

  it("go early with flush, in order, and the handler goes on", function()
    assert.equal(3, rig:call(rig:handler [[
      local x = tide.tensor("INT32", { 1 }, { 3 })
      for _ = 1, 100 do
        x = x:abs()
        tide.flush()
      end
      return x:get()[1]
    ]], 0))
    assert.equal(101, C.rig_batches(rig.rig))
    local last = 1
    for from, to in ffi.string(C.rig_calls(rig.rig)):gmatch "Abs <(%d+) >(%d+)" do
      assert.same({ last, last + 1 }, { tonumber(from), tonumber(to) })
      last = last + 1
    end
    assert.equal(101, last)
  end)

  it("have run when wait returns, though nothing comes back", function()
    assert.equal("done", rig:call(rig:handler [[
      local x = tide.tensor("INT32", { 1 }, { 3 })
      tide.wait()
      tide.flush()
      tide.wait()
      x:abs()
      tide.flush()
      tide.wait()
      tide.wait()
      return "done"
    ]], 0))
    assert.equal(3, C.rig_batches(rig.rig))
  end)

  it("have run before the reply goes, and their error is the request's", function()
    local body = "tide.tensor('INT32', { 1 }, { 3 }):abs() tide.flush() return 1"
    assert.equal(1, rig:call(rig:handler(body), 0))
    start { fail_batches = true }
    local _, problem = rig:call(rig:handler(body), 0)
    assert.equal("INVALID_ARGUMENT: batch refused", problem)
  end)

  it("raise what went wrong in early ones at the next wait, once", function()
    start { fail_batches = true }
    assert.same({ "false INVALID_ARGUMENT: batch refused", "true nil" }, (rig:call(rig:handler [[
      local x = tide.tensor("INT32", { 1 }, { 3 })
      for _ = 1, 3 do x = x:abs() tide.flush() end
      local function try()
        local ok, problem = pcall(tide.wait)
        return tostring(ok) .. " " .. tostring(problem)
      end
      return { try(), try() }
    ]], 0)))
  end)

  it("wait behind one that is out, and none is lost when the request is cancelled", function()
    start { hold_batches = true }
    local script = rig:handler [[
      local x = tide.tensor("INT32", { 1 }, { 3 })
      for _ = 1, 5 do x = x:abs() tide.flush() end
      return x:get()[1]
    ]]
    local request = rig:invoke(script, 0)
    C.rig_wait(rig.rig, 50)
    assert.equal(1, C.rig_batches(rig.rig))
    C.rig_cancel(rig.rig, request)
    C.rig_wait(rig.rig, 20)
    C.rig_release_batches(rig.rig)
    C.rig_wait(rig.rig, 20)
    assert.equal(1, C.rig_batches(rig.rig))
    local again = rig:invoke(script, 0)
    for _ = 1, 200 do
      C.rig_release_batches(rig.rig)
      C.rig_wait(rig.rig, 5)
      if C.rig_outcome(rig.rig, again) ~= 0 then break end
    end
    assert.equal(3, (rig:outcome(again)))
    assert.equal(7, C.rig_batches(rig.rig))
  end)
end)
