-- Kernels, compiled for the CPU and run by the stand-in: small ones with known results, and what none may do.
local ffi = require "ffi"
local standin = require "spec.support.standin"
local random = require "spec.support.random"
local C = require "spec.support.c" "spec/standin/selftest.h"

local SIZES = { 1, 31, 32, 33, 128, 129, 1000, 4099 }

local it_does = standin.it_does(it, pending)

-- n whole numbers below limit, as an array of ctype.
local function numbers(n, limit, ctype)
  local next_random, list = random(n), ffi.new(ctype .. "[?]", n)
  for i = 0, n - 1 do list[i] = next_random(limit) end
  return list
end

local function total(values, n)
  local sum = 0
  for i = 0, n - 1 do sum = sum + values[i] end
  return sum
end

-- What a spec-runner of its own prints that runs this Lua, and how it ends.
local function apart(chunk)
  local script = os.tmpname()
  local file = assert(io.open(script, "w"))
  file:write('package.path = "./lua/?.lua;./?.lua;" .. package.path\nlocal cuda = require "spec.support.standin".lib\n',
    'local ffi = require "ffi"\nrequire "spec.support.c" "spec/standin/selftest.h"\n', chunk)
  file:close()
  local process = io.popen(("{ %s %s; echo status=$?; } 2>&1"):format(standin.runner, script))
  local output = process:read "*a"
  process:close()
  os.remove(script)
  return output:match "^(.*)status=(%d+)"
end

describe("kernels on the stand-in", function()
  local cuda, errors = standin.lib, standin.errors

  local function ok(status)
    assert.equal(0, status)
  end

  it_does("add up by shared memory, barriers, shuffles and atomics", function()
    for _, n in ipairs(SIZES) do
      local values, sum = numbers(n, 100, "float"), ffi.new "float[1]"
      ok(cuda.standin_sum_shared(values, n, sum))
      assert.equal(total(values, n), sum[0])
      ok(cuda.standin_sum_shuffled(values, n, sum))
      assert.equal(total(values, n), sum[0])
    end
  end)

  it_does("have blocks and grids of two dimensions", function()
    local rows, columns = 37, 50
    local from, to = numbers(rows * columns, 1000, "float"), ffi.new("float[?]", rows * columns)
    ok(cuda.standin_transpose(from, rows, columns, to))
    for y = 0, rows - 1 do
      for x = 0, columns - 1 do assert(from[y * columns + x] == to[x * rows + y]) end
    end
  end)

  it_does("count by atomics in shared and device memory", function()
    local n = 5000
    local bytes, counts, expected = numbers(n, 256, "uint8_t"), ffi.new "uint32_t[256]", ffi.new "uint32_t[256]"
    for i = 0, n - 1 do expected[bytes[i]] = expected[bytes[i]] + 1 end
    ok(cuda.standin_histogram(bytes, n, counts))
    for i = 0, 255 do assert(expected[i] == counts[i]) end
  end)

  it_does("have dynamic shared memory", function()
    local n = 300
    local values, sums, running = numbers(n, 50, "int32_t"), ffi.new("int32_t[?]", n), 0
    ok(cuda.standin_scan(values, n, sums))
    for i = 0, n - 1 do
      running = (i % 128 == 0 and 0 or running) + values[i]
      assert(sums[i] == running)
    end
  end)

  it_does("vote in warps", function()
    local n = 200
    local values, ranks, rank = numbers(n, 50, "int32_t"), ffi.new("int32_t[?]", n), 0
    ok(cuda.standin_odd_ranks(values, n, ranks))
    for i = 0, n - 1 do
      if i % 32 == 0 then rank = 0 end
      local is_odd = values[i] % 2 == 1
      assert(ranks[i] == (is_odd and rank or -1))
      if is_odd then rank = rank + 1 end
    end
  end)

  it_does("are captured into graphs over several streams, and replayed", function()
    local values, sum = numbers(1000, 10, "float"), ffi.new "float[1]"
    ok(cuda.standin_replay(values, 1000, 5, sum))
    assert.equal(5 * total(values, 1000), sum[0])
  end)

  it_does("are not captured in ways that CUDA refuses", function()
    assert.equal(errors.cudaErrorStreamCaptureUnjoined, cuda.standin_break_capture(0))
    assert.equal(errors.cudaErrorStreamCaptureIsolation, cuda.standin_break_capture(1))
    assert.equal(errors.cudaErrorStreamCaptureInvalidated, cuda.standin_break_capture(2))
    assert.equal(errors.cudaErrorStreamCaptureWrongThread, cuda.standin_break_capture(3))
  end)

  describe("that do what they must not", function()
    before_each(function()
      if cuda then cuda.standin_hush(true) end
    end)

    after_each(function()
      if not cuda then return end
      cuda.standin_hush(false)
      cuda.standin_restart()
      cuda.standin_misuses()
    end)

    local function commit(crime)
      local status = cuda.standin_commit(crime)
      return status, cuda.standin_misuses(), ffi.string(cuda.standin_misuse())
    end

    it_does("lose the device when threads miss a barrier", function()
      local status, count, why = commit(C.STANDIN_CRIME_DIVERGE)
      assert.equal(errors.cudaErrorLaunchFailure, status)
      assert.equal(1, count)
      assert.matches("^diverge, .*wait for others that do not come", why)
      local sum = ffi.new "float[1]"
      assert.equal(errors.cudaErrorLaunchFailure, cuda.standin_sum_shared(ffi.new "float[1]", 1, sum))
      cuda.standin_restart()
      ok(cuda.standin_sum_shared(ffi.new("float[1]", 3), 1, sum))
      assert.equal(3, sum[0])
    end)

    it_does("lose it when they meet though they were launched as flat", function()
      local status, _, why = commit(C.STANDIN_CRIME_FLAT_BARRIER)
      assert.equal(errors.cudaErrorLaunchFailure, status)
      assert.matches("a barrier in a kernel launched as flat", why)
    end)

    it_does("lose it by an illegal address", function()
      assert.equal(errors.cudaErrorIllegalAddress, (commit(C.STANDIN_CRIME_BEYOND)))
      cuda.standin_restart()
      assert.equal(errors.cudaErrorIllegalAddress, (commit(C.STANDIN_CRIME_NULL)))
    end)

    it_does("are seen by ThreadSanitizer to lack a barrier", function()
      local output, status = apart "cuda.standin_commit(ffi.C.STANDIN_CRIME_RACE)"
      if not standin.is_tsan then return assert.equal("0", status) end
      assert.equal("66", status)
      assert.matches("WARNING: ThreadSanitizer: data race.* in race", output)
    end)

    it_does("are not the only ones: the host that reads device memory crashes", function()
      if standin.is_tsan then return pending "ThreadSanitizer's build leaves device memory open" end
      local output, status = apart "cuda.standin_peek()"
      assert.matches("host code touches device memory", output)
      assert.are_not.equal("0", status)
    end)

    it_does("that misuse CUDA end the process with status 70, which says why", function()
      local output, status = apart "cuda.standin_commit(ffi.C.STANDIN_CRIME_HOST_POINTER)"
      assert.equal("70", status)
      assert.matches("standin: misuse: add_one: 0x%x+ is host memory", output)
      assert.matches("standin: 1 misuses of CUDA", output)
    end)

    it_does("are not launched with a host address or too large a block", function()
      local status, _, why = commit(C.STANDIN_CRIME_HOST_POINTER)
      assert.equal(errors.cudaErrorInvalidValue, status)
      assert.matches("^add_one: 0x%x+ is host memory", why)
      assert.equal(errors.cudaErrorInvalidConfiguration, (commit(C.STANDIN_CRIME_TOO_MANY_THREADS)))
    end)

    it_does("are not launched in blocks whose registers may not fit, unless they are compiled for such", function()
      assert.equal(errors.cudaErrorLaunchOutOfResources, (commit(C.STANDIN_CRIME_UNBOUNDED)))
      assert.equal(0, (commit(C.STANDIN_CRIME_BOUNDED)))
    end)

    it_does("are not launched on a stream of another device than the thread's", function()
      assert.equal(errors.cudaErrorInvalidResourceHandle, (commit(C.STANDIN_CRIME_OTHER_DEVICE)))
    end)
  end)
end)
