--- ONNX files that measurements need, made here: protocol buffers by hand, field numbers as in onnx.proto.
local onnx = {}

local function varint(number)
  local bytes = {}
  repeat
    local low = number % 128
    number = (number - low) / 128
    bytes[#bytes + 1] = string.char(number > 0 and low + 128 or low)
  until number == 0
  return table.concat(bytes)
end

-- A field: a string (or message), or a whole number.
local function field(number, value)
  if type(value) == "number" then return varint(number * 8) .. varint(value) end
  return varint(number * 8 + 2) .. varint(#value) .. value
end

-- A value of type FP32 and that shape, whose open dimensions have a name.
local function tensor_info(name, shape)
  local dims = {}
  for i, size in ipairs(shape) do
    dims[i] = field(1, type(size) == "string" and field(2, size) or field(1, size))
  end
  return field(1, name) .. field(2, field(1, field(1, 1) .. field(2, table.concat(dims))))
end

local function model(graph) return field(1, 8) .. field(7, graph) .. field(8, field(2, 13)) end

--- y = a + b, each of one element.
function onnx.sum()
  local add = field(1, "a") .. field(1, "b") .. field(2, "y") .. field(4, "Add")
  local ends = field(11, tensor_info("a", { 1 })) .. field(11, tensor_info("b", { 1 }))
    .. field(12, tensor_info("y", { 1 }))
  return model(field(1, add) .. field(2, "sum") .. ends)
end

--- y = x · w with w of size × size elements, all of them `value`, so that y's are value · size for an x of ones.
function onnx.dense(size, value)
  local ffi = require "ffi"
  local weights = ffi.new("float[?]", size * size)
  for i = 0, size * size - 1 do weights[i] = value end
  local initializer = field(1, size) .. field(1, size) .. field(2, 1) .. field(8, "w")
    .. field(9, ffi.string(weights, 4 * size * size))
  local multiply = field(1, "x") .. field(1, "w") .. field(2, "y") .. field(4, "MatMul")
  local ends = field(11, tensor_info("x", { 1, size })) .. field(12, tensor_info("y", { 1, size }))
  return model(field(1, multiply) .. field(2, "dense") .. field(5, initializer) .. ends)
end

--- y = x · w1 · w2 · …, `layers` of them with size × size elements each, all of one value, for any number of rows: that
--- which makes the columns add up to one, and a little more for a higher `seed`.
function onnx.chain(size, layers, seed)
  local ffi = require "ffi"
  local weights = ffi.new("float[?]", size * size)
  for i = 0, size * size - 1 do weights[i] = 1 / size + seed * 1e-6 end
  local data, parts = ffi.string(weights, 4 * size * size), {}
  for layer = 1, layers do
    local from, to = layer == 1 and "x" or "h" .. layer - 1, layer == layers and "y" or "h" .. layer
    parts[#parts + 1] = field(1, field(1, from) .. field(1, "w" .. layer) .. field(2, to) .. field(4, "MatMul"))
  end
  parts[#parts + 1] = field(2, "chain")
  for layer = 1, layers do
    parts[#parts + 1] = field(5, field(1, size) .. field(1, size) .. field(2, 1) .. field(8, "w" .. layer)
      .. field(9, data))
  end
  parts[#parts + 1] = field(11, tensor_info("x", { "n", size })) .. field(12, tensor_info("y", { "n", size }))
  return model(table.concat(parts))
end

return onnx
