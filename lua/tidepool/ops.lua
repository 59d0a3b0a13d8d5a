-- What handlers can do with device tensors: methods and operators, each one ONNX operator that the core runs with the
-- request's next batch. Axes and positions count from 0, negative ones from the end, as ONNX has it.
local misuse = require "tidepool.misuse"
local tensor = require "tidepool.tensor"

local methods, run, kind_of = tensor.methods, tensor.run_operator, tensor.kind_of

local floor, type, pairs = math.floor, type, pairs

local M = {}

--- arguments ----------------------------------------------------------------------------------------------------------

local function whole(value, what)
  if type(value) == "number" and value == floor(value) and value >= -2 ^ 53 and value <= 2 ^ 53 then return value end
  misuse("%s: must be a whole number, is %s", what, tostring(value))
end

-- A number or a table of numbers as a table of whole numbers.
local function wholes(value, what)
  if type(value) == "number" then return { whole(value, what) } end
  if type(value) ~= "table" then misuse("%s: must be a number or a table of numbers, is %s", what, type(value)) end
  local list = {}
  for i = 1, #value do list[i] = whole(value[i], ("%s[%d]"):format(what, i)) end
  return list
end

-- The INT64 tensor that ONNX takes axes, shapes and positions as.
local function positions(value, what)
  if tensor.is_device(value) then return value end
  local list = wholes(value, what)
  return tensor.tensor("INT64", { #list }, list)
end

-- A number as a tensor of `like`'s element type (FP32 where that is not known); tensors as they are.
local function operand(value, like, what)
  if type(value) == "number" then
    local kind = kind_of(like)
    return tensor.tensor(kind and kind.name or "FP32", {}, { value })
  end
  value = tensor.on_device(value)
  if not tensor.is_device(value) then misuse("%s: must be a tensor or a number, is %s", what, type(value)) end
  return value
end

local function flag(value) return value and 1 or 0 end

--- elementwise --------------------------------------------------------------------------------------------------------

local unary = {
  relu = "Relu", sigmoid = "Sigmoid", tanh = "Tanh", exp = "Exp", log = "Log", sqrt = "Sqrt", neg = "Neg", abs = "Abs",
  erf = "Erf", gelu = "Gelu", floor = "Floor", ceil = "Ceil", round = "Round", sign = "Sign", logical_not = "Not",
  reciprocal = "Reciprocal",
}
for name, op_type in pairs(unary) do
  methods[name] = function(x) return (run(op_type, { x }, 1, kind_of(x))) end
end

-- Operands may be numbers on either side; shapes are broadcast.
local function combine(op_type, name, a, b, kind)
  local left = operand(a, b, name)
  local right = operand(b, left, name)
  return (run(op_type, { left, right }, 1, kind or kind_of(left)))
end

local binary = { add = "Add", sub = "Sub", mul = "Mul", div = "Div", pow = "Pow", maximum = "Max", minimum = "Min" }
for name, op_type in pairs(binary) do
  methods[name] = function(a, b) return combine(op_type, name, a, b) end
end

local comparison = {
  equal = "Equal", less = "Less", less_equal = "LessOrEqual", greater = "Greater", greater_equal = "GreaterOrEqual",
  logical_and = "And", logical_or = "Or",
}
for name, op_type in pairs(comparison) do
  methods[name] = function(a, b) return combine(op_type, name, a, b, tensor.kind("BOOL", name)) end
end

-- Elements below low become low, those above high become high; nil: no bound.
function methods.clip(x, low, high)
  if low ~= nil then x = methods.maximum(x, low) end
  if high ~= nil then x = methods.minimum(x, high) end
  return x
end

-- Elements of a where condition holds, else of b.
function M.where(condition, a, b)
  local left = operand(a, b, "where: a")
  local right = operand(b, left, "where: b")
  return (run("Where", { operand(condition, nil, "where: condition"), left, right }, 1, kind_of(left)))
end

function methods.cast(x, datatype)
  local kind = tensor.kind(datatype, "cast")
  return (run("Cast", { x }, 1, kind, { "to", kind.number }))
end

--- along axes ---------------------------------------------------------------------------------------------------------

for name, op_type in pairs { softmax = "Softmax", log_softmax = "LogSoftmax" } do
  methods[name] = function(x, axis)
    return (run(op_type, { x }, 1, kind_of(x), { "axis", whole(axis or -1, name .. ": axis") }))
  end
end

-- Over axes (nil: all); keep leaves them in the shape as 1.
for name, op_type in pairs { sum = "ReduceSum", mean = "ReduceMean", max = "ReduceMax", min = "ReduceMin" } do
  methods[name] = function(x, axes, keep)
    local inputs = { x }
    if axes ~= nil then inputs[2] = positions(axes, name .. ": axes") end
    return (run(op_type, inputs, 1, kind_of(x), { "keepdims", flag(keep) }))
  end
end

-- Position of the largest or smallest element along axis (the last one when nil).
for name, op_type in pairs { argmax = "ArgMax", argmin = "ArgMin" } do
  methods[name] = function(x, axis, keep)
    local attributes = { "axis", whole(axis or -1, name .. ": axis"), "keepdims", flag(keep) }
    return (run(op_type, { x }, 1, tensor.kind("INT64", name), attributes))
  end
end

-- The k largest elements along axis (the last one when nil), in order, and their positions; smallest: the k smallest.
function methods.topk(x, k, axis, smallest)
  local count = positions(whole(k, "topk: k"), "topk: k")
  return run("TopK", { x, count }, 2, nil,
    { "axis", whole(axis or -1, "topk: axis"), "largest", flag(not smallest), "sorted", 1 })
end

--- products and shapes ------------------------------------------------------------------------------------------------

function methods.matmul(a, b) return (run("MatMul", { a, operand(b, a, "matmul") }, 1, kind_of(a))) end

-- shape: one size may be -1, which is what is left; 0: as it was.
function methods.reshape(x, shape)
  return (run("Reshape", { x, positions(shape, "reshape: shape") }, 1, kind_of(x)))
end

function methods.expand(x, shape) return (run("Expand", { x, positions(shape, "expand: shape") }, 1, kind_of(x))) end

-- order: axis of x for each axis of the result; nil: the other way round.
function methods.transpose(x, order)
  return (run("Transpose", { x }, 1, kind_of(x), order and { "perm", wholes(order, "transpose: order") }))
end

-- From starts up to but not with ends, along axes (nil: the first ones) by steps (nil: 1).
function methods.slice(x, starts, ends, axes, steps)
  starts, ends = wholes(starts, "slice: starts"), wholes(ends, "slice: ends")
  axes, steps = axes and wholes(axes, "slice: axes"), steps and wholes(steps, "slice: steps")
  if not axes then
    axes = {}
    for i = 1, #starts do axes[i] = i - 1 end
  end
  local inputs = { x, positions(starts), positions(ends), positions(axes) }
  if steps then inputs[5] = positions(steps) end
  return (run("Slice", inputs, 1, kind_of(x)))
end

-- As a matrix: axes before `axis` (1 when nil) become rows, the others columns.
function methods.flatten(x, axis)
  return (run("Flatten", { x }, 1, kind_of(x), { "axis", whole(axis or 1, "flatten: axis") }))
end

-- In pieces of these sizes along axis (0 when nil).
function methods.split(x, sizes, axis)
  sizes = wholes(sizes, "split: sizes")
  return run("Split", { x, positions(sizes) }, #sizes, kind_of(x), { "axis", whole(axis or 0, "split: axis") })
end

-- With `before` and `after` elements of value (0 when nil) more along each axis.
function methods.pad(x, before, after, value)
  local counts = wholes(before, "pad: before")
  for _, count in ipairs(wholes(after, "pad: after")) do counts[#counts + 1] = count end
  return (run("Pad", { x, positions(counts), operand(value or 0, x, "pad: value") }, 1, kind_of(x)))
end

-- To these sizes, one an axis; mode: "nearest" (when nil), "linear" or "cubic".
function methods.resize(x, sizes, mode)
  if mode ~= nil and type(mode) ~= "string" then misuse("resize: mode: must be a string, is %s", type(mode)) end
  local regions, scales = tensor.tensor("FP32", { 0 }, {}), tensor.tensor("FP32", { 0 }, {})
  return (run("Resize", { x, regions, scales, positions(sizes, "resize: sizes") }, 1, kind_of(x),
    { "mode", mode or "nearest" }))
end

-- Each row along the last axis to mean 0 and variance 1, times scale, plus bias (nil: neither).
function methods.layer_norm(x, scale, bias, axis)
  local inputs = { x, operand(scale or 1, x, "layer_norm: scale") }
  if bias ~= nil then inputs[3] = operand(bias, x, "layer_norm: bias") end
  return (run("LayerNormalization", inputs, 1, kind_of(x), { "axis", whole(axis or -1, "layer_norm: axis") }))
end

-- Slices of x along axis (0 when nil), at these positions.
function methods.gather(x, indices, axis)
  return (run("Gather", { x, positions(indices, "gather: indices") }, 1, kind_of(x),
    { "axis", whole(axis or 0, "gather: axis") }))
end

-- Without the axes (nil: all) of size 1.
function methods.squeeze(x, axes)
  local inputs = { x }
  if axes ~= nil then inputs[2] = positions(axes, "squeeze: axes") end
  return (run("Squeeze", inputs, 1, kind_of(x)))
end

-- With axes of size 1 at these places of the result.
function methods.unsqueeze(x, axes)
  return (run("Unsqueeze", { x, positions(axes, "unsqueeze: axes") }, 1, kind_of(x)))
end

-- Tensors one behind the other along axis (0 when nil).
function M.concat(list, axis)
  if type(list) ~= "table" or #list == 0 then misuse "concat: takes a table of tensors" end
  local inputs = {}
  for i = 1, #list do inputs[i] = operand(list[i], nil, "concat") end
  return (run("Concat", inputs, 1, kind_of(inputs[1]), { "axis", whole(axis or 0, "concat: axis") }))
end

function methods.concat(x, other, axis) return M.concat({ x, other }, axis) end

return M
