local graphs = require "spec.support.graphs"
local half = require "spec.support.half"

local input = graphs.input

-- The model gives what its nodes give one by one, in these steps.
local function check(steps, inputs, make, options)
  local worst, got = graphs.compare(inputs, make, options)
  assert.is_true(worst < 1e-5, "differs by " .. worst)
  if steps then assert.same(steps, got) end
end

local IMAGE = { 1, 3, 12, 10 }

describe("pass", function()
  it("folds a batch norm into the convolution before it", function()
    check({ "Conv", "Reorder" }, { input(IMAGE) }, function(b, x)
      return b:batch_norm(b:conv(x, 3, 20, { kernel = 3, pad = 1 }), 20)
    end)
    check({ "Conv", "Reorder" }, { input(IMAGE) }, function(b, x)
      return b:batch_norm(b:conv(x, 3, 32, { kernel = 3, bias = true }), 32)
    end)
    -- One after the other; and weights of more than a page that two convolutions share.
    check({ "Conv", "Reorder" }, { input(IMAGE) }, function(b, x)
      return b:batch_norm(b:batch_norm(b:conv(x, 3, 20, { kernel = 3, pad = 1 }), 20), 20)
    end)
    check(nil, { input { 1, 48, 9, 9 } }, function(b, x)
      local weights = b:weight({ 48, 48, 3, 3 }, 0.05)
      local function conv() return b:node("Conv", { x, weights }, { pads = { 1, 1, 1, 1 } }) end
      return b:node("Concat", { b:batch_norm(conv(), 48), b:batch_norm(conv(), 48), conv() }, { axis = 1 })
    end)
  end)

  -- The worst difference where what goes in and comes out is FP32 and all between is of that type; the steps.
  local function of_type(to, make)
    return graphs.compare({ input(IMAGE) }, function(b, x)
      half(b, to)
      return b:node("Cast", { make(b, b:node("Cast", { x }, { to = to })) }, { to = 1 })
    end)
  end

  it("folds a batch norm of 16-bit floats, too", function()
    for to, within in pairs { [10] = 2e-2, [16] = 1e-1 } do
      local worst, steps = of_type(to, function(b, x)
        return b:batch_norm(b:conv(x, 3, 20, { kernel = 3, pad = 1, bias = true }), 20)
      end)
      assert.is_true(worst < within, "differs by " .. worst)
      assert.is_nil(table.concat(steps, " "):find "BatchNorm")
      worst, steps = of_type(to, function(b, x) return b:relu(b:batch_norm(x, 3)) end)
      assert.is_true(worst < within, "differs by " .. worst)
      assert.matches("Scale", table.concat(steps, " "))
    end
  end)

  it("leaves a batch norm whose convolution is read twice, as a Scale", function()
    check(nil, { input(IMAGE) }, function(b, x)
      local y = b:conv(x, 3, 16, { kernel = 1 })
      return { b:batch_norm(y, 16), y }
    end)
    check({ "Scale" }, { input(IMAGE) }, function(b, x) return b:relu(b:batch_norm(x, 3)) end)
  end)

  it("puts activations into convolutions and products", function()
    for _, activate in ipairs {
      function(b, x) return b:relu(x) end,
      function(b, x) return b:clip(x, -0.1, 0.2) end,
      function(b, x) return b:sigmoid(x) end,
      function(b, x) return b:tanh(x) end,
      function(b, x) return b:mul(x, b:sigmoid(x)) end,
      function(b, x) return b:gelu(x) end,
      function(b, x) return b:node("HardSwish", { x }) end,
      function(b, x) return b:node("HardSigmoid", { x }, { alpha = { float = 0.3 } }) end,
      function(b, x) return b:node("LeakyRelu", { x }, { alpha = { float = 0.2 } }) end,
      function(b, x) return b:node("Elu", { x }, { alpha = { float = 0.7 } }) end,
      function(b, x) return b:div(b:sub(b:add(b:mul(x, b:number(3)), b:number(1)), b:number(0.5)), b:number(2)) end,
      function(b, x) return b:mul(b:clip(b:add(x, b:number(3)), 0, 6), b:div(x, b:number(6))) end,
      function(b, x)
        local cubic = b:add(x, b:mul(b:pow(x, b:number(3)), b:number(0.044715)))
        local inner = b:mul(cubic, b:number(math.sqrt(2 / math.pi)))
        return b:mul(b:mul(x, b:number(0.5)), b:add(b:tanh(inner), b:number(1)))
      end,
    } do
      check({ "Conv", "Reorder" }, { input(IMAGE) }, function(b, x)
        return activate(b, b:conv(x, 3, 16, { kernel = 3 }))
      end)
      check({ "MatMul" }, { input { 2, 5, 24 } }, function(b, x) return activate(b, b:dense(x, 24, 40)) end)
    end
  end)

  it("does not take a gate of something else for an activation", function()
    check({ "Sigmoid", "Mul" }, { input { 4, 8 }, input({ 4, 8 }, { seed = 9 }) }, function(b, x, y)
      return b:mul(x, b:sigmoid(y))
    end)
    check({ "Erf", "Add", "Mul", "Mul" }, { input { 4, 8 } }, function(b, x)
      return b:mul(b:mul(x, b:add(b:erf(x), b:number(1))), b:number(0.5))
    end)
  end)

  it("adds residuals within convolutions, whichever side comes first", function()
    check({ "Conv", "Conv", "Reorder" }, { input(IMAGE) }, function(b, x)
      local y = b:relu(b:conv(x, 3, 24, { kernel = 1 }))
      return b:relu(b:add(b:conv(y, 24, 24, { kernel = 3, pad = 1 }), y))
    end)
    check({ "Conv", "Conv", "Reorder" }, { input(IMAGE) }, function(b, x)
      return b:relu(b:add(b:conv(x, 3, 24, { kernel = 1 }), b:conv(x, 3, 24, { kernel = 3, pad = 1 })))
    end)
  end)

  it("adds residuals and biases within products", function()
    check({ "MatMul" }, { input { 2, 6, 32 } }, function(b, x) return b:add(x, b:dense(x, 32, 32)) end)
    check({ "Gemm" }, { input { 4, 32 } }, function(b, x) return b:relu(b:add(b:linear(x, 32, 32), x)) end)
  end)

  it("leaves sums that need a broadcast over more than the channels", function()
    check(nil, { input { 2, 6, 32 } }, function(b, x)
      return b:add(b:matmul(x, b:weight({ 32, 16 }, 0.1)), b:weight({ 1, 6, 16 }, 1))
    end)
    check(nil, { input { 1, 32 } }, function(b, x)
      return b:add(b:matmul(x, b:weight({ 32, 16 }, 0.1)), b:weight({ 3, 16 }, 1))
    end)
  end)

  it("does not take in what others read too", function()
    check(nil, { input { 2, 32 } }, function(b, x)
      local y = b:matmul(x, b:weight({ 32, 16 }, 0.1))
      return { b:relu(y), y }
    end)
    check(nil, { input { 2, 32 } }, function(b, x)
      local y = b:matmul(x, b:weight({ 32, 16 }, 0.1))
      return b:mul(y, y)
    end)
  end)

  it("recognises layer norms that are spelled out", function()
    check({ "LayerNormalization" }, { input { 3, 7, 40 } }, function(b, x) return b:layer_norm(x, 40) end)
    check({ "LayerNormalization" }, { input { 3, 40 } }, function(b, x)
      local centered = b:sub(x, b:node("ReduceMean", { x }, { axes = { 1 }, keepdims = 1 }))
      local variance = b:node("ReduceMean", { b:mul(centered, centered) }, { axes = { -1 }, keepdims = 1 })
      return b:div(centered, b:sqrt(b:add(variance, b:number(1e-3))))
    end)
    -- Over another axis it is none.
    check(nil, { input { 3, 40 } }, function(b, x)
      local centered = b:sub(x, b:node("ReduceMean", { x }, { axes = { 0 }, keepdims = 1 }))
      local variance = b:node("ReduceMean", { b:mul(centered, centered) }, { axes = { 0 }, keepdims = 1 })
      return b:div(centered, b:sqrt(b:add(variance, b:number(1e-3))))
    end)
  end)

  it("makes squares and roots of powers", function()
    check({ "Mul", "Sqrt" }, { input { 3, 40 } }, function(b, x)
      return b:pow(b:pow(x, b:number(2)), b:number(0.5))
    end)
  end)

  it("picks rows instead of multiplying one-hot encodings", function()
    local numbers = {}
    for i = 0, 9 do numbers[#numbers + 1] = i end
    -- Indices that are none encode as zeros.
    local ids = input({ 2, 4, 1 }, { datatype = "INT32", values = { 0, 9, 3, -1, 10, 5, 2147483647, -2147483648 } })
    local function encode(b, x)
      local wide = b:node("Expand", { x, b:constant({ 2, 4, 10 }) })
      return b:node("Cast", { b:node("Equal", { wide, b:constant(numbers, "INT32", { 1, 1, 10 }) }) }, { to = 1 })
    end
    check({ "Lookup" }, { ids }, function(b, x)
      return b:gelu(b:add(b:matmul(encode(b, x), b:weight({ 10, 6 }, 1)), b:weight({ 1, 1, 6 }, 1)))
    end)
    -- What is read twice, or summed with something of another shape, is not done to the table.
    check({ "Lookup", "Relu", "Add" }, { ids }, function(b, x)
      local y = b:matmul(encode(b, x), b:weight({ 10, 6 }, 1))
      return { b:relu(y), b:add(y, b:weight({ 2, 4, 6 }, 1)) }
    end)
    -- Numbers in another order are no encoding.
    numbers[1], numbers[2] = 1, 0
    check(nil, { ids }, function(b, x) return b:matmul(encode(b, x), b:weight({ 10, 6 }, 1)) end)
  end)

  it("leaves out what passes its input on", function()
    check({ "Relu" }, { input { 3, 4 } }, function(b, x)
      return b:node("Dropout", { b:node("Identity", { b:relu(x) }) })
    end)
  end)
end)
