-- What the parts of a program take on a GPU is timed by events, in a few of its first runs.
local ffi = require "ffi"
local client = require "tidepool.client"
local C = require "spec.support.c"("base/arena.h", "base/clock.h", "device/device.h", "exec/program.h",
  "model/model.h", "spec/support/probe.h")
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local nets = require "spec.support.nets"
local new_memory = require "spec.support.memory"
local new_rig = require "spec.support.rig"
local node = require "spec.support.node"
local standin = require "spec.support.standin"
local check = new_rig.check

ffi.cdef "int usleep(unsigned int us);"

local MIB = 2 ^ 20
-- The second product has 16 times the others' work.
local ROWS, NARROW, WIDE = 4, 64, 1024
-- After so many runs the times are known, and nothing is timed any more.
local ENOUGH = 9
-- And so many before are not timed.
local UNTIMED = 3
local LATE_MS = 100

local it_does = standin.it_does(it, pending)

describe("the parts of a program on CUDA", function()
  local cuda, errors = standin.lib, standin.errors
  local rig, device, stream, program, binding, keep, memory, path, model

  local function submit(ready, arena)
    check(C.program_submit(program, binding, stream, ready, arena))
  end

  local function run()
    local arena = ffi.new "struct arena"
    C.arena_create(arena, 0)
    submit(nil, arena)
    check(C.stream_synchronize(stream))
    C.arena_destroy(arena)
  end

  local function parts()
    local list = {}
    for i = 0, C.program_part_count(program) - 1 do list[i + 1] = tonumber(C.program_part(program, i).ns) end
    return list
  end

  local function output() return ffi.string(memory:get(keep.outputs[0], ROWS * NARROW * 4), ROWS * NARROW * 4) end

  before_each(function()
    if not cuda then return end
    rig = new_rig()
    device = rig.open({ index = 0, memory_bytes = 64 * MIB }, C.DEVICE_KIND_CUDA)
    stream = rig.stream(device)
    path = os.tmpname()
    local input = graphs.input { ROWS, NARROW }
    graphs.write(path, { input }, function(b, x)
      local y = b:linear(b:relu(b:linear(x, NARROW, WIDE)), WIDE, WIDE)
      return b:linear(b:relu(y), WIDE, NARROW)
    end)
    model = net.open(path, { kind = "cuda", group_bytes = 2 ^ 17 })
    program = net.compile(model, { net.type(1, input.dims) })
    memory = new_memory(device, stream)
    local image, info = C.model_image(model), C.program_info(program)
    keep = { groups = ffi.new("void *[?]", image.group_count), inputs = ffi.new "const void *[1]",
      outputs = ffi.new "void *[1]", x = ffi.new("float[?]", #input.values, input.values) }
    for i = 0, image.group_count - 1 do
      local group = image.groups[i]
      keep.groups[i] = memory:put(ffi.cast("char *", image.data) + group.offset, group.bytes)
    end
    keep.inputs[0] = memory:put(keep.x, ffi.sizeof(keep.x))
    keep.outputs[0] = memory:take(ROWS * NARROW * 4)
    binding = ffi.new("struct program_binding", { groups = keep.groups, inputs = keep.inputs, outputs = keep.outputs,
      workspace = memory:take(info.workspace_bytes) })
  end)

  after_each(function()
    if not cuda then return end
    cuda.standin_mend()
    memory:free()
    rig.close()
    os.remove(path)
    assert.equal(0, cuda.standin_misuses())
  end)

  it_does("are not known before it ran, and known after a few runs", function()
    for _, ns in ipairs(parts()) do assert.equal(0, ns) end
    local from = C.clock_now()
    for _ = 1, ENOUGH do run() end
    local all = tonumber(C.clock_now() - from)
    local known, longest = parts(), 1
    assert.equal(3, #known)
    local sum = 0
    for i, ns in ipairs(known) do
      assert.is_true(ns > 0)
      longest = ns > known[longest] and i or longest
      sum = sum + ns
    end
    assert.equal(2, longest)
    assert.is_true(sum < all)
    assert.equal(sum, tonumber(C.program_resident_ns(program, 0)))
  end)

  it_does("cost nothing once they are known", function()
    for _ = 1, ENOUGH do run() end
    local function calls()
      return tonumber(cuda.standin_calls "cudaEventRecord" + cuda.standin_calls "cudaEventQuery"
        + cuda.standin_calls "cudaEventElapsedTime")
    end
    local before, graphs_before = calls(), tonumber(cuda.standin_calls "cudaGraphLaunch")
    for _ = 1, 3 do run() end
    assert.equal(before, calls())
    assert.equal(graphs_before + 3, tonumber(cuda.standin_calls "cudaGraphLaunch"))
  end)

  it_does("are those of work, without what it waited for", function()
    local count = C.program_info(program).group_count
    local copies, arenas = rig.stream(device, C.STREAM_COPY_IN), {}
    for i = 1, ENOUGH do
      local gate, ready = rig.probe(), ffi.new("struct device_event *[?]", count)
      C.probe_close(gate)
      arenas[i] = ffi.new "struct arena"
      C.arena_create(arenas[i], 0)
      ready[count - 1] = rig.event(device)
      check(C.stream_notify(copies, C.probe_done_gated, gate))
      check(C.stream_record(copies, ready[count - 1]))
      submit(ready, arenas[i])
      ffi.C.usleep(LATE_MS * 1000)
      C.probe_open(gate)
      check(C.stream_synchronize(stream))
    end
    for _, arena in ipairs(arenas) do C.arena_destroy(arena) end
    -- The last part is what waited. It has a sixteenth of the work, all of which takes longer under ThreadSanitizer.
    local known = parts()
    assert.is_true(known[#known] > 0 and known[#known] < LATE_MS * 1e6, known[#known])
  end)

  it_does("are waited for by nobody: a run that is put before the last is over is not timed", function()
    for _ = 1, UNTIMED do run() end
    local gate, arenas = rig.probe(), {}
    C.probe_close(gate)
    check(C.stream_notify(stream, C.probe_done_gated, gate))
    for i = 1, 2 do
      arenas[i] = ffi.new "struct arena"
      C.arena_create(arenas[i], 0)
      submit(nil, arenas[i])
    end
    for _, ns in ipairs(parts()) do assert.equal(0, ns) end
    C.probe_open(gate)
    check(C.stream_synchronize(stream))
    for _, arena in ipairs(arenas) do C.arena_destroy(arena) end
    run()
    for _, ns in ipairs(parts()) do assert.is_true(ns > 0) end
  end)

  it_does("stay unknown where an event fails, and the run is right", function()
    for _ = 1, UNTIMED do run() end
    local want = output()
    local function fails(name, error)
      cuda.standin_fail(name, 1, 1000, error or errors.cudaErrorInvalidValue)
      run()
      assert.is_true(output() == want, name)
      cuda.standin_mend()
    end
    fails("realloc", 1)
    fails "cudaEventCreateWithFlags"
    fails "cudaEventRecord"
    fails "cudaEventElapsedTime"
    fails "cudaEventQuery"
    run()
    for _, ns in ipairs(parts()) do assert.equal(0, ns) end
  end)

  it_does("stay unknown where an event cannot be asked", function()
    for _ = 1, UNTIMED do run() end
    cuda.standin_fail("cudaEventElapsedTime", 1, 1000, errors.cudaErrorInvalidValue)
    for _ = 1, ENOUGH do run() end
    assert.matches("cudaEventElapsedTime", ffi.string(cuda.standin_failed()))
    for _, ns in ipairs(parts()) do assert.equal(0, ns) end
  end)

  it_does("are nobody's when the stream goes before they were read", function()
    for _ = 1, UNTIMED + 1 do run() end
    for _, ns in ipairs(parts()) do assert.equal(0, ns) end
  end)
end)

describe("a node with a GPU", function()
  local WIDTH, LAYERS, ASKS = 1024, 3, 8

  it_does("keeps less than all of a model whose run hides the rest's copy", function()
    local running = node.start { devices = { { kind = "cuda", memory = "64M" } }, group = "2M" }
    local c = running:connect { timeout = 60 }
    assert(c:call("function.deploy", {
      name = "m", source = "return { models = { net = 'm.onnx' } }",
      models = { net = { data = client.bin(nets.mlp(1, WIDTH, LAYERS)) } },
    }))
    local function described()
      for _, each in ipairs(assert(c:call "model.list")) do
        if each.name == "m/net" then return each end
      end
    end
    local row = client.tensor("FP32", { 1, WIDTH }, nets.row(1, WIDTH))
    assert.equal(described().groups, described().prefix_groups)
    for _ = 1, ASKS do
      assert(c:invoke("m", row))
      -- What follows a run reads the times of it.
      assert(c:call("model.trim", { name = "m/net", device = 0 }))
    end
    local model = described()
    assert.is_true(model.prefix_groups < model.groups)
    assert.equal(0, running:stop())
  end)
end)
