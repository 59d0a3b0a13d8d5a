local ffi = require "ffi"
local C = require "spec.support.c"("exec/parallel.h", "spec/support/probe.h")

-- This program, running that Lua text in an environment with these variables in front; what it prints.
local function run(environment, text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local runner = assert(io.popen "readlink /proc/$PPID/exe"):read "*l"
  local pipe = io.popen(("env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY %s %s %s"):format(environment, runner, path))
  local output = pipe:read "*a"
  pipe:close()
  os.remove(path)
  return output
end

local SETTLE = [[
  local ffi = require "ffi"
  ffi.cdef "void parallel_settle(char *const arguments[]);"
  local arguments = ffi.new("const char *[3]", { arg[-1], arg[0] })
  ffi.C.parallel_settle(ffi.cast("char *const *", arguments))
  print(os.getenv "GOMP_SPINCOUNT", os.getenv "OMP_WAIT_POLICY")
]]

describe("parallel", function()
  it("covers every element once, with as many threads as there is work for", function()
    for _, threads in ipairs { 1, 2, 3 } do
      for _, count in ipairs { 0, 1, 7, 1000 } do
        local marks, calls = ffi.new("int[?]", count + 1), 0
        -- One thread at a time may call Lua: parts are made to follow each other by a grain that leaves one.
        local part = ffi.cast("parallel_part_f *", function(_, first, last)
          calls = calls + 1
          for i = tonumber(first), tonumber(last) - 1 do marks[i] = marks[i] + 1 end
        end)
        C.parallel_for(threads, count, 1000, part, nil)
        part:free()
        for i = 0, count - 1 do assert.equal(1, marks[i]) end
        assert.equal(1, calls)
      end
    end
  end)

  it("lets helpers end", function()
    local function threads()
      local pipe = io.popen "ls /proc/$PPID/task | wc -l"
      local count = tonumber(pipe:read "*a")
      pipe:close()
      return count
    end
    -- Threads that were joined leave the list a moment later.
    local function settles_at(wanted)
      for _ = 1, 100 do
        if threads() == wanted then return true end
      end
      return false, threads()
    end
    -- With the first thread ThreadSanitizer starts one of its own, which stays.
    C.parallel_for(3, 3, 1, ffi.C.probe_part, nil)
    local before = threads() - 2
    C.parallel_rest()
    assert.is_true(settles_at(before))
    C.parallel_for(3, 3, 1, ffi.C.probe_part, nil)
    assert.equal(before + 2, threads())
    C.parallel_rest()
    assert.is_true(settles_at(before))
    C.parallel_for(3, 3, 1, ffi.C.probe_part, nil)
    assert.equal(before + 2, threads())
    C.parallel_rest()
  end)

  it("runs the program again with less spinning, once", function()
    assert.equal("10000\tnil\n", run("", SETTLE))
  end)

  it("leaves what the environment says", function()
    assert.equal("7\tnil\n", run("GOMP_SPINCOUNT=7", SETTLE))
    assert.equal("nil\tpassive\n", run("OMP_WAIT_POLICY=passive", SETTLE))
  end)
end)
