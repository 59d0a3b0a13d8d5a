-- `spec-runner spec/bench/gpu_bench.lua MODEL.onnx… [--samples N] [--kind KIND] [--resident]`: models of the zoo on
-- a device of that kind (cuda unless said): the rate of a plain page-locked copy, a run that is resident, a run
-- that swaps the model in, and the floor of that: the longer one of copying and running. One JSON object a model;
-- times in us, medians. --resident: the run that is resident alone, and how many transpositions the program has.
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path

local ffi = require "ffi"
local json = require "tidepool.json"
local C = require "spec.support.c"("base/arena.h", "base/clock.h", "base/error.h", "device/device.h", "exec/program.h",
  "exec/tensor.h", "model/model.h")
local net = require "spec.support.net"

local GROUP_BYTES, WARM_RUNS = 2 * 2 ^ 20, 3

local function check(result) if result ~= 0 then net.fail() end end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

-- Microseconds of fn, the median of so many times.
local function time(samples, fn)
  local times = {}
  for i = 1, samples do
    local from = C.clock_now()
    fn()
    times[i] = tonumber(C.clock_now() - from) / 1e3
  end
  return median(times)
end

local function reserve(device, bytes)
  local address = ffi.new "void *[1]"
  check(C.device_reserve(device, math.max(tonumber(bytes), 1), address))
  return ffi.cast("char *", address[0])
end

-- The types of the model's inputs, open dimensions as 1.
local function input_types(model)
  local info, types = C.model_info(model), {}
  for i = 0, info.input_count - 1 do
    types[i + 1] = ffi.new("struct tensor_type", info.inputs[i].type)
    for k = 0, types[i + 1].rank - 1 do
      if types[i + 1].dims[k] < 0 then types[i + 1].dims[k] = 1 end
    end
  end
  return types
end

-- A model with everything that a run of it needs, on the device.
local function load(path, kind)
  local device = net.device(kind)
  local model = net.open(path, { kind = kind, group_bytes = GROUP_BYTES })
  local types = input_types(model)
  local program = net.compile(model, types)
  local image, info = C.model_image(model), C.program_info(program)
  local run = {
    device = device, model = model, program = program, image = image, types = types,
    compute = net.stream(kind), copy = C.stream_new(device, C.STREAM_COPY_IN),
    binding = ffi.new "struct program_binding", groups = ffi.new("void *[?]", image.group_count + 1),
    ready = ffi.new("struct device_event *[?]", image.group_count + 1),
    inputs = ffi.new("const void *[?]", info.input_count + 1), outputs = ffi.new("void *[?]", info.output_count + 1),
    told = ffi.new("struct tensor_type[?]", info.output_count + 1),
  }
  local base = reserve(device, image.bytes)
  for i = 0, image.group_count - 1 do
    run.groups[i] = base + image.groups[i].offset
    run.ready[i] = C.event_new(device)
  end
  for i, t in ipairs(types) do
    local bytes = tonumber(C.tensor_bytes(t))
    local address = reserve(device, bytes)
    check(C.stream_copy_in(run.compute, address, ffi.new("char[?]", bytes), bytes))
    check(C.stream_synchronize(run.compute))
    run.inputs[i - 1] = address
  end
  for i = 0, info.output_count - 1 do run.outputs[i] = reserve(device, C.tensor_bytes(info.outputs[i])) end
  local binding = run.binding
  binding.groups, binding.inputs, binding.outputs, binding.output_types = run.groups, run.inputs, run.outputs, run.told
  binding.workspace = reserve(device, info.workspace_bytes)
  -- The host store page-locks what it maps; where the driver refuses that, memory that is page-locked from the start.
  run.host = ffi.cast("const char *", image.data)
  run.registered = C.device_host_register(device, ffi.cast("void *", image.data), image.bytes) == 0
  if not run.registered then
    local pinned = C.device_host_alloc(device, image.bytes)
    if pinned == nil then net.fail() end
    ffi.copy(pinned, image.data, image.bytes)
    run.host = ffi.cast("const char *", pinned)
  end
  return run
end

local function put_groups(run, events)
  for i = 0, run.image.group_count - 1 do
    local group = run.image.groups[i]
    check(C.stream_copy_in(run.copy, run.groups[i], run.host + group.offset, group.bytes))
    if events then check(C.stream_record(run.copy, run.ready[i])) end
  end
end

local function submit(run, ready)
  local arena = ffi.new "struct arena"
  C.arena_create(arena, 0)
  local result = C.program_submit(run.program, run.binding, run.compute, ready, arena)
  if result == 0 then result = C.stream_synchronize(run.compute) end
  C.arena_destroy(arena)
  check(result)
end

local function staged_steps(program)
  local names = {}
  for i = 0, C.program_info(program).step_count - 1 do
    local step = C.program_step(program, i)
    if step.staged then names[#names + 1] = ffi.string(step.op_type) end
  end
  return names
end

-- What the link gives, us: as many bytes as one copy from memory that was page-locked when it was made.
local function time_plain(run, samples)
  local bytes = run.image.bytes
  local pinned = C.device_host_alloc(run.device, bytes)
  if pinned == nil then net.fail() end
  ffi.copy(pinned, run.image.data, bytes)
  local us = time(samples, function()
    check(C.stream_copy_in(run.copy, run.groups[0], pinned, bytes))
    check(C.stream_synchronize(run.copy))
  end)
  C.device_host_free(run.device, pinned)
  return us
end

local function count_steps(program, op_type)
  local count = 0
  for i = 0, C.program_info(program).step_count - 1 do
    if ffi.string(C.program_step(program, i).op_type) == op_type then count = count + 1 end
  end
  return count
end

local function measure_resident(path, kind, samples)
  local run = load(path, kind)
  put_groups(run)
  check(C.stream_synchronize(run.copy))
  for _ = 1, WARM_RUNS do submit(run) end
  return {
    model = path:match "[^/]+$", kind = kind, resident_us = time(samples, function() submit(run) end),
    transpositions = count_steps(run.program, "Reorder"),
  }
end

local function measure(path, kind, samples)
  local run = load(path, kind)
  local bytes = tonumber(run.image.bytes)
  local function copy()
    put_groups(run)
    check(C.stream_synchronize(run.copy))
  end
  local plain = time_plain(run, samples)
  local groups = time(samples, copy)
  for _ = 1, WARM_RUNS do submit(run) end
  local resident = time(samples, function() submit(run) end)
  local swapped = time(samples, function()
    put_groups(run, true)
    submit(run, run.ready)
    check(C.stream_synchronize(run.copy))
  end)
  return {
    model = path:match "[^/]+$", kind = kind, bytes = bytes, groups = run.image.group_count,
    registered = run.registered, steps = C.program_info(run.program).step_count,
    staged = staged_steps(run.program),
    plain_gb_s = bytes / plain / 1e3, swap_gb_s = bytes / groups / 1e3, swap_over_plain = plain / groups,
    resident_us = resident, swapped_us = swapped, swapped_over_floor = swapped / math.max(groups, resident),
  }
end

local kind, samples, paths, how = "cuda", 15, {}, measure
local arguments = { unpack(arg) }
while #arguments > 0 do
  local word = table.remove(arguments, 1)
  if word == "--samples" then samples = tonumber(table.remove(arguments, 1))
  elseif word == "--kind" then kind = table.remove(arguments, 1)
  elseif word == "--resident" then how = measure_resident
  else paths[#paths + 1] = word end
end
local failed = false
for _, path in ipairs(paths) do
  local ok, result = pcall(how, path, kind, samples)
  failed = failed or not ok
  print(json.encode(ok and result or { model = path, error = tostring(result) }))
  io.flush()
  collectgarbage()
end
os.exit(failed and 1 or 0)
