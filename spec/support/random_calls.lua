-- The source of a function whose handler makes a random program of tensors for { seed = … }: several batches, later
-- ones on what earlier ones made, some of it freed. The answer: some of the tensors, as maps of datatype, shape, data.
return [[
local tide = require "tidepool"

-- Numbers that only the seed decides.
local state
local function random(n)
  state = (state * 1103515245 + 12345) % 2147483648
  return math.floor(state / 65536) % n + 1
end
local function pick(list) return list[random(#list)] end

local unary = { "relu", "sigmoid", "tanh", "abs", "neg", "sign", "floor", "round", "erf", "gelu", "softsign", "silu",
  "mish", "hard_swish", "softplus", "sin", "cos", "leaky_relu", "elu" }
local binary = { "add", "sub", "mul", "maximum", "minimum" }
local reductions = { "sum", "mean", "max", "min", "norm2", "log_sum_exp" }

-- A tensor of the program: its FP32 handle, rows and columns.
local function entry(t, rows, columns) return { t = t, rows = rows, columns = columns } end

local function fresh(rows, columns)
  local numbers = {}
  for i = 1, rows * columns do numbers[i] = (random(2001) - 1001) / 500 end
  return entry(tide.tensor("FP32", { rows, columns }, numbers), rows, columns)
end

-- One of the list with as many rows and columns, or a new one.
local function like(list, a, rows, columns)
  local found = {}
  for _, each in ipairs(list) do
    if each.rows == rows and each.columns == columns then found[#found + 1] = each end
  end
  if #found == 0 or random(6) == 1 then return fresh(rows, columns) end
  return pick(found)
end

local makers = {
  function(a) return entry(a.t[pick(unary)](a.t), a.rows, a.columns) end,
  function(a) return entry(a.t[pick(unary)](a.t), a.rows, a.columns) end,
  function(a, list)
    local b = like(list, a, a.rows, a.columns)
    return entry(a.t[pick(binary)](a.t, b.t), a.rows, a.columns)
  end,
  function(a, list)
    local b = like(list, a, 1, a.columns)
    return entry(a.t[pick(binary)](a.t, b.t), a.rows, a.columns)
  end,
  function(a, list)
    local b = like(list, a, a.rows, 1)
    return entry(b.t[pick(binary)](b.t, a.t), a.rows, a.columns)
  end,
  function(a) return entry(a.t[pick(binary)](a.t, random(9) / 4 - 1), a.rows, a.columns) end,
  function(a) return entry(a.t * a.t, a.rows, a.columns) end,
  function(a) return entry(a.t / 3 - 0.5, a.rows, a.columns) end,
  function(a) return entry(a.t:clip(-1, 1.5), a.rows, a.columns) end,
  function(a) return entry(a.t:softmax(random(2) - 1), a.rows, a.columns) end,
  function(a) return entry(a.t[pick(reductions)](a.t, 1, true), a.rows, 1) end,
  function(a) return entry(a.t[pick(reductions)](a.t, 0, true), 1, a.columns) end,
  function(a) return entry((a.t - a.t:mean(1, true)) / (a.t:std(1, true) + 1), a.rows, a.columns) end,
  function(a) return entry(a.t:transpose(), a.columns, a.rows) end,
  function(a) return entry(a.t:reshape { a.columns, a.rows }, a.columns, a.rows) end,
  function(a, list)
    local b = like(list, a, a.columns, 5)
    return entry((a.t:matmul(b.t) * 0.25 + like(list, a, 1, 5).t):relu(), a.rows, 5)
  end,
  function(a, list)
    local b = like(list, a, a.rows, a.columns)
    return entry(tide.where(a.t:greater(b.t), a.t, b.t:exp():minimum(4)), a.rows, a.columns)
  end,
  function(a) return entry(a.t:less(0.25):cast "FP32", a.rows, a.columns) end,
  function(a) return entry((a.t * 4):cast("INT32"):add(3):cast "FP32", a.rows, a.columns) end,
  function(a, list)
    local b = like(list, a, a.rows, a.columns)
    return entry(tide.concat({ a.t, b.t }, 1), a.rows, 2 * a.columns)
  end,
  function(a) return entry(a.t:slice({ 0 }, { 1 }, { 1 }), a.rows, 1) end,
  function(a) return entry(a.t:gather({ a.rows - 1, 0 }, 0), 2, a.columns) end,
  function(a)
    local best = a.t:topk(1)
    return entry(best, a.rows, 1)
  end,
  function(a) return entry(a.t:argmax(1, true):cast "FP32", a.rows, 1) end,
  function(a) return entry(a.t:cumsum(1) * 0.5, a.rows, a.columns) end,
}

local function describe(t) return { datatype = t:datatype(), shape = t:shape(), data = t:totable() } end

return { handler = function(_, req)
  state = req.seed * 7919 + 17
  for _ = 1, 5 do random(2) end
  local list, answer = {}, {}
  for i = 1, 3 do list[i] = fresh(pick { 1, 2, 7, 33 }, pick { 1, 4, 16, 70 }) end
  for _ = 1, 1 + random(3) do
    for _ = 1, 3 + random(25) do
      local made = pick(makers)(pick(list), list)
      if made.rows * made.columns <= 4096 then list[#list + 1] = made end
      if #list > 6 and random(8) == 1 then table.remove(list, random(#list)).t:free() end
    end
    if random(4) == 1 then tide.flush() end
    local wanted = {}
    for i = 1, random(3) do wanted[i] = pick(list).t end
    for _, t in ipairs { tide.get(unpack(wanted)) } do answer[#answer + 1] = describe(t) end
  end
  return answer
end }
]]
