-- Work in forked processes: all of it done, in whatever order, and a failure stays where it is.
local ffi = require "ffi"
local processes = require "tidepool.sim.processes"

ffi.cdef "int getpid(void); int kill(int pid, int signal);"

local function each(tasks, at_once, work)
  local results, messages = {}, {}
  processes.each(tasks, at_once, work, function(i, result, message)
    results[i], messages[i] = result, message
  end)
  return results, messages
end

describe("processes", function()
  it("does every task once, more than fit at once, and brings tables back", function()
    local tasks = {}
    for i = 1, 20 do tasks[i] = i end
    local results, messages = each(tasks, 3, function(task) return { square = task * task, pid = ffi.C.getpid() } end)
    assert.same({}, messages)
    for i = 1, 20 do
      assert.equal(i * i, results[i].square)
      assert.not_equal(ffi.C.getpid(), results[i].pid)
    end
  end)

  it("tells a failure from the others' results", function()
    local results, messages = each({ 1, 2, 3 }, 2, function(task)
      if task == 2 then error("not this one", 0) end
      return task
    end)
    assert.same({ 1, nil, 3 }, results)
    assert.same({ [2] = "not this one" }, messages)
  end)

  it("survives a process that is killed", function()
    local results, messages = each({ 1, 2 }, 2, function(task)
      if task == 1 then ffi.C.kill(ffi.C.getpid(), 9) end
      return task
    end)
    assert.same({ [2] = 2 }, results)
    assert.same({ "the process ended without an answer" }, messages)
  end)
end)
