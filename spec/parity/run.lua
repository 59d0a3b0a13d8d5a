-- Runs a model's program on a device of any kind, for comparison and for timing.
local ffi = require "ffi"
local C = require "spec.support.c"("base/arena.h", "base/clock.h", "base/error.h", "device/device.h", "exec/tensor.h",
  "exec/cast.h", "exec/program.h", "model/model.h")
local net = require "spec.support.net"
local new_memory = require "spec.support.memory"

-- What the steps are: {op_type=, bytes=, staged=} each, staged when it runs on the host though the device is another.
local function steps_of(program)
  local steps = {}
  for i = 0, C.program_info(program).step_count - 1 do
    local step = C.program_step(program, i)
    steps[#steps + 1] = { op_type = ffi.string(step.op_type), staged = step.staged, bytes = tonumber(step.bytes) }
  end
  return steps
end

local function submit(program, binding, stream)
  local arena = ffi.new "struct arena"
  C.arena_create(arena, 0)
  local result = C.program_submit(program, binding, stream, nil, arena)
  if result == 0 then result = C.stream_synchronize(stream) end
  C.arena_destroy(arena)
  if result ~= 0 then net.fail() end
end

-- The shortest of so many runs, ns. The first ones of a device load kernels and record.
local function time(program, binding, stream, runs)
  local best = math.huge
  for _ = 1, runs do
    local from = C.clock_now()
    submit(program, binding, stream)
    best = math.min(best, tonumber(C.clock_now() - from))
  end
  return best
end

local function bind(program, image, inputs, memory)
  local info, binding = C.program_info(program), ffi.new "struct program_binding"
  local keep = {
    groups = ffi.new("void *[?]", image.group_count + 1),
    inputs = ffi.new("const void *[?]", info.input_count + 1),
    outputs = ffi.new("void *[?]", info.output_count + 1),
    types = ffi.new("struct tensor_type[?]", info.output_count + 1),
  }
  for i = 0, image.group_count - 1 do
    local group = image.groups[i]
    keep.groups[i] = memory:put(ffi.cast("char *", image.data) + group.offset, group.bytes)
  end
  for i, input in ipairs(inputs) do keep.inputs[i - 1] = memory:put(input.data, C.tensor_bytes(input.type)) end
  for i = 0, info.output_count - 1 do keep.outputs[i] = memory:take(C.tensor_bytes(info.outputs[i])) end
  binding.groups, binding.inputs, binding.outputs = keep.groups, keep.inputs, keep.outputs
  binding.output_types, binding.workspace = keep.types, memory:take(info.workspace_bytes)
  return binding, keep
end

local function fetch(program, keep, memory)
  local outputs = {}
  for i = 0, C.program_info(program).output_count - 1 do
    local tensor_type = ffi.new("struct tensor_type", keep.types[i])
    local count = tonumber(C.tensor_elements(tensor_type))
    local data = memory:get(keep.outputs[i], C.tensor_bytes(tensor_type))
    local numbers = ffi.new("double[?]", math.max(count, 1))
    C.cast_run(C.DATA_TYPE_DOUBLE, numbers, tensor_type.data_type, data, count)
    outputs[i + 1] = { type = tensor_type, count = count, numbers = numbers }
  end
  return outputs
end

-- inputs: {type=, data=} each. runs: time so many, nil: none. on: {device=, stream=}, else those that specs share;
-- between=: called between the first run and the others.
-- Outputs (their elements as doubles), steps, ns of the best run.
return function(path, inputs, kind, runs, on)
  -- First, since what it is opened with says how programs compute.
  on = on or { stream = net.stream(kind), device = net.device(kind) }
  local stream = on.stream
  local model = net.open(path, { kind = kind, cache_folder = os.getenv "TIDEPOOL_SPEC_CACHE" })
  local types = {}
  for i, input in ipairs(inputs) do types[i] = input.type end
  local program = net.compile(model, types)
  local memory = new_memory(on.device, stream)
  local ok, outputs, steps, ns = pcall(function()
    local binding, keep = bind(program, C.model_image(model), inputs, memory)
    submit(program, binding, stream)
    if on.between then on.between() end
    -- A device may record the second run and replay it from then on: the third must be right too.
    submit(program, binding, stream)
    submit(program, binding, stream)
    return fetch(program, keep, memory), steps_of(program), runs and time(program, binding, stream, runs)
  end)
  memory:free()
  if not ok then error(outputs, 0) end
  return outputs, steps, ns
end
