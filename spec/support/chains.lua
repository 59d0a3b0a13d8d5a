-- Chains of operations for specs (model/chain.h): made of plain tables, compiled as one program, and run one by one.
local ffi = require "ffi"
local net = require "spec.support.net"
local C = require "spec.support.c"("model/chain.h", "model/spelling.h")

local chains = {}

local function text(keep, s)
  local copy = ffi.new("char[?]", #s + 1, s)
  keep[#keep + 1] = copy
  return copy
end

-- { name = number } as attributes: whole numbers are integers, { float = x } are floats.
local function attributes_of(keep, list)
  local names = {}
  for name in pairs(list or {}) do names[#names + 1] = name end
  table.sort(names)
  local attributes = ffi.new("struct attribute[?]", #names + 1)
  for i, name in ipairs(names) do
    local value, a = list[name], attributes[i - 1]
    a.name = text(keep, name)
    if type(value) == "table" then
      a.kind, a.as.f = C.ATTRIBUTE_FLOAT, value.float
    else
      a.kind, a.as.i = C.ATTRIBUTE_INT, value
    end
  end
  keep[#keep + 1] = attributes
  return attributes, #names
end

-- { data_type, dims…, data = {…} } of INT64 as a known value.
local function constant_of(keep, values)
  local constant, data = ffi.new "struct constant", ffi.new("int64_t[?]", #values + 1, values)
  constant.type = net.type(7, { #values })
  constant.data = data
  keep[#keep + 1] = { constant, data }
  return constant
end

-- The operation of a link, its inputs being of these types (nil: not set).
local function operation_of(keep, link, types)
  local o = ffi.new "struct operation"
  local constants = ffi.new("const struct constant *[?]", #link.inputs + 1)
  local inputs = ffi.new("struct tensor_type[?]", #link.inputs + 1)
  for i, input in ipairs(link.inputs) do
    if type(input) == "table" then constants[i - 1] = constant_of(keep, input) end
    if type(input) == "table" then inputs[i - 1] = net.type(7, { #input })
    elseif types then inputs[i - 1] = types[i] end
  end
  o.op_type = text(keep, link.op)
  o.attributes, o.attribute_count = attributes_of(keep, link.attributes)
  o.input_count, o.output_count = #link.inputs, link.outputs or 1
  o.inputs, o.constants = inputs, constants
  keep[#keep + 1] = { constants, inputs }
  return o
end

-- A chain of inputs { data_type, dims } and links { op =, inputs = { i: input i, -r: result r, {…}: a known value },
-- attributes =, outputs = }, inputs and results counted from 1; kept: the results that are outputs. The second result
-- keeps its memory.
function chains.new(inputs, links, kept)
  local keep, results = {}, 0
  local chain = ffi.new "struct chain"
  local types = ffi.new("struct tensor_type[?]", #inputs + 1)
  local array = ffi.new("struct chain_link[?]", #links)
  for i, input in ipairs(inputs) do types[i - 1] = net.type(input[1], input[2]) end
  for k, link in ipairs(links) do
    local from = ffi.new("int32_t[?]", #link.inputs + 1)
    for i, input in ipairs(link.inputs) do
      from[i - 1] = type(input) == "table" and C.CHAIN_VALUE or input > 0 and input - 1 or input
    end
    array[k - 1].operation = operation_of(keep, link)
    array[k - 1].inputs, array[k - 1].first_result = from, results
    results = results + (link.outputs or 1)
    keep[#keep + 1] = from
  end
  local flags = ffi.new("bool[?]", results + 1)
  for _, r in ipairs(kept) do flags[r - 1] = true end
  chain.kind, chain.inputs, chain.input_count = C.DEVICE_KIND_HOST, types, #inputs
  chain.links, chain.link_count, chain.kept, chain.result_count = array, #links, flags, results
  keep[#keep + 1] = { types, array, flags }
  return chain, keep
end

-- Its program; nil and the error's message.
function chains.compile(chain, threads)
  local program = C.chain_compile(chain, threads or 1)
  if program == nil then return nil, ffi.string(C.error_last().message) end
  return ffi.gc(program, C.program_unref)
end

-- Operators of the program's steps.
function chains.steps(program)
  local list = {}
  for i = 0, C.program_info(program).step_count - 1 do list[i + 1] = ffi.string(C.program_step(program, i).op_type) end
  return list
end

-- What the links give one by one on tensors { type =, data = }: the results, in order.
function chains.run_apart(links, tensors)
  local results, keep = {}, {}
  for _, link in ipairs(links) do
    local types, values = {}, {}
    for i, input in ipairs(link.inputs) do
      if type(input) == "number" then
        local tensor = input > 0 and tensors[input] or results[-input]
        types[i], values[#values + 1] = tensor.type, tensor
      end
    end
    local options = ffi.new "struct model_options"
    options.threads = 1
    local program = C.operation_compile(operation_of(keep, link, types), options)
    if program == nil then net.fail() end
    ffi.gc(program, C.program_unref)
    for _, output in ipairs(net.run(program, nil, values)) do results[#results + 1] = output end
  end
  return results
end

function chains.bytes(tensor) return ffi.string(tensor.data, C.tensor_bytes(tensor.type)) end

return chains
