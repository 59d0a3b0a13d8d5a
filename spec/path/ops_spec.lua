-- Every operator of tensors, run on a device by the real binary, against the same in plain Lua.
local node = require "spec.support.node"

-- The handler evaluates an expression on x (2 × 3), y (2 × 3, above 0), p (positions) and b (booleans).
local SOURCE = [[
local tide = require "tidepool"
return { handler = function(_, expression)
  local x = tide.tensor("FP32", { 2, 3 }, { -1.5, 0.25, 2, 0, -0.75, 3 })
  local y = tide.tensor("FP32", { 2, 3 }, { 0.5, 2, 1, 4, 0.125, 3 })
  local n = tide.tensor("INT64", { 4 }, { 7, -7, 9, -2 })
  local b, c = x:greater(0), y:greater(1)
  local env = { tide = tide, x = x, y = y, n = n, b = b, c = c, select = select }
  local value = load("return " .. expression, "=expression", "t", env)()
  local t = value:get()
  return { shape = t:shape(), datatype = t:datatype(), data = t:totable() }
end }
]]

local X, Y = { -1.5, 0.25, 2, 0, -0.75, 3 }, { 0.5, 2, 1, 4, 0.125, 3 }

local function map(f, list, other)
  local out = {}
  for i = 1, #list do
    -- math.log takes a second argument for what it is.
    if other then out[i] = f(list[i], other[i]) else out[i] = f(list[i]) end
  end
  return out
end

local function of_x(f) return { 2, 3 }, map(f, X) end
local function of_y(f) return { 2, 3 }, map(f, Y) end
local function of_both(f) return { 2, 3 }, map(f, X, Y) end

local function row(i) return { X[3 * i - 2], X[3 * i - 1], X[3 * i] } end
-- f of each row of x, one number each.
local function rows(f) return { 2 }, { f(row(1)), f(row(2)) } end
-- f of each row, a row each.
local function each_row(f)
  local out = f(row(1))
  for _, value in ipairs(f(row(2))) do out[#out + 1] = value end
  return { 2, 3 }, out
end

local function fold(f, start) return function(list)
  local result = start
  for _, value in ipairs(list) do result = f(result, value) end
  return result
end end
local sum = fold(function(a, v) return a + v end, 0)
local function mean(list) return sum(list) / #list end
local function var(list)
  local m = mean(list)
  return mean(map(function(v) return (v - m) ^ 2 end, list))
end

local function sigmoid(v) return 1 / (1 + math.exp(-v)) end
local function erf(v)
  -- Series of the error function; exact to a double for such small numbers.
  local total, term = v, v
  for k = 1, 80 do
    term = -term * v * v / k
    total = total + term / (2 * k + 1)
  end
  return 2 / math.sqrt(math.pi) * total
end
local function softmax(list)
  local exps = map(math.exp, list)
  local total = sum(exps)
  return map(function(v) return v / total end, exps)
end
local function sign(v) return v > 0 and 1 or v < 0 and -1 or 0 end
local function round_even(v)
  local down = math.floor(v)
  local rest = v - down
  return (rest > 0.5 or (rest == 0.5 and down % 2 == 1)) and down + 1 or down
end
local function best(better) return function(list)
  local at = 1
  for i = 2, #list do if better(list[i], list[at]) then at = i end end
  return at - 1
end end
local function norm(list) return math.sqrt(sum(map(function(v) return v * v end, list))) end
local function cumsum(list)
  local total = 0
  return map(function(v) total = total + v return total end, list)
end
local function standard(list)
  local m, s = mean(list), math.sqrt(var(list) + 1e-5)
  return map(function(v) return (v - m) / s end, list)
end
local function less(a, v) return a < v end
local function more(a, v) return a > v end

local cases = {
  ["x:relu()"] = { of_x(function(v) return math.max(v, 0) end) },
  ["x:sigmoid()"] = { of_x(sigmoid) },
  ["x:tanh()"] = { of_x(math.tanh) },
  ["x:exp()"] = { of_x(math.exp) },
  ["y:log()"] = { of_y(math.log) },
  ["y:sqrt()"] = { of_y(math.sqrt) },
  ["x:neg()"] = { of_x(function(v) return -v end) },
  ["-x"] = { of_x(function(v) return -v end) },
  ["x:abs()"] = { of_x(math.abs) },
  ["x:erf()"] = { of_x(erf) },
  ["x:gelu()"] = { of_x(function(v) return v / 2 * (1 + erf(v / math.sqrt(2))) end) },
  ["x:floor()"] = { of_x(math.floor) },
  ["x:ceil()"] = { of_x(math.ceil) },
  ["x:round()"] = { of_x(round_even) },
  ["x:sign()"] = { of_x(sign) },
  ["y:reciprocal()"] = { of_y(function(v) return 1 / v end) },
  ["x:sin()"] = { of_x(math.sin) },
  ["x:cos()"] = { of_x(math.cos) },
  ["x:tan()"] = { of_x(math.tan) },
  ["x:softplus()"] = { of_x(function(v) return math.log(1 + math.exp(v)) end) },
  ["x:softsign()"] = { of_x(function(v) return v / (1 + math.abs(v)) end) },
  ["x:silu()"] = { of_x(function(v) return v * sigmoid(v) end) },
  ["x:mish()"] = { of_x(function(v) return v * math.tanh(math.log(1 + math.exp(v))) end) },
  ["x:hard_swish()"] = { of_x(function(v) return v * math.max(0, math.min(1, v / 6 + 0.5)) end) },
  ["x:leaky_relu()"] = { of_x(function(v) return v < 0 and v * 0.01 or v end) },
  ["x:leaky_relu(0.5)"] = { of_x(function(v) return v < 0 and v * 0.5 or v end) },
  ["x:elu(2)"] = { of_x(function(v) return v < 0 and 2 * (math.exp(v) - 1) or v end) },
  ["(x / 0):is_nan()"] = { of_x(function(v) return v == 0 end) },
  ["(x / 0):is_inf()"] = { of_x(function(v) return v ~= 0 end) },
  ["x + y"] = { of_both(function(a, c) return a + c end) },
  ["x - y"] = { of_both(function(a, c) return a - c end) },
  ["x * y"] = { of_both(function(a, c) return a * c end) },
  ["x / y"] = { of_both(function(a, c) return a / c end) },
  ["y ^ x"] = { of_both(function(a, c) return c ^ a end) },
  ["x % y"] = { of_both(function(a, c) return a % c end) },
  ["n % 4"] = { { 4 }, { 3, 1, 1, 2 } },
  ["2 - x"] = { of_x(function(v) return 2 - v end) },
  ["1 / y"] = { of_y(function(v) return 1 / v end) },
  ["x:maximum(y)"] = { of_both(math.max) },
  ["x:minimum(0.5)"] = { of_x(function(v) return math.min(v, 0.5) end) },
  ["x:clip(-1, 1)"] = { of_x(function(v) return math.max(-1, math.min(1, v)) end) },
  ["x:clip(nil, 1)"] = { of_x(function(v) return math.min(1, v) end) },
  ["x:equal(0.25)"] = { of_x(function(v) return v == 0.25 end) },
  ["x:less(y)"] = { of_both(less) },
  ["x:less_equal(0)"] = { of_x(function(v) return v <= 0 end) },
  ["x:greater(y)"] = { of_both(more) },
  ["x:greater_equal(0)"] = { of_x(function(v) return v >= 0 end) },
  ["b:logical_and(c)"] = { of_both(function(a, c) return a > 0 and c > 1 end) },
  ["b:logical_or(c)"] = { of_both(function(a, c) return a > 0 or c > 1 end) },
  ["b:logical_xor(c)"] = { of_both(function(a, c) return (a > 0) ~= (c > 1) end) },
  ["b:logical_not()"] = { of_x(function(v) return v <= 0 end) },
  ["tide.where(b, x, y)"] = { of_both(function(a, c) return a > 0 and a or c end) },
  ["tide.where(b, 1, 0)"] = { of_x(function(v) return v > 0 and 1 or 0 end) },
  ["x:cast('INT32')"] = { of_x(function(v) return v < 0 and math.ceil(v) or math.floor(v) end) },
  ["b:cast('FP32')"] = { of_x(function(v) return v > 0 and 1 or 0 end) },
  ["x:softmax()"] = { each_row(softmax) },
  ["x:log_softmax()"] = { each_row(function(list) return map(math.log, softmax(list)) end) },
  ["x:sum(1)"] = { rows(sum) },
  ["x:sum()"] = { {}, { sum(X) } },
  ["x:sum(-1, true)"] = { { 2, 1 }, { sum(row(1)), sum(row(2)) } },
  ["x:mean(1)"] = { rows(mean) },
  ["x:max(1)"] = { rows(fold(math.max, -math.huge)) },
  ["x:min(1)"] = { rows(fold(math.min, math.huge)) },
  ["x:prod(1)"] = { rows(fold(function(a, v) return a * v end, 1)) },
  ["x:sum_square(1)"] = { rows(function(list) return norm(list) ^ 2 end) },
  ["x:norm1(1)"] = { rows(function(list) return sum(map(math.abs, list)) end) },
  ["x:norm2(1)"] = { rows(norm) },
  ["x:log_sum_exp(1)"] = { rows(function(list) return math.log(sum(map(math.exp, list))) end) },
  ["x:var(1)"] = { rows(var) },
  ["x:std(1)"] = { rows(function(list) return math.sqrt(var(list)) end) },
  ["x:cumsum()"] = { each_row(cumsum) },
  ["x:cumsum(0)"] = { { 2, 3 }, { X[1], X[2], X[3], X[1] + X[4], X[2] + X[5], X[3] + X[6] } },
  ["x:argmax()"] = { rows(best(more)) },
  ["x:argmin(1, true)"] = { { 2, 1 }, { best(less)(row(1)), best(less)(row(2)) } },
  ["x:topk(2)"] = { { 2, 2 }, { 2, 0.25, 3, 0 } },
  ["select(2, x:topk(2))"] = { { 2, 2 }, { 2, 1, 2, 0 } },
  ["x:topk(1, 0, true)"] = { { 1, 3 }, { -1.5, -0.75, 2 } },
  ["x:matmul(y:transpose())"] = { { 2, 2 }, {
    X[1] * Y[1] + X[2] * Y[2] + X[3] * Y[3], X[1] * Y[4] + X[2] * Y[5] + X[3] * Y[6],
    X[4] * Y[1] + X[5] * Y[2] + X[6] * Y[3], X[4] * Y[4] + X[5] * Y[5] + X[6] * Y[6] } },
  ["tide.einsum('ij,ij->i', x, y)"] = { { 2 },
    { X[1] * Y[1] + X[2] * Y[2] + X[3] * Y[3], X[4] * Y[4] + X[5] * Y[5] + X[6] * Y[6] } },
  ["x:reshape({ 3, -1 })"] = { { 3, 2 }, X },
  ["x:expand({ 2, 2, 3 })"] = { { 2, 2, 3 }, { X[1], X[2], X[3], X[4], X[5], X[6], unpack(X) } },
  ["x:transpose()"] = { { 3, 2 }, { X[1], X[4], X[2], X[5], X[3], X[6] } },
  ["x:slice({ 0, 1 }, { 2, 3 })"] = { { 2, 2 }, { X[2], X[3], X[5], X[6] } },
  ["x:slice(2, -4, 1, -1)"] = { { 2, 3 }, { X[3], X[2], X[1], X[6], X[5], X[4] } },
  ["x:flatten(0)"] = { { 1, 6 }, X },
  ["select(2, x:split({ 1, 2 }, 1))"] = { { 2, 2 }, { X[2], X[3], X[5], X[6] } },
  ["x:pad({ 0, 1 }, { 0, 0 }, 9)"] = { { 2, 4 }, { 9, X[1], X[2], X[3], 9, X[4], X[5], X[6] } },
  ["x:gather({ 2, 0 }, 1)"] = { { 2, 2 }, { X[3], X[1], X[6], X[4] } },
  ["x:take_along(x:argmax(1, true), 1)"] = { { 2, 1 }, { 2, 3 } },
  ["x:argmax():one_hot(3)"] = { { 2, 3 }, { 0, 0, 1, 0, 0, 1 } },
  ["x:tile({ 1, 2 })"] = { { 2, 6 }, { X[1], X[2], X[3], X[1], X[2], X[3], X[4], X[5], X[6], X[4], X[5], X[6] } },
  ["x:squeeze()"] = { { 2, 3 }, X },
  ["x:unsqueeze({ 0, 3 }):squeeze(0)"] = { { 2, 3, 1 }, X },
  ["tide.concat({ x, y }, 1)"] = { { 2, 6 },
    { X[1], X[2], X[3], Y[1], Y[2], Y[3], X[4], X[5], X[6], Y[4], Y[5], Y[6] } },
  ["tide.stack({ x, y })"] = { { 2, 2, 3 }, { X[1], X[2], X[3], X[4], X[5], X[6], unpack(Y) } },
  ["tide.range(2, 11, 3)"] = { { 3 }, { 2, 5, 8 } },
  ["tide.full('FP32', { 2, 2 }, 1.5)"] = { { 2, 2 }, { 1.5, 1.5, 1.5, 1.5 } },
  ["x:reshape({ 1, 1, 2, 3 }):resize({ 1, 1, 4, 3 })"] = { { 1, 1, 4, 3 },
    { X[1], X[2], X[3], X[1], X[2], X[3], X[4], X[5], X[6], X[4], X[5], X[6] } },
  ["x:layer_norm()"] = { each_row(standard) },
  ["x:layer_norm(2, 1)"] = { each_row(function(list)
    return map(function(v) return 2 * v + 1 end, standard(list))
  end) },
  ["x:layer_norm(y[0], y[1])"] = { each_row(function(list)
    local out = standard(list)
    for i = 1, 3 do out[i] = out[i] * Y[i] + Y[i + 3] end
    return out
  end) },
  ["x:normalize({ 1, 2, 3 }, { 2, 4, 8 }, 1, 2)"] = { { 2, 3 },
    { (X[1] - 1) / 2, (X[2] - 2) / 4, (X[3] - 3) / 8, (X[4] - 1) / 2, (X[5] - 2) / 4, (X[6] - 3) / 8 } },
  ["x:l2_normalize()"] = { each_row(function(list)
    local length = norm(list)
    return map(function(v) return v / length end, list)
  end) },
  ["x[1]"] = { { 3 }, row(2) },
  ["x[-1]"] = { { 3 }, row(2) },
  ["x[{ 0, 2 }]"] = { {}, { X[3] } },
  ["x[{ true, { 1 } }]"] = { { 2, 2 }, { X[2], X[3], X[5], X[6] } },
  ["x[{ true, { 0, 1 } }]"] = { { 2, 1 }, { X[1], X[4] } },
}

describe("operators of tensors", function()
  local running, c

  setup(function()
    running = node.start()
    c = running:connect()
    assert(c:call("function.deploy", { name = "ops", source = SOURCE, chunk = "ops.lua" }))
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  local function close(wanted, got)
    if type(wanted) ~= "number" then return wanted == got end
    return type(got) == "number" and math.abs(wanted - got) <= 2e-6 * math.max(1, math.abs(wanted))
  end

  for expression, expected in pairs(cases) do
    it(expression, function()
      local result = assert(c:invoke("ops", expression))
      assert.same(expected[1], result.shape)
      assert.equal(#expected[2], #result.data)
      for i, wanted in ipairs(expected[2]) do
        assert.is_true(close(wanted, result.data[i]),
          ("[%d]: %s, not %s"):format(i, tostring(result.data[i]), tostring(wanted)))
      end
    end)
  end

  it("are all tried here", function()
    local file = assert(io.open "lua/tidepool/ops.lua")
    local source, tried = file:read "*a", {}
    file:close()
    for expression in pairs(cases) do
      for name in expression:gmatch "[:.]([%w_]+)%(" do tried[name] = true end
    end
    local names = {}
    for name in source:gmatch "\nfunction methods%.([%w_]+)" do names[name] = true end
    for name in source:gmatch "\nfunction M%.([%w_]+)" do names[name] = true end
    for name in source:gmatch "([%w_]+) = \"%u%a+\"" do names[name] = true end
    for name in source:gmatch "([%w_]+) = { \"%u%a+\"" do names[name] = true end
    -- Reached by x[i], and by operators.
    for _, name in ipairs { "index", "add", "sub", "mul", "div", "pow", "mod", "concat" } do names[name] = nil end
    assert.is_true(names.relu and names.topk and names.elu and names.softmax and names.stack)
    for name in pairs(names) do assert.is_true(tried[name], name) end
  end)
end)

describe("memory of tensors on the device", function()
  local running, c

  setup(function()
    running = node.start { devices = { { kind = "host", memory = "48M", threads = 1 } } }
    c = running:connect()
  end)
  teardown(function() assert.equal(0, running:stop()) end)

  local function run(body)
    assert(c:call("function.deploy", { name = "f", source = ([[
      local tide = require "tidepool"
      return { handler = function()
        local x = tide.tensor("FP32", { 1 }, { 1 })
        %s
      end }]]):format(body) }))
    return c:invoke "f"
  end

  it("is enough for any number of small batches", function()
    assert.equal(2000, run [[
      for _ = 1, 1999 do
        x = x + 1
        tide.wait()
      end
      return x:get():item()
    ]])
  end)

  it("is left as it was by a batch that fails", function()
    assert.same({ 2, 3, 4 }, run [[
      local a = x + 1
      tide.wait()
      local ok = pcall(function() return (a:reshape({ 7 }) + a):get() end)
      local b = a + 1
      -- Else it belongs to the next batch, and is lost with it.
      tide.wait()
      local huge = pcall(function() return tide.full("FP32", { 2 ^ 26 }, 1):get() end)
      local c = b + 1
      assert(not ok and not huge)
      local p, q, r = tide.get(a, b, c)
      return { p:item(), q:item(), r:item() }
    ]])
  end)

  it("keeps what came with a batch that fails: refused, or while it ran", function()
    assert.same({ { 7, 8 }, { 7, 8 }, { 5, 6 } }, run [[
      local one = tide.tensor("FP32", { 2 }, { 4, 5 })
      local refused = pcall(function() return one:reshape({ 3 }):get() end)
      local other = tide.tensor("FP32", { 2 }, { 7, 8 })
      local out = other:gather(tide.tensor("INT64", { 1 }, { 9 }))
      local failed = pcall(function() return out:get() end)
      -- Their bytes take the place that those of the failed batches had.
      local last = tide.tensor("FP32", { 2 }, { 70, 80 })
      assert(not refused and not failed)
      local p, q, r = tide.get(last / 10, other, one + x)
      return { p:totable(), q:totable(), r:totable() }
    ]])
  end)

  it("keeps no more than 16 MiB of that", function()
    local problem, why = run [[
      local kept = {}
      for i = 1, 5 do
        kept[i] = tide.tensor("FP32", { 2 ^ 20 }, ("\0"):rep(2 ^ 22))
        assert(not pcall(function() return kept[i]:reshape({ 3 }):get() end))
      end
      local sum = kept[3]:sum():get():item()
      local ok, message = pcall(function() return kept[5]:sum():get() end)
      return sum == 0 and not ok and tostring(message)
    ]]
    assert.truthy(tostring(problem):find("what a failed batch was to make is gone", 1, true), problem or why)
  end)

  it("comes back when they are freed", function()
    assert.equal(60, run [[
      for _ = 1, 60 do
        local large = x:expand { 2 ^ 21 }
        tide.wait()
        local sum = large:mean()
        large:free()
        x = x + sum:get():item() / x:get():item()
        tide.wait()
      end
      return x:get():item() - 1
    ]])
  end)

  it("comes back when nothing names them any more", function()
    assert.equal(60, run [[
      for _ = 1, 60 do
        x = x + x:expand { 2 ^ 21 }:max() / x
        tide.wait()
      end
      return x:get():item() - 1
    ]])
  end)

  it("stays while they are named", function()
    assert.same({ 1, 2, 3 }, run [[
      local a, b = x + 0, x + 1
      tide.wait()
      local c = b + 1
      for i = 1, 200 do (x * i):get() end
      local p, q, r = tide.get(a, b, c)
      return { p:item(), q:item(), r:item() }
    ]])
  end)
end)
