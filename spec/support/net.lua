-- Models for specs: opens one, runs it on the host device (net.device's other kinds: spec/conformance/case.lua), gives
-- plain Lua tables back.
local ffi = require "ffi"
local C = require "spec.support.c"("base/arena.h", "base/error.h", "device/device.h", "exec/tensor.h", "exec/program.h",
  "model/model.h", "model/operation.h", "base/log.h")

local net = {}

local element = { [1] = "float", [2] = "uint8_t", [3] = "int8_t", [6] = "int32_t", [7] = "int64_t", [9] = "uint8_t",
  [11] = "double" }

-- Raise the calling thread's error as text.
function net.fail()
  local last = C.error_last()
  error(ffi.string(C.error_code_name(last.code)) .. ": " .. ffi.string(last.message), 0)
end

-- {data_type, dims...} as a struct tensor_type.
function net.type(data_type, dims)
  local t = ffi.new "struct tensor_type"
  t.data_type = data_type
  t.rank = #dims
  for i, dim in ipairs(dims) do t.dims[i - 1] = dim end
  return t
end

-- 64-byte aligned memory of at least one byte; keep the second result for as long as it is used.
function net.memory(bytes)
  local block = ffi.new("char[?]", tonumber(bytes) + 128)
  local address = ffi.cast("uintptr_t", block)
  return ffi.cast("char *", address + (64 - address % 64) % 64), block
end

function net.open(path, options)
  options = options or {}
  local o = ffi.new "struct model_options"
  o.kind = options.kind and C.device_kind_from_name(options.kind) or C.DEVICE_KIND_HOST
  o.threads = options.threads or 1
  o.group_bytes = options.group_bytes or 0
  o.cache_folder = options.cache_folder
  o.hash = options.hash
  local model = C.model_open(path, o)
  if model == nil then net.fail() end
  return ffi.gc(model, C.model_unref)
end

-- Every group in memory of its own, so that a kernel that strays is seen by the address sanitizer.
local function copy_groups(image, keep)
  local groups = ffi.new("void *[?]", image.group_count + 1)
  for i = 0, image.group_count - 1 do
    local group = image.groups[i]
    local address, block = net.memory(group.bytes)
    ffi.copy(address, image.data + group.offset, group.bytes)
    groups[i] = address
    keep[#keep + 1] = block
  end
  return groups
end

-- Run the program on tensors {type=, data=table or cdata}; outputs as {type=, data=cdata, count=}.
function net.run(program, image, inputs, options)
  options = options or {}
  local keep = {}
  local info = C.program_info(program)
  local binding = ffi.new "struct program_binding"
  local ins = ffi.new("const void *[?]", info.input_count + 1)
  local outs = ffi.new("void *[?]", info.output_count + 1)
  for i, tensor in ipairs(inputs) do
    local address, block = net.memory(C.tensor_bytes(tensor.type))
    keep[#keep + 1] = block
    local typed = ffi.cast(element[tonumber(tensor.type.data_type)] .. " *", address)
    if type(tensor.data) == "table" then
      for k, x in ipairs(tensor.data) do typed[k - 1] = x end
    else
      ffi.copy(address, tensor.data, C.tensor_bytes(tensor.type))
    end
    ins[i - 1] = address
  end
  local outputs = {}
  for i = 1, info.output_count do
    -- A copy: what info points to goes with the program.
    local out = ffi.new("struct tensor_type", info.outputs[i - 1])
    local address, block = net.memory(C.tensor_bytes(out))
    keep[#keep + 1] = block
    outs[i - 1] = address
    outputs[i] = { type = out, keep = block, count = tonumber(C.tensor_elements(out)),
      data = ffi.cast(element[tonumber(out.data_type)] .. " *", address) }
  end
  local workspace, block = net.memory(info.workspace_bytes)
  ffi.fill(workspace, info.workspace_bytes, 0xa5)
  keep[#keep + 1] = block
  binding.groups = image ~= nil and copy_groups(image, keep) or nil
  binding.workspace = workspace
  binding.inputs = ins
  binding.outputs = outs
  local told = ffi.new("struct tensor_type[?]", info.output_count + 1)
  binding.output_types = told
  local arena = ffi.new "struct arena"
  C.arena_create(arena, 0)
  -- A stream says that it is idle a moment after its last work is done, so running at once wants one of its own.
  local stream = options.stream or (options.now and net.new_stream() or net.stream())
  local result
  if options.now then
    result = C.program_run_now(program, binding, stream, arena)
  else
    result = C.program_submit(program, binding, stream, nil, arena)
    if result == 0 then result = C.stream_synchronize(stream) end
  end
  C.arena_destroy(arena)
  if result ~= 0 then net.fail() end
  for i, output in ipairs(outputs) do
    output.type = ffi.new("struct tensor_type", told[i - 1])
    output.count = tonumber(C.tensor_elements(output.type))
  end
  outputs.keep = keep
  return outputs
end

function net.compile(model, types)
  local array = ffi.new("struct tensor_type[?]", #types + 1)
  for i, t in ipairs(types) do array[i - 1] = t end
  local program = C.model_compile(model, array, #types)
  if program == nil then net.fail() end
  return ffi.gc(program, C.program_unref)
end

local devices, streams = {}, {}

-- The host device of all specs, or that of another kind; lives as long as the process.
function net.device(kind)
  kind = kind or "host"
  if devices[kind] then return devices[kind] end
  local options = ffi.new "struct device_options"
  options.memory_bytes = kind == "host" and 2 ^ 26 or 0
  options.switch_id = C.DEVICE_NO_SWITCH
  options.math = C.device_math_from_name(os.getenv "TIDEPOOL_SPEC_MATH" or "fp32")
  options.layout = C.device_layout_from_name(os.getenv "TIDEPOOL_SPEC_LAYOUT" or "auto")
  options.time_plans = os.getenv "TIDEPOOL_SPEC_PLANS" == "timed"
  options.plans_folder = os.getenv "TIDEPOOL_SPEC_PLANS_FOLDER"
  local device = C.device_open(C.device_kind_from_name(kind), options)
  if device == nil then net.fail() end
  devices[kind] = device
  return device
end

function net.new_stream(kind)
  local stream = C.stream_new(net.device(), kind or C.STREAM_COMPUTE)
  if stream == nil then net.fail() end
  return ffi.gc(stream, C.stream_delete)
end

-- A compute stream of that device that lives as long as the process.
function net.stream(kind)
  kind = kind or "host"
  if not streams[kind] then
    streams[kind] = C.stream_new(net.device(kind), C.STREAM_COMPUTE)
    if streams[kind] == nil then net.fail() end
  end
  return streams[kind]
end

return net
