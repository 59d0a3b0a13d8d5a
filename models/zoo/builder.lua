-- Builds ONNX files of known architectures with seeded weights, for benchmarks and specs: we and the peer we compare
-- with load the same file. Weights are written as they are made, so a model of 1.3 GB needs no such memory here.
--
--   local b = builder.new("tiny", 7)                       -- name, seed
--   local x = b:input("image", "FP32", { "n", 3, 224, 224 })  -- a string is an open dimension
--   x = b:relu(b:conv(x, 3, 64, { kernel = 7, stride = 2, pad = 3 }))
--   b:output(b:linear(b:flatten(b:global_average_pool(x)), 64, 1000), "scores", { "n", 1000 })
--   b:write("tiny.onnx")
--
-- A method that adds an operator returns the name of its output. Field numbers are those of onnx.proto.
local bit = require "bit"
local ffi = require "ffi"
local wire = require "models.zoo.wire"

local OPSET, IR_VERSION = 17, 8
local TYPES = { FP32 = 1, INT32 = 6, INT64 = 7, BOOL = 9 }

local Builder = {}
Builder.__index = Builder

local M = {}

function M.new(name, seed)
  return setmetatable({
    name = name, seed = seed or 1, names = 0, nodes = {}, tensors = {}, inputs = {}, outputs = {}, parameters = 0,
  }, Builder)
end

local function elements(dims)
  local count = 1
  for _, dim in ipairs(dims) do count = count * dim end
  return count
end

function Builder:fresh(what)
  self.names = self.names + 1
  return ("%s_%d"):format(what, self.names)
end

-- --- tensors -------------------------------------------------------------------------------------------------------

-- Weights: uniform in center - spread … center + spread, from a generator that the tensor's number seeds.
function Builder:weight(dims, spread, center)
  local name = self:fresh "w"
  self.tensors[#self.tensors + 1] = {
    name = name, dims = dims, spread = spread, center = center or 0, seed = self.seed * 100003 + self.names,
  }
  self.parameters = self.parameters + elements(dims)
  return name
end

-- A constant with these values.
function Builder:constant(values, datatype, dims)
  local name = self:fresh "c"
  local ctype = ({ FP32 = "float", INT64 = "int64_t", INT32 = "int32_t" })[datatype or "INT64"]
  local data = ffi.new(ctype .. "[?]", math.max(#values, 1), values)
  self.tensors[#self.tensors + 1] = {
    name = name, dims = dims or { #values }, type = TYPES[datatype or "INT64"],
    raw = ffi.string(data, #values * ffi.sizeof(ctype)),
  }
  return name
end

local function value_info(name, datatype, dims)
  local parts = {}
  for i, dim in ipairs(dims) do
    parts[i] = wire.bytes(1, type(dim) == "string" and wire.bytes(2, dim) or wire.int(1, dim))
  end
  local tensor = wire.int(1, TYPES[datatype]) .. wire.bytes(2, table.concat(parts))
  return wire.bytes(1, name) .. wire.bytes(2, wire.bytes(1, tensor))
end

function Builder:input(name, datatype, dims)
  self.inputs[#self.inputs + 1] = value_info(name, datatype, dims)
  return name
end

function Builder:output(value, name, dims, datatype)
  self:node("Identity", { value }, nil, name)
  self.outputs[#self.outputs + 1] = value_info(name, datatype or "FP32", dims)
end

-- --- nodes ---------------------------------------------------------------------------------------------------------

-- AttributeProto: integers, lists of integers, strings, and numbers given as { float = x }.
local function attribute(name, value)
  local head = wire.bytes(1, name)
  if type(value) == "number" then return head .. wire.int(3, value) .. wire.int(20, 2) end
  if type(value) == "string" then return head .. wire.bytes(4, value) .. wire.int(20, 3) end
  if value.float then return head .. wire.float(2, value.float) .. wire.int(20, 1) end
  local parts = {}
  for i, number in ipairs(value) do parts[i] = wire.int(8, number) end
  return head .. table.concat(parts) .. wire.int(20, 7)
end

-- output: the name; a list of kinds of names when there are several, then all are returned.
function Builder:node(op_type, inputs, attributes, output)
  local outputs = { type(output) == "string" and output or self:fresh(op_type:lower()) }
  if type(output) == "table" then
    for i, what in ipairs(output) do outputs[i] = self:fresh(what) end
  end
  local parts, names = {}, {}
  for _, input in ipairs(inputs) do parts[#parts + 1] = wire.bytes(1, input) end
  for _, name in ipairs(outputs) do parts[#parts + 1] = wire.bytes(2, name) end
  parts[#parts + 1] = wire.bytes(3, "n_" .. outputs[1])
  parts[#parts + 1] = wire.bytes(4, op_type)
  for name in pairs(attributes or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = wire.bytes(5, attribute(name, attributes[name])) end
  self.nodes[#self.nodes + 1] = table.concat(parts)
  return unpack(outputs)
end

for method, op_type in pairs {
  relu = "Relu", sigmoid = "Sigmoid", tanh = "Tanh", erf = "Erf", flatten = "Flatten",
  global_average_pool = "GlobalAveragePool", sqrt = "Sqrt",
} do
  Builder[method] = function(self, x) return self:node(op_type, { x }) end
end

for method, op_type in pairs { add = "Add", sub = "Sub", mul = "Mul", div = "Div", matmul = "MatMul", pow = "Pow" } do
  Builder[method] = function(self, a, b) return self:node(op_type, { a, b }) end
end

function Builder:number(value) return self:constant({ value }, "FP32", {}) end
function Builder:clip(x, low, high) return self:node("Clip", { x, self:number(low), self:number(high) }) end
function Builder:concat(list, axis) return self:node("Concat", list, { axis = axis }) end
function Builder:softmax(x) return self:node("Softmax", { x }, { axis = -1 }) end
function Builder:reshape(x, shape) return self:node("Reshape", { x, self:constant(shape) }) end
function Builder:transpose(x, perm) return self:node("Transpose", { x }, { perm = perm }) end

local function window(o)
  local k, s, p = o.kernel, o.stride or 1, o.pad or 0
  local kh, kw = k, k
  if type(k) == "table" then kh, kw = k[1], k[2] end
  local ph, pw = p, p
  if type(p) == "table" then ph, pw = p[1], p[2] end
  return { kernel_shape = { kh, kw }, strides = { s, s }, pads = { ph, pw, ph, pw } }, kh * kw
end

-- Options: kernel, stride, pad (a number, or {rows, columns}), groups, bias.
function Builder:conv(x, from, to, o)
  local attributes, area = window(o)
  local groups = o.groups or 1
  local fan_in = from / groups * area
  local inputs = { x, self:weight({ to, from / groups, unpack(attributes.kernel_shape) }, math.sqrt(3 / fan_in)) }
  attributes.group = groups
  attributes.dilations = { 1, 1 }
  if o.bias then inputs[3] = self:weight({ to }, 0.1) end
  return self:node("Conv", inputs, attributes)
end

function Builder:batch_norm(x, channels, epsilon)
  return self:node("BatchNormalization", {
    x, self:weight({ channels }, 0.2, 1), self:weight({ channels }, 0.1), self:weight({ channels }, 0.1),
    self:weight({ channels }, 0.3, 1),
  }, { epsilon = { float = epsilon or 1e-5 } })
end

function Builder:max_pool(x, o) return self:node("MaxPool", { x }, (window(o))) end

function Builder:average_pool(x, o)
  local attributes = window(o)
  attributes.count_include_pad = o.count_include_pad and 1 or 0
  return self:node("AveragePool", { x }, attributes)
end

-- y = x W + b by Gemm, x of rank 2.
function Builder:linear(x, from, to)
  local weight = self:weight({ to, from }, math.sqrt(3 / from))
  return self:node("Gemm", { x, weight, self:weight({ to }, 0.1) }, { transB = 1 })
end

-- y = x W + b by MatMul and Add, x of any rank, as transformers are exported.
function Builder:dense(x, from, to)
  return self:add(self:matmul(x, self:weight({ from, to }, math.sqrt(3 / from))), self:weight({ to }, 0.1))
end

-- Layer normalisation as exporters below opset 17 write it.
function Builder:layer_norm(x, width, epsilon)
  local centered = self:sub(x, self:node("ReduceMean", { x }, { axes = { -1 }, keepdims = 1 }))
  local variance = self:node("ReduceMean", { self:pow(centered, self:number(2)) }, { axes = { -1 }, keepdims = 1 })
  local scaled = self:div(centered, self:sqrt(self:add(variance, self:number(epsilon or 1e-5))))
  return self:add(self:mul(scaled, self:weight({ width }, 0.2, 1)), self:weight({ width }, 0.1))
end

-- GELU as exporters write it.
function Builder:gelu(x)
  local inner = self:add(self:erf(self:div(x, self:number(math.sqrt(2)))), self:number(1))
  return self:mul(self:mul(x, inner), self:number(0.5))
end

-- --- writing -------------------------------------------------------------------------------------------------------

local function tensor_header(tensor, bytes)
  local parts = {}
  for i, dim in ipairs(tensor.dims) do parts[i] = wire.int(1, dim) end
  return table.concat(parts) .. wire.int(2, tensor.type or TYPES.FP32) .. wire.bytes(8, tensor.name)
    .. wire.key(9, 2) .. wire.varint(bytes)
end

local CHUNK = 65536

-- Uniform numbers by xorshift32 (Marsaglia), a chunk at a time.
local function write_weights(file, tensor)
  local left, chunk = elements(tensor.dims), ffi.new("float[?]", CHUNK)
  local scale, center = tensor.spread / 2147483648, tensor.center
  local x = bit.tobit(tensor.seed * 40503 % 4294967295 + 1)
  while left > 0 do
    local count = math.min(left, CHUNK)
    for i = 0, count - 1 do
      x = bit.bxor(x, bit.lshift(x, 13))
      x = bit.bxor(x, bit.rshift(x, 17))
      x = bit.bxor(x, bit.lshift(x, 5))
      chunk[i] = center + x * scale
    end
    assert(file:write(ffi.string(chunk, count * 4)))
    left = left - count
  end
end

-- Write the model; returns the bytes of its parameters.
function Builder:write(path)
  local headers, size = {}, 0
  local head = {}
  for _, node in ipairs(self.nodes) do head[#head + 1] = wire.bytes(1, node) end
  head[#head + 1] = wire.bytes(2, self.name)
  local tail = {}
  for _, input in ipairs(self.inputs) do tail[#tail + 1] = wire.bytes(11, input) end
  for _, output in ipairs(self.outputs) do tail[#tail + 1] = wire.bytes(12, output) end
  head, tail = table.concat(head), table.concat(tail)
  for i, tensor in ipairs(self.tensors) do
    local bytes = tensor.raw and #tensor.raw or elements(tensor.dims) * 4
    local header = tensor_header(tensor, bytes)
    headers[i] = wire.key(5, 2) .. wire.varint(#header + bytes) .. header
    size = size + #headers[i] + bytes
  end
  local file = assert(io.open(path, "wb"))
  local opset = wire.bytes(8, wire.bytes(1, "") .. wire.int(2, OPSET))
  assert(file:write(wire.int(1, IR_VERSION), opset, wire.key(7, 2), wire.varint(#head + size + #tail), head))
  for i, tensor in ipairs(self.tensors) do
    assert(file:write(headers[i]))
    if tensor.raw then assert(file:write(tensor.raw)) else write_weights(file, tensor) end
  end
  assert(file:write(tail))
  assert(file:close())
  return self.parameters * 4
end

return M
