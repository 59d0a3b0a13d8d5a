local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local C = ffi.C

local DIMS = { 1, 3, 40, 40 }

local function make(b, x)
  local y = b:relu(b:batch_norm(b:conv(x, 3, 32, { kernel = 3, pad = 1 }), 32))
  y = b:add(y, b:conv(y, 32, 32, { kernel = 3, pad = 1 }))
  y = b:max_pool(y, { kernel = 2, stride = 2 })
  return b:softmax(b:linear(b:flatten(b:conv(y, 32, 8, { kernel = 3, bias = true })), 8 * 18 * 18, 100))
end

describe("program", function()
  local path, model, program, image, info, input, keep

  -- Memory and addresses of one run, groups read from where they lie in the image.
  local function bind()
    local run = { binding = ffi.new "struct program_binding", arena = ffi.new "struct arena" }
    C.arena_create(run.arena, 0)
    local function memory(bytes)
      local address, block = net.memory(bytes)
      run[#run + 1] = block
      return address
    end
    run.groups = ffi.new("void *[?]", image.group_count)
    for i = 0, image.group_count - 1 do run.groups[i] = ffi.cast("void *", image.data + image.groups[i].offset) end
    run.inputs, run.outputs = ffi.new "const void *[1]", ffi.new "void *[1]"
    local x = memory(C.tensor_bytes(info.inputs[0]))
    for i, value in ipairs(input.values) do ffi.cast("float *", x)[i - 1] = value end
    run.inputs[0] = x
    run.outputs[0] = memory(400)
    run.types = ffi.new "struct tensor_type[1]"
    run.binding.groups, run.binding.inputs, run.binding.outputs = run.groups, run.inputs, run.outputs
    run.binding.workspace, run.binding.output_types = memory(info.workspace_bytes), run.types
    run.memory = memory
    keep[#keep + 1] = run
    return run
  end

  local function result(run) return ffi.string(run.outputs[0], 400) end

  local function submit(run, stream, ready)
    if C.program_submit(program, run.binding, stream, ready, run.arena) ~= 0 then net.fail() end
  end

  local function synchronize(stream) if C.stream_synchronize(stream) ~= 0 then net.fail() end end

  local function setup(threads)
    path = os.tmpname()
    input = graphs.input(DIMS)
    graphs.write(path, { input }, make)
    model = net.open(path, { threads = threads, group_bytes = 2000 })
    program = net.compile(model, { net.type(1, DIMS) })
    image, info = C.model_image(model), C.program_info(program)
  end

  before_each(function() keep = {} end)

  after_each(function()
    for _, run in ipairs(keep) do C.arena_destroy(run.arena) end
    os.remove(path)
  end)

  it("knows what it costs and is made of", function()
    setup(1)
    assert.equal(image.group_count, info.group_count)
    assert.is_true(info.flops > 2 * 1600 * 32 * 27)
    assert.is_false(info.runs_inline)
    assert.equal(0, tonumber(info.workspace_bytes) % 64)
    assert.equal("Conv", ffi.string(C.program_step(program, 0).op_type))
  end)

  it("gives the same bits on streams beside each other as alone", function()
    for threads = 1, 2 do
      setup(threads)
      local first, streams, runs = bind(), {}, {}
      submit(first, net.stream())
      synchronize(net.stream())
      for i = 1, 3 do streams[i] = net.new_stream() end
      for round = 1, 8 do
        for i, stream in ipairs(streams) do
          runs[#runs + 1] = bind()
          submit(runs[#runs], stream)
          assert(round, i)
        end
      end
      for _, stream in ipairs(streams) do synchronize(stream) end
      for _, run in ipairs(runs) do assert.is_true(result(run) == result(first)) end
      assert.is_true(C.tensor_type_equal(first.types[0], info.outputs[0]))
    end
  end)

  it("waits for a group before the first step that needs it", function()
    setup(1)
    assert.is_true(image.group_count > 3)
    local want, run = bind(), bind()
    submit(want, net.stream())
    synchronize(net.stream())
    local copies, compute = net.new_stream(C.STREAM_COPY_IN), net.new_stream()
    local ready = ffi.new("struct device_event *[?]", image.group_count)
    for i = 0, image.group_count - 1 do
      local bytes = image.groups[i].bytes
      run.groups[i] = run.memory(bytes)
      ffi.fill(run.groups[i], bytes, 0xff)
      -- The first groups are there already.
      if i < 2 then
        ffi.copy(run.groups[i], image.data + image.groups[i].offset, bytes)
      else
        ready[i] = C.event_new(net.device())
        assert(C.stream_copy_in(copies, run.groups[i], image.data + image.groups[i].offset, bytes) == 0)
        assert(C.stream_record(copies, ready[i]) == 0)
      end
    end
    submit(run, compute, ready)
    synchronize(compute)
    assert.is_true(result(run) == result(want))
    synchronize(copies)
    for i = 2, image.group_count - 1 do C.event_delete(ready[i]) end
  end)

  it("times its steps", function()
    setup(1)
    local run = bind()
    local ns = ffi.new("uint64_t[?]", info.step_count)
    assert.equal(0, C.program_profile(program, run.binding, ns))
    for i = 0, info.step_count - 1 do assert.is_true(ns[i] > 0) end
  end)

  it("knows what its parts took once it ran", function()
    setup(1)
    local run = bind()
    local groups = 0
    for i = 0, C.program_part_count(program) - 1 do
      assert.equal(0, tonumber(C.program_part(program, i).ns))
    end
    submit(run, net.stream())
    synchronize(net.stream())
    for i = 0, C.program_part_count(program) - 1 do
      local part = C.program_part(program, i)
      assert.is_true(part.ns > 0 and part.groups >= groups)
      groups = part.groups
    end
    assert.equal(info.group_count, groups)
  end)

  it("says which node failed", function()
    local indices = graphs.input({ 2 }, { datatype = "INT64", values = { 0, 5 } })
    path = os.tmpname()
    graphs.write(path, { indices }, function(b, x) return b:node("Gather", { b:weight({ 3, 4 }, 1), x }) end)
    local ok, message = pcall(graphs.run, path, { indices })
    assert.is_false(ok)
    assert.matches("OUT_OF_RANGE: node n_gather_%d+ %(Gather%): .*index 5", message)
  end)
end)
