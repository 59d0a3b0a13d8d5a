-- Every call that the cuda device makes fails once, in turn, by an error that passes and by one that ends the context:
-- what was going on ends with an error that says so, nothing hangs, and all that was open can be closed.
local ffi = require "ffi"
local C = require "spec.support.c"("device/device.h", "spec/support/probe.h")
local new_rig = require "spec.support.rig"
local standin = require "spec.support.standin"
local check = new_rig.check

local MIB = 2 ^ 20
-- Calls, and work of streams, that are surely among them.
local CALLS = {
  "cudaGetDeviceCount", "cudaInitDevice", "cudaSetDevice", "cudaGetDeviceProperties", "cudaMemGetInfo", "cudaMalloc",
  "cudaFree", "cudaHostAlloc", "cudaFreeHost", "cudaHostRegister", "cudaHostUnregister", "cudaStreamCreateWithPriority",
  "cudaStreamDestroy", "cudaEventCreateWithFlags", "cudaEventDestroy", "cudaEventRecord", "cudaEventQuery",
  "cudaStreamWaitEvent", "cudaMemcpyAsync", "cudaMemcpyPeerAsync", "cudaDeviceEnablePeerAccess", "cudaLaunchHostFunc",
  "work:copy", "work:host",
}
local WAIT_MS = 10000
local EXPECTED = { RESOURCE_EXHAUSTED = true, INTERNAL = true, UNAVAILABLE = true, NOT_FOUND = true,
  FAILED_PRECONDITION = true }

local it_does = standin.it_does(it, pending)

-- Waits as a node does: nobody is called back by a device that is lost, so somebody looks now and then.
local function wait(rig, device, on)
  local seen = rig.probe()
  if C.stream_notify(on, C.probe_done, seen) ~= 0 then return -1 end
  for _ = 1, WAIT_MS do
    if C.probe_wait(seen, 1, 1) then return seen.error.code == C.ERR_OK and 0 or C.error_restore(seen.error) end
    C.device_health(device)
  end
  error "a stream neither ends nor is lost"
end

-- What a node does with two devices, in small: memory, registered memory, copies in, out and from a peer, events,
-- notifies.
local function work(rig)
  local function open(index)
    return rig.open({ index = index, memory_bytes = 64 * MIB }, C.DEVICE_KIND_CUDA)
  end
  local a, b = open(0), open(1)
  local bytes = 4096
  local compute, copy, peer = rig.stream(a), rig.stream(a, C.STREAM_COPY_IN), rig.stream(b, C.STREAM_COPY_IN)
  local there, seen = rig.event(a), rig.probe()
  local memory, other = rig.reserve(a, 2 * MIB), rig.reserve(b, 2 * MIB)
  local from = C.device_host_alloc(a, bytes)
  if from == nil then error(ffi.string(C.error_last().message), 0) end
  rig.finally(function() C.device_host_free(a, from) end)
  local to = rig.keep(ffi.new("uint8_t[?]", bytes))
  check(C.device_host_register(a, to, bytes))
  rig.finally(function() C.device_host_unregister(a, to) end)
  ffi.fill(from, bytes, 0x5a)
  check(C.stream_copy_in(copy, memory, from, bytes))
  check(C.stream_record(copy, there))
  check(C.stream_wait(compute, there))
  check(C.stream_wait(peer, there))
  check(C.stream_copy_peer(peer, other, a, memory, bytes))
  check(rig.launch(compute, { probe = seen, number = 1 }))
  check(C.stream_copy_out(compute, to, memory, bytes))
  rig.notify(compute, seen)
  check(wait(rig, a, compute))
  check(wait(rig, b, peer))
  if C.event_query(there) ~= 1 then error(ffi.string(C.error_last().message), 0) end
  check(C.device_health(a))
  C.device_release(a, memory)
  assert(to[bytes - 1] == 0x5a)
end

-- A rig whose close first waits for its streams and does what rig.finally was given.
local function rig_with_finally()
  local rig, last, streams = new_rig(), {}, {}
  local close, stream = rig.close, rig.stream
  function rig.finally(f) last[#last + 1] = f end
  function rig.stream(device, kind)
    streams[#streams + 1] = { device = device, on = stream(device, kind) }
    return streams[#streams].on
  end
  function rig.close()
    for _, each in ipairs(streams) do wait(rig, each.device, each.on) end
    for i = #last, 1, -1 do last[i]() end
    close()
  end
  return rig
end

describe("a failing call of CUDA", function()
  local cuda, errors = standin.lib, standin.errors

  after_each(function()
    if not cuda then return end
    cuda.standin_mend()
    cuda.standin_restart()
    assert.equal(0, cuda.standin_misuses())
  end)

  -- One run of body with the nth call of that name failing: which it was, nil when there were fewer.
  local function strike(name, nth, status, body)
    cuda.standin_fail(name, nth, 1, status)
    local ok, message = pcall(body)
    local failed = ffi.string(cuda.standin_failed())
    local code = ffi.string(C.error_code_name(C.error_last().code))
    cuda.standin_mend()
    if failed == "" then
      assert(ok, message)
      return nil
    end
    if not ok then assert(EXPECTED[code], ("%s failed: %s: %s"):format(failed, code, message)) end
    return failed
  end

  for _, status in ipairs { "cudaErrorMemoryAllocation", "cudaErrorInvalidValue", "cudaErrorLaunchFailure" } do
    it_does("by " .. status .. " ends what a device does, and can be cleaned up after", function()
      local function body()
        local rig = rig_with_finally()
        local ok, message = pcall(work, rig)
        rig.close()
        cuda.standin_restart()
        if not ok then error(message, 0) end
      end
      local nth = 1
      while strike("*", nth, errors[status], body) do nth = nth + 1 end
      assert.is_true(nth > #CALLS)
      for _, name in ipairs(CALLS) do assert.equal(name, strike(name, 1, errors[status], body)) end
    end)
  end
end)
