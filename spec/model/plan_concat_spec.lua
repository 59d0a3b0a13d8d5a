local graphs = require "spec.support.graphs"

local input = graphs.input

local function count(steps, wanted)
  local found = 0
  for _, op_type in ipairs(steps) do found = found + (op_type == wanted and 1 or 0) end
  return found
end

-- The largest difference, and how many Concats copy.
local function compare(inputs, make)
  local worst, steps = graphs.compare(inputs, make)
  return worst, count(steps, "Concat")
end

-- Random graphs with concatenations of whatever there is, the same twice, views and graph outputs included.
local function random_graph(seed)
  return function(b, x)
    local state = seed
    local function pick(n)
      state = (state * 16807) % 2147483647
      return state % n + 1
    end
    local values = { { x, 8 } }
    local function add(value, rows) values[#values + 1] = { value, rows } end
    for _ = 1, 12 do
      local a, c = values[pick(#values)], values[pick(#values)]
      local kind = pick(6)
      if kind == 1 then add(b:relu(a[1]), a[2])
      elseif kind == 2 then add(b:add(a[1], b:sigmoid(a[1])), a[2])
      elseif kind == 3 then add(b:reshape(b:reshape(a[1], { -1 }), { 1, a[2], 6 }), a[2])
      elseif kind == 4 then add(b:softmax(a[1]), a[2])
      elseif a[2] + c[2] <= 64 then add(b:concat({ a[1], c[1] }, pick(2) == 1 and 1 or -2), a[2] + c[2]) end
    end
    return { values[#values][1], values[pick(#values)][1] }
  end
end

describe("plan_concat", function()
  it("leaves what random graphs compute as it is", function()
    for seed = 1, 80 do
      local worst = compare({ input { 1, 8, 6 } }, random_graph(seed * 7919))
      assert.is_true(worst < 1e-5, ("graph %d differs by %g"):format(seed, worst))
    end
  end)

  it("makes a dense block without copies", function()
    local worst, copies = compare({ input { 1, 16, 6, 6 } }, function(b, x)
      x = b:relu(x)
      local channels = 16
      for _ = 1, 4 do
        local y = b:conv(b:relu(b:batch_norm(x, channels)), channels, 16, { kernel = 3, pad = 1 })
        x, channels = b:concat({ x, y }, 1), channels + 16
      end
      return b:global_average_pool(b:relu(b:batch_norm(x, channels)))
    end)
    assert.is_true(worst < 1e-5)
    assert.equal(0, copies)
  end)

  it("copies what is asked for twice, inputs, constants and outputs", function()
    local worst, copies = compare({ input { 1, 16, 4 } }, function(b, x)
      local y = b:relu(x)
      return { b:concat({ y, y }, 1), b:softmax(b:concat({ x, b:sigmoid(y) }, 1)), y }
    end)
    assert.is_true(worst < 1e-5)
    assert.equal(2, copies)
  end)

  it("is not worked on in place while a part is read for other rows", function()
    local worst = compare({ input { 1, 500 }, input({ 3, 500 }, { seed = 2 }) }, function(b, x, y)
      local part = b:node("Neg", { x })
      return b:mul(b:concat({ part, b:node("Neg", { y }) }, 0), part)
    end)
    assert.equal(0, worst)
  end)

  it("copies where inputs lie in pieces", function()
    local worst, copies = compare({ input { 2, 16, 4 } }, function(b, x)
      return b:softmax(b:concat({ b:relu(x), b:sigmoid(x) }, 1))
    end)
    assert.is_true(worst < 1e-5)
    assert.equal(1, copies)
  end)
end)
