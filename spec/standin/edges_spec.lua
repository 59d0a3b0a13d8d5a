-- What seldom happens to the cuda device: machines that tell little of their links, memory of the host that runs out,
-- calls in an order that nobody would choose.
local ffi = require "ffi"
local C = require "spec.support.c"("device/device.h", "spec/support/probe.h")
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local new_rig = require "spec.support.rig"
local run_program = require "spec.parity.run"
local standin = require "spec.support.standin"
local check = new_rig.check

local MIB = 2 ^ 20
local LAUNCH_FAILURE = 719

local it_does = standin.it_does(it, pending)

local function message() return ffi.string(C.error_last().message) end
local function code() return ffi.string(C.error_code_name(C.error_last().code)) end

-- The number that a process of its own prints, by a script that has `open(index)`, a device's properties.
local function asked(environment, script)
  local path = os.tmpname()
  finally(function() os.remove(path) end)
  local file = assert(io.open(path, "w"))
  file:write([[
    package.path = "./lua/?.lua;./?.lua;" .. package.path
    local ffi = require "ffi"
    local C = require "spec.support.c"("device/device.h")
    local function open(index)
      local options = ffi.new("struct device_options", { memory_bytes = 2 ^ 24, index = index })
      return assert(C.device_open(C.DEVICE_KIND_CUDA, options))
    end
  ]], script)
  file:close()
  local pipe = io.popen(("%s '%s' %s 2>&1"):format(environment, standin.runner, path))
  local said = pipe:read "*a"
  pipe:close()
  return tonumber(said) or said
end

describe("the cuda device", function()
  local rig, cuda, errors = nil, standin.lib, standin.errors

  before_each(function()
    if cuda then rig = new_rig() end
  end)

  after_each(function()
    if not cuda then return end
    rig.close()
    cuda.standin_mend()
    cuda.standin_machine(4, 4 * 2 ^ 30)
    cuda.standin_restart()
    assert.equal(0, cuda.standin_misuses())
  end)

  local function open(index, options)
    options = options or {}
    options.index, options.memory_bytes = index, 64 * MIB
    return rig.open(options, C.DEVICE_KIND_CUDA)
  end

  describe("knows no switch", function()
    for what, path in pairs { ["without /sys"] = "", ["at a root"] = "/gpu", ["of no PCI address"] = "/sys/a/b/gpu" } do
      it_does(what, function()
        local said = asked(("STANDIN_SYSFS='%s'"):format(path), "print(C.device_properties(open(0)).switch_id)")
        assert.equal(C.DEVICE_NO_SWITCH, said)
      end)
    end
  end)

  it_does("finds the switch of a GPU whose address has letters", function()
    cuda.standin_machine(8, 2 ^ 30)
    local a, b = open(6), open(7)
    assert.are_not.equal(C.DEVICE_NO_SWITCH, C.device_properties(b).switch_id)
    assert.equal(C.device_properties(a).switch_id, C.device_properties(b).switch_id)
  end)

  it_does("counts links to a switch as links to every GPU", function()
    local rate = "print(tonumber(C.device_peer_rate(open(0), open(1))))"
    assert.equal(4 * 26562e6, asked("STANDIN_NVSWITCH=1", rate))
  end)

  it_does("takes a management library without its functions for none", function()
    assert.equal(0, asked("STANDIN_OLD_NVML=1", "print(tonumber(C.device_properties(open(0)).link_rate))"))
  end)

  it_does("says that `math` and `layout` are the first device's", function()
    local said = asked("", [[
      open(0)
      local options = ffi.new("struct device_options", { memory_bytes = 2 ^ 24, index = 1, math = C.DEVICE_MATH_TF32,
        layout = C.DEVICE_LAYOUT_NCHW })
      assert(C.device_open(C.DEVICE_KIND_CUDA, options))
    ]])
    assert.matches("math is fp32 as for the first device, not tf32", said)
    assert.matches("layout is auto as for the first device, not nchw", said)
  end)

  it_does("releases nothing where nothing was reserved", function()
    local device = open(0)
    local memory = rig.reserve(device, 2 * MIB)
    C.device_release(device, memory + 4096)
    C.device_release(device, memory)
    rig.reserve(device, 62 * MIB)
  end)

  -- A GPU has access to so many peers; copies from others are CUDA's to bring there.
  for _, refusal in ipairs { "cudaErrorPeerAccessAlreadyEnabled", "cudaErrorTooManyPeers" } do
    it_does("asks for access to a peer once, and copies all the same: " .. refusal, function()
      local a, b = open(0), open(1)
      local from, to = rig.reserve(b, 2 * MIB), rig.reserve(a, 2 * MIB)
      local stream = rig.stream(a, C.STREAM_COPY_IN)
      cuda.standin_fail("cudaDeviceEnablePeerAccess", 1, 1, errors[refusal])
      local function copy() return C.stream_copy_peer(stream, to, b, from, 4096) end
      check(copy())
      local calls = tonumber(cuda.standin_calls "cudaDeviceEnablePeerAccess")
      check(copy())
      assert.equal(calls, tonumber(cuda.standin_calls "cudaDeviceEnablePeerAccess"))
      check(C.stream_synchronize(stream))
    end)
  end

  it_does("tells of an event that is still to come, and waits for none that has", function()
    local device = open(0)
    local stream, other, event, probe = rig.stream(device), rig.stream(device), rig.event(device), rig.probe()
    check(C.stream_record(stream, event))
    check(C.stream_synchronize(stream))
    assert.equal(1, C.event_query(event))
    check(C.stream_wait(other, event))
    -- A callback that stays keeps the stream from going on.
    C.probe_close(probe)
    check(C.stream_notify(stream, C.probe_done_gated, probe))
    check(C.stream_record(stream, event))
    assert.equal(0, C.event_query(event))
    -- CUDA counts that as an error; whoever asks after a launch is not to find it.
    assert.equal(0, cuda.standin_last_error())
    C.probe_open(probe)
    check(C.stream_synchronize(stream))
    assert.equal(1, C.event_query(event))
  end)

  it_does("refuses another kind's event", function()
    local device = open(0)
    local stream, event = rig.stream(device), rig.event(rig.open())
    assert.equal(-1, C.stream_record(stream, event))
    assert.equal("FAILED_PRECONDITION", code())
    assert.matches("cannot use an event of", message())
    assert.equal(-1, C.stream_wait(stream, event))
  end)

  it_does("that cannot be opened again stays lost", function()
    local device = open(0)
    cuda.standin_lose(0, LAUNCH_FAILURE)
    assert.equal(-1, C.device_health(device))
    cuda.standin_fail("cudaEventCreateWithFlags", 1, 1, errors.cudaErrorMemoryAllocation)
    cuda.standin_fail("cudaMalloc", 1, 1, errors.cudaErrorMemoryAllocation)
    cuda.standin_fail("cudaInitDevice", 1, 1, errors.cudaErrorDevicesUnavailable or 46)
    assert.equal(-1, C.device_recover(device))
    assert.equal("UNAVAILABLE", code())
    assert.matches("cannot be opened again", message())
    assert.equal(-1, C.device_health(device))
    cuda.standin_mend()
    check(C.device_recover(device))
    check(C.device_health(device))
  end)

  it_does("has no memory of the host for what it is asked", function()
    local device = open(0)
    local stream = rig.stream(device)
    local function starved(name, call)
      cuda.standin_fail(name, 1, 1, 1)
      call()
      assert.equal("RESOURCE_EXHAUSTED", code())
      assert.matches("^no memory for", message())
      cuda.standin_mend()
    end
    starved("calloc", function() assert.is_true(C.event_new(device) == nil) end)
    starved("calloc", function() assert.is_true(C.stream_new(device, C.STREAM_COPY_IN) == nil) end)
    cuda.standin_fail("calloc", 2, 1, 1)
    assert.is_true(C.stream_new(device, C.STREAM_COMPUTE) == nil)
    cuda.standin_mend()
    starved("calloc", function() assert.equal(-1, C.device_reserve(device, 2 * MIB, ffi.new "void *[1]")) end)
    rig.reserve(device, 64 * MIB)
    local probe = rig.probe()
    starved("malloc", function() assert.equal(-1, C.stream_notify(stream, C.probe_done, probe)) end)
    starved("calloc", function()
      local options = ffi.new("struct device_options", { index = 1, memory_bytes = 64 * MIB })
      assert.is_true(C.device_open(C.DEVICE_KIND_CUDA, options) == nil)
    end)
  end)

  it_does("passes on a failed launch by an event, if there is memory for the error", function()
    local device = open(0)
    local stream, event, probe = rig.stream(device), rig.event(device), rig.probe()
    check(rig.launch(stream, { probe = probe, number = 1, code = C.ERR_INTERNAL }))
    cuda.standin_fail("malloc", 1, 1, 1)
    assert.equal(-1, C.stream_record(stream, event))
    assert.matches("^no memory for an event's error", message())
    cuda.standin_mend()
    check(C.stream_record(stream, event))
    local other = rig.stream(device)
    check(C.stream_wait(other, event))
    assert.equal(-1, C.stream_synchronize(other))
  end)

  it_does("stages by memory that it gives back with the stream, and says when there is none", function()
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    local input = graphs.input { 4, 5 }
    graphs.write(path, { input }, function(b, x) return b:node("Cast", { b:node("NonZero", { x }) }, { to = 1 }) end)
    local tensors = { { type = net.type(1, input.dims), data = ffi.new("float[?]", 20, input.values) } }
    local function staged()
      local own = new_rig()
      finally(function() own.close() end)
      local device = own.open({ index = 0, memory_bytes = 64 * MIB }, C.DEVICE_KIND_CUDA)
      local on = { device = device, stream = own.stream(device) }
      local ok, outputs = pcall(run_program, path, tensors, "cuda", nil, on)
      return ok and outputs[1].count or outputs
    end
    cuda.standin_fail("realloc", 1, 1, 1)
    assert.matches("no memory for staging", staged())
    cuda.standin_mend()
    cuda.standin_fail("cudaHostAlloc", 2, 1, errors.cudaErrorMemoryAllocation)
    assert.matches("cudaHostAlloc", staged())
    cuda.standin_mend()
    assert.equal(40, staged())
  end)
end)
