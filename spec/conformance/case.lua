-- One conformance case: a model file, data sets of serialized inputs and expected outputs. Runs the model through the
-- real importer, compiler and device, of the kind that specs run on, and compares.
local ffi = require "ffi"
local C = require "spec.support.c"("base/arena.h", "base/error.h", "device/device.h", "exec/tensor.h", "exec/cast.h",
  "exec/program.h", "model/model.h", "model/onnx.h")
local kind = require "spec.support.kind"
local net = require "spec.support.net"
local new_memory = require "spec.support.memory"

local case = {}

-- ONNX's own test suite compares so; integers and booleans must be equal.
local RTOL, ATOL = 1e-3, 1e-7
-- Two units in the last place of the coarser types.
local TYPE_RTOL = { [C.DATA_TYPE_FLOAT16] = 2 ^ -9, [C.DATA_TYPE_BFLOAT16] = 2 ^ -6 }
local REAL = { [C.DATA_TYPE_FLOAT] = true, [C.DATA_TYPE_DOUBLE] = true, [C.DATA_TYPE_FLOAT16] = true,
  [C.DATA_TYPE_BFLOAT16] = true }

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local bytes = file:read "*a"
  file:close()
  return bytes
end

-- A serialized tensor as {type=, data=, bytes=}; nil when there is no such file.
local function read_tensor(path, arena)
  local bytes = read_file(path)
  if not bytes then return nil end
  local constant = ffi.new "struct constant"
  if C.onnx_read_tensor(bytes, #bytes, arena, constant, nil) ~= 0 then net.fail() end
  return { type = constant.type, data = constant.data, bytes = tonumber(C.tensor_bytes(constant.type)), keep = bytes }
end

local function read_tensors(prefix, arena)
  local tensors = {}
  while true do
    local tensor = read_tensor(("%s%d.pb"):format(prefix, #tensors), arena)
    if not tensor then return tensors end
    tensors[#tensors + 1] = tensor
  end
end

local function format_type(tensor_type)
  local text = ffi.new "char[128]"
  return ffi.string(C.tensor_type_format(tensor_type, text, 128))
end

-- Run the program in that memory; tensors as read_tensor gives them.
local function run(program, image, inputs, memory)
  local info = C.program_info(program)
  local binding = ffi.new "struct program_binding"
  local ins = ffi.new("const void *[?]", info.input_count + 1)
  local outs = ffi.new("void *[?]", info.output_count + 1)
  local types = ffi.new("struct tensor_type[?]", info.output_count + 1)
  local groups = ffi.new("void *[?]", image.group_count + 1)
  for i, tensor in ipairs(inputs) do ins[i - 1] = memory:put(tensor.data, tensor.bytes) end
  for i = 0, info.output_count - 1 do outs[i] = memory:take(C.tensor_bytes(info.outputs[i])) end
  for i = 0, image.group_count - 1 do
    local group = image.groups[i]
    local data = ffi.cast("char *", image.data) + group.offset
    groups[i] = kind == "host" and data or memory:put(data, group.bytes)
  end
  binding.groups, binding.workspace, binding.inputs, binding.outputs, binding.output_types =
    groups, memory:take(info.workspace_bytes), ins, outs, types
  local arena = ffi.new "struct arena"
  C.arena_create(arena, 0)
  local stream = net.stream(kind)
  local result = C.program_submit(program, binding, stream, nil, arena)
  if result == 0 then result = C.stream_synchronize(stream) end
  C.arena_destroy(arena)
  if result ~= 0 then net.fail() end
  local outputs = { types = types, keep = memory }
  for i = 0, info.output_count - 1 do
    local bytes = tonumber(C.tensor_bytes(types[i]))
    outputs[i + 1] = { type = types[i], data = memory:get(outs[i], bytes), bytes = bytes }
  end
  return outputs
end

local function doubles(tensor, count)
  local numbers = ffi.new("double[?]", math.max(count, 1))
  C.cast_run(C.DATA_TYPE_DOUBLE, numbers, tensor.type.data_type, tensor.data, count)
  -- LuaJIT keeps other types of values in NaNs: one that is read with bits of its own would be taken for such a value.
  local words = ffi.cast("uint32_t *", numbers)
  for i = 0, count - 1 do
    local high, low = words[2 * i + 1], words[2 * i]
    local rest = bit.band(high, 0xfffff)
    if bit.band(high, 0x7ff00000) == 0x7ff00000 and (rest ~= 0 or low ~= 0) then numbers[i] = 0 / 0 end
  end
  return numbers
end

-- The first element that differs, nil when none does.
local function find_difference(got, expected, count, rtol)
  for i = 0, count - 1 do
    local x, y = got[i], expected[i]
    local same = x == y or (x ~= x and y ~= y)
    -- False for NaN against a number.
    local close = math.abs(x - y) <= ATOL + rtol * math.abs(y)
    if not same and not close then return i end
  end
end

-- The suite's files hold BFLOAT16 as UINT16, which NumPy has.
local function take_bfloat16(tensor, wanted)
  if wanted == C.DATA_TYPE_BFLOAT16 and tensor.type.data_type == C.DATA_TYPE_UINT16 then
    tensor.type.data_type = C.DATA_TYPE_BFLOAT16
  end
end

-- The largest difference over the largest number expected, where both are numbers; infinite where only one is.
local function relative_difference(got, expected, count)
  local largest, difference = 1e-30, 0
  for i = 0, count - 1 do
    local x, y = got[i], expected[i]
    if x ~= y and (x == x or y == y) then
      local away = math.abs(x - y)
      -- Infinite, or not a number on one side only.
      if away ~= away or away == math.huge then return math.huge end
      difference = math.max(difference, away)
    end
    if math.abs(y) < math.huge then largest = math.max(largest, math.abs(y)) end
  end
  return difference / largest
end

-- Types of quantised numbers: of a case with a tolerance they may be one step away, since 0.5 is rounded up or down.
local STEPS = { [2] = true, [3] = true }

-- tolerance: of the largest number of the output, in place of the suite's own.
local function compare(got, expected, position, tolerance)
  take_bfloat16(expected, tonumber(got.type.data_type))
  if not C.tensor_type_equal(got.type, expected.type) then
    error(("output %d is %s, not %s"):format(position, format_type(got.type), format_type(expected.type)), 0)
  end
  local data_type = tonumber(expected.type.data_type)
  local count = tonumber(C.tensor_elements(expected.type))
  if not REAL[data_type] then
    if ffi.string(got.data, got.bytes) == ffi.string(expected.data, expected.bytes) then return end
  end
  local x, y = doubles(got, count), doubles(expected, count)
  if tolerance and REAL[data_type] then
    local difference = relative_difference(x, y, count)
    if difference <= tolerance then return end
    error(("output %d is %.2g of its largest number away, at most %.2g"):format(position, difference, tolerance), 0)
  end
  if tolerance and STEPS[data_type] then
    for i = 0, count - 1 do
      if math.abs(x[i] - y[i]) > 1 then error(("output %d[%d] is %d, not %d"):format(position, i, x[i], y[i]), 0) end
    end
    return
  end
  local at = find_difference(x, y, count, REAL[data_type] and math.max(RTOL, TYPE_RTOL[data_type] or 0) or 0)
  if at then error(("output %d[%d] is %.9g, not %.9g"):format(position, at, x[at], y[at]), 0) end
end

-- On another device than host no operator runs there, but what is interpreted since shapes depend on data.
local function check_steps(program)
  for i = 0, C.program_info(program).step_count - 1 do
    local step = C.program_step(program, i)
    local op_type = ffi.string(step.op_type)
    if step.staged and op_type ~= "Interpret" then error(op_type .. " ran on the host", 0) end
  end
end

local function check_set(model, image, inputs, expected, tolerance)
  local types, info = {}, C.model_info(model)
  for i, input in ipairs(inputs) do
    if i <= info.input_count then take_bfloat16(input, tonumber(info.inputs[i - 1].type.data_type)) end
    types[i] = input.type
  end
  local program = net.compile(model, types)
  check_steps(program)
  local memory = new_memory(net.device(kind), net.stream(kind))
  local ok, outputs = pcall(run, program, image, inputs, memory)
  memory:free()
  if not ok then error(outputs, 0) end
  if #outputs ~= #expected then error(("%d outputs, not %d"):format(#outputs, #expected), 0) end
  for i = 1, #expected do compare(outputs[i], expected[i], i - 1, tolerance) end
end

-- Inputs that the suite makes up for models without any: 0, 1/n, 2/n …
local function made_up_inputs(model, arena)
  local info, inputs = C.model_info(model), {}
  for i = 0, info.input_count - 1 do
    local tensor_type = ffi.new("struct tensor_type", info.inputs[i].type)
    for k = 0, tensor_type.rank - 1 do
      if tensor_type.dims[k] < 0 then tensor_type.dims[k] = 1 end
    end
    local count = tonumber(C.tensor_elements(tensor_type))
    local data = ffi.cast("float *", C.arena_calloc(arena, count, 4))
    for k = 0, count - 1 do data[k] = k / count end
    inputs[i + 1] = { type = tensor_type, data = data, bytes = count * 4 }
  end
  return inputs
end

-- Run all data sets of the case {model=, sets= or outputs=, tolerance=}; raises what is wrong.
local function check(test, arena)
  local model = net.open(test.model, { kind = kind })
  local image = C.model_image(model)
  if test.outputs then
    check_set(model, image, made_up_inputs(model, arena), read_tensors(test.outputs, arena))
    return
  end
  for _, folder in ipairs(test.sets) do
    check_set(model, image, read_tensors(folder .. "/input_", arena), read_tensors(folder .. "/output_", arena),
      test.tolerance)
  end
end

-- True, or false and why not.
function case.run(test)
  local arena = ffi.new "struct arena"
  C.arena_create(arena, 0)
  local ok, message = pcall(check, test, arena)
  C.arena_destroy(arena)
  collectgarbage()
  return ok, message
end

-- Run them all: "NAME: why" of each that fails.
function case.failures(cases)
  local wrong = {}
  for _, test in ipairs(cases) do
    local ok, why = case.run(test)
    if not ok then wrong[#wrong + 1] = ("%s: %s"):format(test.name, why) end
  end
  return wrong
end

return case
