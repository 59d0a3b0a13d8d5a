-- What handlers can do with device tensors: methods and operators, each one ONNX operator that the core runs with the
-- request's next batch. Axes and positions count from 0, negative ones from the end, as ONNX has it.
local misuse = require "tidepool.misuse"
local shown = require "tidepool.shown"
local tensor = require "tidepool.tensor"

local methods, run, kind_of = tensor.methods, tensor.run_operator, tensor.kind_of

local floor, type, pairs, select = math.floor, type, pairs, select

local M = {}

--- arguments ----------------------------------------------------------------------------------------------------------

local function is_whole(value)
  return type(value) == "number" and value == floor(value) and value >= -2 ^ 53 and value <= 2 ^ 53
end

local function whole(value, what)
  if is_whole(value) then return value end
  misuse("%s: must be a whole number, is %s", what, shown(value))
end

-- A number or a table of numbers as a table of whole numbers.
local function wholes(value, what)
  if type(value) == "number" then return { whole(value, what) } end
  if type(value) ~= "table" then misuse("%s: must be a number or a table of numbers, is %s", what, shown(value)) end
  local list = {}
  for i = 1, #value do
    list[i] = is_whole(value[i]) and value[i] or whole(value[i], ("%s[%d]"):format(what, i))
  end
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
  local moved = tensor.on_device(value)
  if not tensor.is_device(moved) then misuse("%s: must be a tensor or a number, is %s", what, shown(value)) end
  return moved
end

-- The tensors of a table of `count`.
local function operands(list, count, what)
  local inputs = {}
  for i = 1, count do
    local value = list[i]
    inputs[i] = tensor.is_device(value) and value or operand(value, nil, ("%s: [%d]"):format(what, i))
  end
  return inputs
end

local function flag(value) return value and 1 or 0 end

-- A number for an operator's attribute; `default` for nil.
local function number(value, default, what)
  if value == nil then value = default end
  if type(value) ~= "number" then misuse("%s: must be a number, is %s", what, shown(value)) end
  return tensor.float(value)
end

--- elementwise --------------------------------------------------------------------------------------------------------

local unary = {
  relu = "Relu", sigmoid = "Sigmoid", tanh = "Tanh", exp = "Exp", log = "Log", sqrt = "Sqrt", neg = "Neg", abs = "Abs",
  erf = "Erf", gelu = "Gelu", floor = "Floor", ceil = "Ceil", round = "Round", sign = "Sign", logical_not = "Not",
  reciprocal = "Reciprocal", sin = "Sin", cos = "Cos", tan = "Tan", softplus = "Softplus", softsign = "Softsign",
  silu = "Swish", mish = "Mish", hard_swish = "HardSwish",
}
for name, op_type in pairs(unary) do
  methods[name] = function(x) return (run(op_type, { x }, 1, kind_of(x))) end
end

for name, op_type in pairs { is_nan = "IsNaN", is_inf = "IsInf" } do
  methods[name] = function(x) return (run(op_type, { x }, 1, tensor.kind("BOOL", name))) end
end

-- Elements below 0 times alpha (leaky_relu: 0.01 when nil; elu: exp(x) - 1 times alpha, 1 when nil).
for name, parts in pairs { leaky_relu = { "LeakyRelu", 0.01 }, elu = { "Elu", 1 } } do
  methods[name] = function(x, alpha)
    return (run(parts[1], { x }, 1, kind_of(x), { "alpha", number(alpha, parts[2], name .. ": alpha") }))
  end
end

-- Operands may be numbers on either side; shapes are broadcast. names: of both for messages.
local function combine(op_type, names, a, b, kind)
  local left = operand(a, b, names.left)
  local right = operand(b, left, names.other)
  return (run(op_type, { left, right }, 1, kind or kind_of(left)))
end

local function names_of(name) return { left = name .. ": left", other = name .. ": other" } end

local binary = { add = "Add", sub = "Sub", mul = "Mul", div = "Div", pow = "Pow", maximum = "Max", minimum = "Min" }
for name, op_type in pairs(binary) do
  local names = names_of(name)
  methods[name] = function(a, b) return combine(op_type, names, a, b) end
end

local comparison = {
  equal = "Equal", less = "Less", less_equal = "LessOrEqual", greater = "Greater", greater_equal = "GreaterOrEqual",
  logical_and = "And", logical_or = "Or", logical_xor = "Xor",
}
for name, op_type in pairs(comparison) do
  local names = names_of(name)
  methods[name] = function(a, b) return combine(op_type, names, a, b, tensor.kind("BOOL", name)) end
end

-- What is left of a division, with the sign of b, as Lua's %.
function methods.mod(a, b)
  local left = operand(a, b, "mod: left")
  local right = operand(b, left, "mod: other")
  local kind = kind_of(left)
  -- Integers have an operator of their own; its sign is the divisor's.
  if kind and not kind.name:find "^B?F" then return (run("Mod", { left, right }, 1, kind)) end
  local quotient = methods.div(left, right)
  return methods.sub(left, methods.mul(methods.floor(quotient), right))
end

-- Elements below low become low, those above high become high; nil: no bound.
function methods.clip(x, low, high)
  if low ~= nil then x = methods.maximum(x, operand(low, x, "clip: low")) end
  if high ~= nil then x = methods.minimum(x, operand(high, x, "clip: high")) end
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
local reductions = {
  sum = "ReduceSum", mean = "ReduceMean", max = "ReduceMax", min = "ReduceMin", prod = "ReduceProd",
  sum_square = "ReduceSumSquare", norm1 = "ReduceL1", norm2 = "ReduceL2", log_sum_exp = "ReduceLogSumExp",
}
for name, op_type in pairs(reductions) do
  methods[name] = function(x, axes, keep)
    local inputs = { x }
    if axes ~= nil then inputs[2] = positions(axes, name .. ": axes") end
    return (run(op_type, inputs, 1, kind_of(x), { "keepdims", flag(keep) }))
  end
end

-- Mean of the squared distances from the mean, and its root; axes and keep as for the reductions.
function methods.var(x, axes, keep)
  local away = methods.sub(x, methods.mean(x, axes, true))
  return methods.mean(methods.mul(away, away), axes, keep)
end

function methods.std(x, axes, keep) return methods.sqrt(methods.var(x, axes, keep)) end

-- The sum of the elements so far along axis (the last one when nil).
function methods.cumsum(x, axis)
  local axes = tensor.tensor("INT64", {}, { whole(axis or -1, "cumsum: axis") })
  return (run("CumSum", { x, axes }, 1, kind_of(x)))
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
  return run("TopK", { x, count }, 2, { kind_of(x), tensor.kind("INT64", "topk") },
    { "axis", whole(axis or -1, "topk: axis"), "largest", flag(not smallest), "sorted", 1 })
end

--- products and shapes ------------------------------------------------------------------------------------------------

function methods.matmul(a, b) return (run("MatMul", { a, operand(b, a, "matmul: other") }, 1, kind_of(a))) end

-- Products and sums over named axes: tide.einsum("bij,bjk->bik", a, b).
function M.einsum(equation, ...)
  if type(equation) ~= "string" then misuse("einsum: equation: must be a string, is %s", shown(equation)) end
  if #equation > 31 then misuse("einsum: equation: has %d characters, at most 31", #equation) end
  local inputs = operands({ ... }, select("#", ...), "einsum")
  return (run("Einsum", inputs, 1, kind_of(inputs[1]), { "equation", equation }))
end

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
  after = wholes(after, "pad: after")
  if #after ~= #counts then misuse("pad: after: has %d sizes, before has %d", #after, #counts) end
  for _, count in ipairs(after) do counts[#counts + 1] = count end
  return (run("Pad", { x, positions(counts), operand(value or 0, x, "pad: value") }, 1, kind_of(x)))
end

-- To these sizes, one an axis; mode: "nearest" (when nil), "linear" or "cubic".
function methods.resize(x, sizes, mode)
  if mode ~= nil and type(mode) ~= "string" then misuse("resize: mode: must be a string, is %s", shown(mode)) end
  local regions, scales = tensor.tensor("FP32", { 0 }, {}), tensor.tensor("FP32", { 0 }, {})
  return (run("Resize", { x, regions, scales, positions(sizes, "resize: sizes") }, 1, kind_of(x),
    { "mode", mode or "nearest" }))
end

-- The axes from a negative one on, to mean 0 and variance 1.
local function standardize(x, axis, epsilon)
  if axis >= 0 then misuse("layer_norm: axis: must count from the end where scale is no tensor, is %d", axis) end
  local axes = {}
  for i = axis, -1 do axes[#axes + 1] = i end
  local away = methods.sub(x, methods.mean(x, axes, true))
  local spread = methods.mean(methods.mul(away, away), axes, true)
  return methods.div(away, methods.sqrt(methods.add(spread, epsilon)))
end

-- The axes from `axis` on (the last one when nil) to mean 0 and variance 1, times scale, plus bias (nil: neither);
-- epsilon (1e-5 when nil) is added to the variance.
function methods.layer_norm(x, scale, bias, axis, epsilon)
  axis = whole(axis or -1, "layer_norm: axis")
  if scale == nil or type(scale) == "number" then
    local y = standardize(x, axis, epsilon or 1e-5)
    if scale ~= nil then y = methods.mul(y, scale) end
    return bias == nil and y or methods.add(y, bias)
  end
  local inputs = { x, operand(scale, x, "layer_norm: scale") }
  if bias ~= nil then inputs[3] = operand(bias, x, "layer_norm: bias") end
  return (run("LayerNormalization", inputs, 1, kind_of(x),
    { "axis", axis, "epsilon", number(epsilon, 1e-5, "layer_norm: epsilon") }))
end

-- Less mean, divided by std: numbers, or tables of one number a channel, which is the axis `axis` (1 when nil) of a
-- tensor with `rank` axes (4 when nil), as images are NCHW.
function methods.normalize(x, mean, std, axis, rank)
  axis, rank = whole(axis or 1, "normalize: axis"), whole(rank or 4, "normalize: rank")
  if axis < 0 or axis >= rank then misuse("normalize: axis: %d of a tensor with %d axes", axis, rank) end
  local function along(value, what)
    if type(value) ~= "table" then return operand(value, x, what) end
    local shape = {}
    for i = 1, rank do shape[i] = i == axis + 1 and #value or 1 end
    local kind = kind_of(x)
    return tensor.tensor(kind and kind.name or "FP32", shape, value)
  end
  return methods.div(methods.sub(x, along(mean, "normalize: mean")), along(std, "normalize: std"))
end

-- Divided by its length along axis (the last one when nil); a length below epsilon (1e-12 when nil) counts as that.
function methods.l2_normalize(x, axis, epsilon)
  local length = methods.norm2(x, whole(axis or -1, "l2_normalize: axis"), true)
  return methods.div(x, methods.maximum(length, epsilon or 1e-12))
end

-- Slices of x along axis (0 when nil), at these positions.
function methods.gather(x, indices, axis)
  return (run("Gather", { x, positions(indices, "gather: indices") }, 1, kind_of(x),
    { "axis", whole(axis or 0, "gather: axis") }))
end

-- Elements of x whose position along axis (the last one when nil) the tensor indices gives, one for each of its own.
function methods.take_along(x, indices, axis)
  indices = operand(indices, nil, "take_along: indices")
  return (run("GatherElements", { x, indices }, 1, kind_of(x), { "axis", whole(axis or -1, "take_along: axis") }))
end

-- Rows of `depth` numbers, 1 at the position that an element of x names and 0 elsewhere, of that datatype (FP32).
function methods.one_hot(x, depth, datatype)
  local kind = tensor.kind(datatype or "FP32", "one_hot")
  local values = tensor.tensor(kind.name, { 2 }, { 0, 1 })
  return (run("OneHot", { x, positions(whole(depth, "one_hot: depth")), values }, 1, kind))
end

-- counts: how often x is repeated along each axis.
function methods.tile(x, counts) return (run("Tile", { x, positions(counts, "tile: counts") }, 1, kind_of(x))) end

-- The slice of an axis at one position, without the axis.
local function at(x, position, axis)
  return (run("Gather", { x, tensor.tensor("INT64", {}, { position }) }, 1, kind_of(x), { "axis", axis }))
end

-- x[i], x[{ i, { from, to }, true }]: for each axis from the first on a position, which drops the axis, a range up to
-- but not with `to` (nil: to the end), or true for all of it.
function M.index(x, key)
  if type(key) == "number" then return at(x, whole(key, "index"), 0) end
  if type(key) ~= "table" then misuse("index: must be a number or a table, is %s", shown(key)) end
  local starts, ends, axes, positions_of = {}, {}, {}, {}
  for i = 1, #key do
    local place, what = key[i], ("index: [%d]"):format(i)
    if type(place) == "table" then
      starts[#starts + 1], axes[#axes + 1] = whole(place[1], what), i - 1
      ends[#ends + 1] = place[2] == nil and 2 ^ 53 or whole(place[2], what)
    elseif place ~= true then
      positions_of[i - 1] = whole(place, what)
    end
  end
  if #axes > 0 then x = methods.slice(x, starts, ends, axes) end
  -- From the last on, so that the axes before it stay where they are.
  for axis = #key - 1, 0, -1 do
    if positions_of[axis] then x = at(x, positions_of[axis], axis) end
  end
  return x
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

local function tensors_of(list, what)
  if type(list) ~= "table" or #list == 0 then misuse("%s: must be a table of tensors, is %s", what, shown(list)) end
  return operands(list, #list, what)
end

-- Tensors one behind the other along axis (0 when nil).
function M.concat(list, axis)
  local inputs = tensors_of(list, "concat")
  return (run("Concat", inputs, 1, kind_of(inputs[1]), { "axis", whole(axis or 0, "concat: axis") }))
end

function methods.concat(x, other, axis) return M.concat({ x, operand(other, x, "concat: other") }, axis) end

-- Tensors of one shape as the slices of a new axis (the first one when nil).
function M.stack(list, axis)
  local parts = tensors_of(list, "stack")
  axis = whole(axis or 0, "stack: axis")
  for i = 1, #parts do parts[i] = methods.unsqueeze(parts[i], axis) end
  return M.concat(parts, axis)
end

-- Numbers from `from` up to but not with `to`, by step (1 when nil), of that datatype (INT64 when nil).
function M.range(from, to, step, datatype)
  local kind = tensor.kind(datatype or "INT64", "range")
  local ends, names = { from, to, step or 1 }, { "from", "to", "step" }
  for i = 1, 3 do
    if type(ends[i]) ~= "number" then misuse("range: %s: must be a number, is %s", names[i], shown(ends[i])) end
    ends[i] = tensor.tensor(kind.name, {}, { ends[i] })
  end
  return (run("Range", ends, 1, kind))
end

-- A tensor of that shape, every element `value`; on the device only.
function M.full(datatype, shape, value)
  local kind = tensor.kind(datatype, "full")
  if type(value) ~= "number" and type(value) ~= "boolean" then
    misuse("full: value: must be a number, is %s", shown(value))
  end
  local one = tensor.tensor(kind.name, {}, { value })
  return (run("Expand", { one, positions(shape, "full: shape") }, 1, kind))
end

tensor.index = M.index

return M
