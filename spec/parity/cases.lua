-- Operators, with inputs as large as networks have them, in small: {name, inputs, make, options}. An input is its dims,
-- or {dims=, datatype=, values=}; make(b, x, …) adds to a builder of models/zoo and returns the output.
-- options: staged, the one operator that may run on the host; step, one that must be among the steps; within, how near
-- the results must be, absolute, where that is less than parity's own (rounded to 16 bits at other places); exact, they
-- must be the same.
local cases = {}

local function case(name, inputs, make, options)
  options = options or {}
  cases[#cases + 1] = { name = name, inputs = inputs, make = make, staged = options.staged, step = options.step,
    within = options.within, exact = options.exact }
end

local function node(op_type, attributes)
  return function(b, ...) return b:node(op_type, { ... }, attributes) end
end

local function integers(...) return { dims = { select("#", ...) }, datatype = "INT64", values = { ... } } end

-- --- element-wise -------------------------------------------------------------------------------------------------

local PLANES = { 2, 16, 20, 21 }

for _, op_type in ipairs {
  "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Softplus", "Softsign",
  "ThresholdedRelu", "Exp", "Reciprocal", "Neg", "Abs", "Sign", "Floor", "Ceil", "Round", "Erf", "Sin", "Cos", "Tan",
  "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Atanh", "IsNaN", "IsInf", "Shrink",
} do
  case(op_type, { PLANES }, function(b, x)
    local y = b:node(op_type, { x })
    -- Judgements are booleans.
    return (op_type == "IsNaN" or op_type == "IsInf") and b:node("Cast", { y }, { to = 1 }) or y
  end)
end
case("Sqrt, Log of squares", { PLANES }, function(b, x)
  local y = b:add(b:mul(x, x), b:number(0.1))
  return { b:node("Sqrt", { y }), b:node("Log", { y }), b:node("Acosh", { b:add(y, b:number(1)) }) }
end)
case("Clip", { PLANES }, function(b, x) return b:clip(x, -0.25, 0.5) end)
for _, op_type in ipairs { "Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu" } do
  case(op_type, { PLANES, PLANES }, node(op_type))
  case(op_type .. " a channel", { PLANES, { 16, 1, 1 } }, node(op_type))
  case(op_type .. " a row", { PLANES, { 21 } }, node(op_type))
end
case("Pow", { PLANES }, function(b, x) return b:pow(b:node("Abs", { x }), b:number(1.7)) end)
case("Sum and Mean of three", { PLANES, { 1, 16, 1, 21 }, PLANES }, function(b, x, y, z)
  return { b:node("Sum", { x, y, z }), b:node("Mean", { x, y, z }) }
end)
for _, op_type in ipairs { "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual" } do
  case(op_type, { PLANES, PLANES },
    function(b, x, y) return b:node("Cast", { b:node(op_type, { x, y }) }, { to = 1 }) end)
end
-- 4 * 8 BOOLs are as many bytes as the 8 numbers that are read for every row of them.
for _, dims in ipairs { { 1, 8 }, { 8, 1 } } do
  case(("Less of what is spread, %d columns"):format(dims[2]), { dims[1] == 1 and { 4, 8 } or { 8, 4 }, dims },
    function(b, x, y) return b:node("Cast", { b:node("Less", { x, b:node("Neg", { y }) }) }, { to = 1 }) end)
end
case("And, Or, Xor, Not", { PLANES, PLANES }, function(b, x, y)
  local p, q = b:node("Less", { x, y }), b:node("Less", { x, b:number(0) })
  local all = {}
  for i, op_type in ipairs { "And", "Or", "Xor" } do
    all[i] = b:node("Cast", { b:node(op_type, { p, q }) }, { to = 1 })
  end
  all[4] = b:node("Cast", { b:node("Not", { p }) }, { to = 1 })
  return all
end)
case("Where", { PLANES, PLANES }, function(b, x, y) return b:node("Where", { b:node("Less", { x, y }), x, y }) end)
case("Mod of integers", { integers(7, -7, 9, 0, -3), integers(3, 3, -4, 5, -2) }, node "Mod")
case("Cast there and back", { PLANES }, function(b, x)
  local all = {}
  for i, to in ipairs { 10, 16, 11, 6, 7, 3, 2 } do
    all[i] = b:node("Cast", { b:node("Cast", { b:mul(x, b:number(100)) }, { to = to }) }, { to = 1 })
  end
  return all
end)

-- --- products and convolutions ------------------------------------------------------------------------------------

case("MatMul", { { 33, 65 } }, function(b, x) return b:matmul(x, b:weight({ 65, 40 }, 1)) end)
case("MatMul, batches", { { 2, 3, 17, 24 }, { 2, 3, 24, 19 } }, node "MatMul")
case("MatMul, batches that repeat", { { 2, 1, 17, 24 }, { 3, 24, 19 } }, node "MatMul")
case("MatMul of what is transposed", { { 2, 3, 17, 24 }, { 2, 3, 19, 24 } }, function(b, x, y)
  return b:matmul(x, b:transpose(y, { 0, 1, 3, 2 }))
end)
case("MatMul of a transposed constant", { { 33, 64 } }, function(b, x)
  return b:relu(b:matmul(x, b:transpose(b:weight({ 48, 64 }, 1), { 1, 0 })))
end)
case("MatMul, Add, Relu", { { 33, 64 } }, function(b, x)
  return b:relu(b:add(b:matmul(x, b:weight({ 64, 48 }, 1)), b:weight({ 48 }, 1)))
end)
case("MatMul, Add, Gelu", { { 33, 64 } }, function(b, x)
  local y = b:add(b:matmul(x, b:weight({ 64, 48 }, 1)), b:weight({ 48 }, 1))
  local erf = b:erf(b:div(y, b:number(math.sqrt(2))))
  return b:mul(b:mul(y, b:add(erf, b:number(1))), b:number(0.5))
end)
case("Gemm", { { 24, 33 } }, function(b, x)
  return b:node("Gemm", { x, b:weight({ 40, 24 }, 1), b:weight({ 40 }, 1) },
    { transA = 1, transB = 1, alpha = { float = 0.5 }, beta = { float = 2 } })
end)
case("MatMul of integers", { { dims = { 2, 3 }, datatype = "INT64", values = { 1, 2, 3, 4, 5, 6 } },
  { dims = { 3, 2 }, datatype = "INT64", values = { 7, 8, 9, 10, 11, 12 } } }, node "MatMul")
-- Of 16-bit floats, by cuDNN where it has an engine for the heads' size; with masks as BERT and GPT-2 have them.
for _, how in ipairs {
  { size = 16 }, { size = 16, to = 16 }, { size = 24, mask = { 2, 1, 1, 40 } }, { size = 12 },
  { size = 16, mask = { 1, 1, 37, 40 }, to = 16 }, { size = 12, mask = { 2, 3, 37, 40 } }, { size = 200, to = 16 },
  { size = 250, mask = { 40 } },
} do
  local rows, keys, heads, to = 37, 40, 3, how.to or 10
  local width = heads * how.size
  local name = ("attention of type %d, heads of %d%s"):format(to, how.size,
    how.mask and ", mask " .. table.concat(how.mask, "x") or "")
  case(name, { { 2, rows, width }, { 2, keys, width } }, function(b, x, y)
    local function split(value, tokens, perm)
      local half = b:node("Cast", { value }, { to = to })
      return b:transpose(b:reshape(half, { 0, tokens, heads, how.size }), perm)
    end
    local q, k, v = split(x, rows, { 0, 2, 1, 3 }), split(y, keys, { 0, 2, 3, 1 }), split(y, keys, { 0, 2, 1, 3 })
    local scores = b:mul(b:matmul(q, k), b:node("Cast", { b:number(0.25) }, { to = to }))
    if how.mask then
      local values = {}
      local count = 1
      for _, dim in ipairs(how.mask) do count = count * dim end
      for i = 1, count do values[i] = i % 5 == 0 and -10000 or i % 7 / 8 end
      scores = b:add(scores, b:node("Cast", { b:constant(values, "FP32", how.mask) }, { to = to }))
    end
    local mixed = b:matmul(b:softmax(scores), v)
    return b:node("Cast", { b:transpose(mixed, { 0, 2, 1, 3 }) }, { to = 1 })
  end, { within = to == 16 and 1.5e-2 or 2e-3, step = "Attention" })
end
-- Products of bytes: several tiles, the last ones not full; bytes of both kinds, zero points for all or a column each.
for _, how in ipairs { { a = 2, b = 2 }, { a = 3, b = 3 }, { a = 2, b = 3 } } do
  local m, k, n = 70, 99, 131
  local function bytes(b, x, to)
    return b:node("Cast", { b:add(b:mul(x, b:number(100)), b:number(to == 2 and 110 or 0)) }, { to = to })
  end
  local function zeros(b, count, to)
    local values = {}
    for i = 1, count do values[i] = i * 37 % 100 end
    return b:node("Cast", { b:constant(values, "FP32", count > 1 and { count } or {}) }, { to = to })
  end
  local name = (" of types %d and %d"):format(how.a, how.b)
  case("MatMulInteger" .. name, { { 2, m, k }, { k, n } }, function(b, x, y)
    return b:node("Cast", { b:node("MatMulInteger", { bytes(b, x, how.a), bytes(b, y, how.b), zeros(b, 1, how.a),
      zeros(b, n, how.b) }) }, { to = 1 })
  end)
  case("ConvInteger" .. name, { { 2, 10, 13, 12 }, { 12, 5, 3, 3 } }, function(b, x, w)
    return b:node("Cast", { b:node("ConvInteger", { bytes(b, x, how.a), bytes(b, w, how.b), zeros(b, 1, how.a),
      zeros(b, 1, how.b) }, { pads = { 1, 0, 2, 1 }, strides = { 2, 1 }, group = 2 }) }, { to = 1 })
  end)
end
-- The same by a constant, which the tensor cores take where its dims are multiples of 4; sums, and rounded to bytes.
for _, how in ipairs {
  { a = 2, b = 2 }, { a = 3, b = 3 }, { a = 2, b = 3 }, { a = 2, b = 2, k = 95 }, { a = 2, b = 3, rounds = true },
  { a = 3, b = 3, rounds = true },
} do
  local m, k, n = 35, how.k or 96, 132
  local low = { [2] = 0, [3] = -128 }
  local function number(b, value, to)
    local whole = b:constant({ value }, "FP32", {})
    return to and b:node("Cast", { whole }, { to = to }) or whole
  end
  local function matrix(b)
    local values = {}
    for i = 1, k * n do values[i] = low[how.b] + i * 7 % 251 end
    return b:node("Cast", { b:constant(values, "FP32", { k, n }) }, { to = how.b })
  end
  local name = ("%s of types %d and %d by a constant, k = %d"):format(
    how.rounds and "QLinearMatMul" or "MatMulInteger", how.a, how.b, k)
  case(name, { { 2, m, k } }, function(b, x)
    local bytes = b:node("Cast", { b:add(b:mul(x, b:number(100)), b:number(low[how.a] + 120)) }, { to = how.a })
    local zero_a, zero_b = number(b, low[how.a] + 117, how.a), number(b, low[how.b] + 130, how.b)
    if not how.rounds then
      return b:node("Cast", { b:node("MatMulInteger", { bytes, matrix(b), zero_a, zero_b }) }, { to = 1 })
    end
    return b:node("Cast", { b:node("QLinearMatMul", { bytes, number(b, 0.02), zero_a, matrix(b), number(b, 0.01),
      zero_b, number(b, 0.7), number(b, low[how.a] + 128, how.a) }) }, { to = 1 })
  end, { exact = true })
end
-- A product of matrices, one with dimensions put together, one of elements; and what stays an Einsum.
for _, how in ipairs {
  { "bij,bjk->bik", { 2, 5, 7 }, { 2, 7, 6 } }, { "bqhd,bkhd->bhqk", { 2, 7, 3, 8 }, { 2, 9, 3, 8 } },
  { "abcd,cde->abe", { 2, 5, 3, 4 }, { 3, 4, 6 } }, { "bn,bm->bnm", { 2, 5 }, { 2, 7 } },
  { "bi,bi->b", { 3, 50 }, { 3, 50 } }, { "ij,kj->k", { 3, 40 }, { 5, 40 } },
} do
  case("Einsum, " .. how[1], { how[2], how[3] }, node("Einsum", { equation = how[1] }))
end
case("Det", { { 3, 4, 4 } }, node "Det")
for _, groups in ipairs { 1, 4, 16 } do
  case("Conv, groups " .. groups, { { 2, 16, 14, 15 } }, function(b, x)
    return b:conv(x, 16, 32, { kernel = 3, pad = 1, groups = groups })
  end)
end
case("Conv, bias, Relu", { { 1, 8, 20, 20 } }, function(b, x)
  return b:relu(b:conv(x, 8, 24, { kernel = 3, stride = 2, pad = 1, bias = true }))
end)
case("Conv, bias, sum, Relu", { { 1, 16, 12, 12 } }, function(b, x)
  return b:relu(b:add(b:conv(x, 16, 16, { kernel = 3, pad = 1, bias = true }), x))
end)
case("Conv, batch norm, HardSwish", { { 1, 16, 12, 12 } }, function(b, x)
  return b:node("HardSwish", { b:batch_norm(b:conv(x, 16, 24, { kernel = 1 }), 24) })
end)
case("Conv of one dimension", { { 2, 6, 40 } }, function(b, x)
  return b:node("Conv", { x, b:weight({ 8, 6, 5 }, 1) }, { dilations = { 2 }, pads = { 3, 1 } })
end)
case("Conv of three", { { 1, 4, 6, 7, 8 } }, function(b, x)
  return b:node("Conv", { x, b:weight({ 5, 4, 3, 3, 3 }, 1) }, { strides = { 1, 2, 1 }, pads = { 1, 1, 1, 1, 1, 1 } })
end)
case("ConvTranspose", { { 2, 6, 9, 8 } }, function(b, x)
  return b:node("ConvTranspose", { x, b:weight({ 6, 4, 3, 3 }, 1), b:weight({ 4 }, 1) },
    { strides = { 2, 2 }, pads = { 1, 1, 1, 1 } })
end)
case("ConvTranspose, groups", { { 1, 6, 9, 8 } }, function(b, x)
  return b:node("ConvTranspose", { x, b:weight({ 6, 2, 2, 3 }, 1) },
    { group = 3, output_padding = { 1, 0 }, strides = { 2, 1 } })
end)

-- --- many to one --------------------------------------------------------------------------------------------------

for _, op_type in ipairs {
  "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp",
} do
  case(op_type .. " of planes", { { 2, 5, 30, 31 } }, node(op_type, { axes = { 2, 3 } }))
  case(op_type .. " of channels", { { 2, 70, 6, 7 } }, node(op_type, { axes = { 1 }, keepdims = 0 }))
end
case("ReduceSum of all", { { 3, 40, 17 } }, node("ReduceSum", { keepdims = 0 }))
case("ReduceLogSum", { { 3, 40, 17 } },
  function(b, x) return b:node("ReduceLogSum", { b:node("Abs", { x }) }, { axes = { 1 } }) end)
for axis = 1, 2 do
  for _, op_type in ipairs { "Softmax", "LogSoftmax", "Hardmax" } do
    case(("%s, axis %d"):format(op_type, axis), { { 3, 90, 70 } }, node(op_type, { axis = axis }))
  end
end
for _, op_type in ipairs { "ArgMax", "ArgMin" } do
  case(op_type, { { 4, 200 } }, node(op_type, { axis = 1 }))
  case(op_type .. ", first axis", { { 40, 30 } }, node(op_type, { axis = 0, select_last_index = 1 }))
end
case("LayerNormalization", { { 3, 7, 80 } }, function(b, x)
  return b:node("LayerNormalization", { x, b:weight({ 80 }, 1), b:weight({ 80 }, 1) })
end)
case("InstanceNormalization", { { 2, 6, 9, 10 } }, function(b, x)
  return b:node("InstanceNormalization", { x, b:weight({ 6 }, 1), b:weight({ 6 }, 1) })
end)
case("BatchNormalization", { { 2, 6, 9, 10 } }, function(b, x) return b:batch_norm(x, 6) end)
case("LRN", { { 2, 9, 6, 7 } }, node("LRN", { size = 5 }))
case("LpNormalization", { { 4, 70 } }, node "LpNormalization")
case("MeanVarianceNormalization", { { 2, 4, 6, 7 } }, node "MeanVarianceNormalization")
local function cumsum(b, x, attributes) return b:node("CumSum", { x, b:constant({ 1 }, "INT64", {}) }, attributes) end
for _, how in ipairs { { 5, 40, 1 }, { 3, 300, 1, exclusive = 1 }, { 2, 5000, 1 }, { 2, 4097, 3, exclusive = 1 } } do
  for reverse = 0, 1 do
    local exclusive = how.exclusive or 0
    local name = ("CumSum of %d, exclusive %d, reverse %d"):format(how[2], exclusive, reverse)
    case(name, { { unpack(how) } }, function(b, x)
      return cumsum(b, b:node("Abs", { x }), { reverse = reverse, exclusive = exclusive })
    end)
  end
end
for _, to in ipairs { 3, 7, 11 } do
  case("CumSum of type " .. to, { { 2, 3000 } }, function(b, x)
    return b:node("Cast", { cumsum(b, b:node("Cast", { b:mul(x, b:number(100)) }, { to = to })) }, { to = 1 })
  end)
end
local function topk(b, x, k, attributes)
  local values, indices = b:node("TopK", { x, b:constant { k } }, attributes, { "values", "indices" })
  return { b:node("Cast", { values }, { to = 1 }), b:node("Cast", { indices }, { to = 1 }) }
end
-- Few of many, many of many, all; rounded, many are equal, and go by index.
for _, how in ipairs {
  { 3, 300, 7 }, { 2, 700, 300, to = 7 }, { 2, 500, 500, to = 3, largest = 0 }, { 1, 6000, 2500 },
  { 2, 20, 20, largest = 0 }, { 1, 5000, 9, to = 2 }, { 1, 900, 40, to = 11, largest = 0 },
} do
  local rows, columns, k = unpack(how)
  local to, largest = how.to or 1, how.largest or 1
  case(("TopK, %d of %d, type %d, largest %d"):format(k, columns, to, largest), { { rows, columns } }, function(b, x)
    local scaled = b:node("Abs", { b:mul(x, b:number(100)) })
    return topk(b, b:node("Cast", { scaled }, { to = to }), k, { axis = 1, largest = largest })
  end)
end
case("TopK along the first axis, with NaNs", { { 90, 3 } },
  function(b, x) return topk(b, b:node("Sqrt", { x }), 60, { axis = 0 }) end)

-- Boxes by centre and size, spread so that many overlap.
local function boxes(b, x)
  local function part(from, to)
    return b:node("Slice", { x, b:constant { from }, b:constant { to }, b:constant { 2 } })
  end
  local size = b:add(b:node("Abs", { part(2, 4) }), b:number(1))
  return b:node("Concat", { b:mul(part(0, 2), b:number(8)), size }, { axis = 2 })
end
local function suppress(b, inputs)
  return b:node("Cast", { b:node("NonMaxSuppression", inputs, { center_point_box = 1 }) }, { to = 1 })
end
for _, how in ipairs {
  { "few", most = 5, score = 0.3 }, { "all", most = 1000 }, { "none", most = 0 },
  { "of one tile", most = 200, count = 50 }, { "that none hides", most = 200, iou = 1 },
} do
  local count = how.count or 300
  case("NonMaxSuppression, " .. how[1], { { 2, count, 4 }, { 2, 3, count } }, function(b, x, scores)
    local least = how.score and b:constant({ how.score }, "FP32") or nil
    return suppress(b, { boxes(b, x), scores, b:constant { how.most }, b:constant({ how.iou or 0.4 }, "FP32"), least })
  end, { staged = "Interpret" })
end
case("NonMaxSuppression, as many as data says", { { 1, 90, 4 }, { 1, 2, 90 }, integers(20) },
  function(b, x, scores, most) return suppress(b, { boxes(b, x), scores, most, b:constant({ 0.2 }, "FP32") }) end,
  { staged = "Interpret" })

-- --- neighbourhoods -----------------------------------------------------------------------------------------------

case("MaxPool", { { 1, 8, 21, 20 } },
  node("MaxPool", { kernel_shape = { 3, 3 }, strides = { 2, 2 }, pads = { 1, 1, 1, 1 } }))
case("AveragePool", { { 1, 8, 21, 20 } },
  node("AveragePool", { kernel_shape = { 3, 3 }, pads = { 1, 1, 1, 1 }, count_include_pad = 1 }))
case("LpPool", { { 1, 8, 21, 20 } }, node("LpPool", { kernel_shape = { 2, 2 } }))
for _, op_type in ipairs { "MaxPool", "AveragePool", "LpPool" } do
  case(op_type .. " in half precision", { { 1, 8, 21, 20 } }, function(b, x)
    local half = b:node("Cast", { x }, { to = 10 })
    return b:node("Cast", { b:node(op_type, { half }, { kernel_shape = { 3, 3 }, strides = { 2, 2 } }) }, { to = 1 })
  end)
end
case("GlobalAveragePool", { { 2, 8, 21, 20 } }, node "GlobalAveragePool")
case("GlobalMaxPool", { { 2, 8, 21, 20 } }, node "GlobalMaxPool")
for _, mode in ipairs { "nearest", "linear", "cubic" } do
  case("Resize, " .. mode, { { 1, 3, 9, 10 } }, function(b, x)
    return b:node("Resize", { x, "", b:constant({ 1, 1, 1.7, 0.8 }, "FP32") }, { mode = mode })
  end)
end
case("GridSample", { { 1, 3, 9, 10 }, { 1, 5, 6, 2 } }, node "GridSample")
-- --- moving -------------------------------------------------------------------------------------------------------

case("Transpose of matrices", { { 3, 50, 41 } }, node("Transpose", { perm = { 0, 2, 1 } }))
case("Transpose of four", { { 2, 5, 9, 11 } }, node("Transpose", { perm = { 2, 0, 3, 1 } }))
case("Slice", { { 8, 30, 9 } }, function(b, x)
  return b:node("Slice", { x, b:constant { 1, 25 }, b:constant { 7, 2 }, b:constant { 0, 1 }, b:constant { 2, -3 } })
end)
case("Concat", { { 2, 3, 7 }, { 2, 4, 7 } }, node("Concat", { axis = 1 }))
case("Concat of the last", { { 9, 5 }, { 9, 2 } }, node("Concat", { axis = 1 }))
case("Expand", { { 3, 1, 7 } }, function(b, x) return b:node("Expand", { x, b:constant { 2, 3, 5, 7 } }) end)
case("Tile", { { 3, 4 } }, function(b, x) return b:node("Tile", { x, b:constant { 2, 3 } }) end)
for _, mode in ipairs { "constant", "reflect", "edge" } do
  case("Pad, " .. mode, { { 2, 7, 8 } }, function(b, x)
    return b:node("Pad", { x, b:constant { 0, 2, 1, 0, 3, 4 } }, { mode = mode })
  end)
end
case("DepthToSpace", { { 1, 12, 5, 6 } }, node("DepthToSpace", { blocksize = 2 }))
case("SpaceToDepth", { { 1, 3, 8, 6 } }, node("SpaceToDepth", { blocksize = 2 }))
case("Gather", { { 20, 33 }, integers(3, -1, 0, 19, 7) }, node "Gather")
case("Gather along columns", { { 5, 20, 3 }, integers(3, -1, 0) }, node("Gather", { axis = 1 }))
case("GatherElements", { { 2, 3 }, { dims = { 2, 2 }, datatype = "INT64", values = { 0, 2, -1, 1 } } },
  node("GatherElements", { axis = 1 }))
case("GatherND", { { 4, 5, 6 }, { dims = { 3, 2 }, datatype = "INT64", values = { 0, 4, 3, 2, 1, -1 } } },
  node "GatherND")
case("ScatterElements", { { 3, 5 }, { dims = { 1, 2 }, datatype = "INT64", values = { 2, 4 } }, { 1, 2 } },
  node("ScatterElements", { axis = 1 }))
case("ScatterND, adding", { { 6, 4 }, { dims = { 3, 1 }, datatype = "INT64", values = { 1, 4, 1 } }, { 3, 4 } },
  node("ScatterND", { reduction = "add" }))
for _, reduction in ipairs { "add", "mul", "max", "min" } do
  for _, to in ipairs { 2, 3, 4, 5 } do
    case(("ScatterElements, %s, type %d"):format(reduction, to),
      { { 3, 70 }, { dims = { 2, 5 }, datatype = "INT64", values = { 0, 2, 0, 2, 0, 69, -1, 69, 4, 0 } }, { 2, 5 } },
      function(b, x, indices, updates)
        local function whole(value)
          return b:node("Cast", { b:node("Abs", { b:mul(value, b:number(50)) }) }, { to = to })
        end
        local y = b:node("ScatterElements", { whole(x), indices, whole(updates) }, { axis = 1, reduction = reduction })
        return b:node("Cast", { y }, { to = 1 })
      end)
  end
end
case("OneHot", { integers(0, 3, -1, 9) }, function(b, x)
  return b:node("OneHot", { x, b:constant({ 5 }, "INT64", {}), b:constant({ 0, 1 }, "FP32") })
end)
case("Trilu", { { 2, 6, 7 } }, node("Trilu", { upper = 0 }))
case("ReverseSequence", { { 6, 4, 3 }, integers(1, 6, 0, 3) },
  node("ReverseSequence", { batch_axis = 1, time_axis = 0 }))
-- --- numbers of few bits, and sequences ---------------------------------------------------------------------------

case("QuantizeLinear, DequantizeLinear", { { 4, 50 } }, function(b, x)
  local scale = b:number(0.01)
  return b:node("DequantizeLinear", { b:node("QuantizeLinear", { x, scale }), scale })
end)
case("DynamicQuantizeLinear", { { 4, 50 } }, function(b, x)
  local y, scale, zero = b:node("DynamicQuantizeLinear", { x }, nil, { "y", "scale", "zero" })
  return { b:node("Cast", { y }, { to = 1 }), scale, b:node("Cast", { zero }, { to = 1 }) }
end)
-- Lengths of one factor and of many, a prime one; cut and filled up, along several axes; lines of two dimensions.
for _, how in ipairs {
  { { 3, 64, 1 }, 1 }, { { 2, 60, 2 }, 1 }, { { 2, 31, 1 }, 1, onesided = 1 }, { { 2, 17, 2 }, 1, inverse = 1 },
  { { 6, 5, 2 }, 0 }, { { 2, 20, 1 }, 1, length = 14 }, { { 2, 9, 2 }, 1, length = 12, inverse = 1 },
} do
  local dims, axis = unpack(how)
  local name = ("DFT of %s, axis %d, onesided %d, inverse %d"):format(table.concat(dims, "x"), axis,
    how.onesided or 0, how.inverse or 0)
  case(name, { dims }, function(b, x)
    return b:node("DFT", { x, how.length and b:constant({ how.length }, "INT64", {}) },
      { axis = axis, onesided = how.onesided or 0, inverse = how.inverse or 0 })
  end, { within = 1e-4 })
end
for onesided = 0, 1 do
  case("STFT, onesided " .. onesided, { { 2, 100, 1 }, { 24 } }, function(b, x, window)
    return b:node("STFT", { x, b:constant({ 7 }, "INT64", {}), window }, { onesided = onesided })
  end, { within = 1e-4 })
end
for _, layer in ipairs { { "RNN", 1 }, { "GRU", 3 }, { "LSTM", 4 } } do
  local op_type, gates = unpack(layer)
  case(op_type, { { 7, 3, 20 } }, function(b, x)
    return b:node(op_type, { x, b:weight({ 1, gates * 24, 20 }, 0.3), b:weight({ 1, gates * 24, 24 }, 0.3),
      b:weight({ 1, 2 * gates * 24 }, 0.3) }, { hidden_size = 24 })
  end)
end

return cases
