local graphs = require "spec.support.graphs"

local input = graphs.input

local function check(steps, inputs, make)
  local worst, got = graphs.compare(inputs, make)
  assert.is_true(worst < 1e-5, "differs by " .. worst)
  if steps then assert.same(steps, got) end
end

local IMAGE = { 2, 3, 9, 7 }

describe("layout", function()
  it("keeps blocks from convolution to convolution", function()
    check({ "Conv", "MaxPool", "Conv", "Conv", "Concat", "Conv", "GlobalAveragePool" }, { input(IMAGE) }, function(b, x)
      local y = b:max_pool(b:conv(x, 3, 32, { kernel = 3, pad = 1 }), { kernel = 3, stride = 2 })
      y = b:concat({ b:conv(y, 32, 16, { kernel = 1 }), b:conv(y, 32, 48, { kernel = 3, pad = 1 }) }, 1)
      return b:global_average_pool(b:conv(y, 64, 64, { kernel = 1 }))
    end)
  end)

  it("broadcasts over blocks", function()
    -- Squeeze and excitation: one factor a channel; then scalars, whole tensors and constants a channel.
    check(nil, { input(IMAGE) }, function(b, x)
      local y = b:conv(x, 3, 32, { kernel = 3 })
      local gate = b:sigmoid(b:conv(b:global_average_pool(y), 32, 32, { kernel = 1, bias = true }))
      y = b:mul(y, gate)
      y = b:sub(b:number(1), b:mul(gate, y))
      y = b:div(y, b:weight({ 1, 32, 1, 1 }, 0.2, 1))
      return b:add(b:node("Max", { y, b:mul(y, b:number(-1)) }), b:weight({ 1, 32, 7, 5 }, 1))
    end)
  end)

  it("pads channels with zeros that nothing reads", function()
    for _, channels in ipairs { 1, 15, 17, 24, 33 } do
      check(nil, { input(IMAGE) }, function(b, x)
        local y = b:conv(x, 3, channels, { kernel = 3, pad = 1 })
        local z = b:node("Cos", { b:add(y, b:conv(x, 3, channels, { kernel = 1 })) })
        y = b:concat({ b:node("Exp", { y }), z }, 1)
        return { b:conv(y, 2 * channels, 5, { kernel = 3 }), b:div(z, b:node("Exp", { y and z })) }
      end)
    end
  end)

  it("does depthwise and grouped convolutions", function()
    for _, shape in ipairs { { 32, 32 }, { 24, 24 }, { 8, 8 }, { 32, 4 }, { 48, 3 } } do
      local channels, groups = shape[1], shape[2]
      check(nil, { input(IMAGE) }, function(b, x)
        local y = b:relu(b:conv(x, 3, channels, { kernel = 1 }))
        y = b:clip(b:conv(y, channels, channels, { kernel = 3, pad = 1, groups = groups, stride = 2 }), 0, 6)
        return b:conv(y, channels, 20, { kernel = 1, bias = true })
      end)
    end
  end)

  it("comes back to plain for what wants it", function()
    check(nil, { input(IMAGE) }, function(b, x)
      local y = b:conv(x, 3, 32, { kernel = 3 })
      return { b:softmax(y), b:reshape(y, { 2, -1 }), b:transpose(y, { 0, 2, 3, 1 }), y }
    end)
  end)

  it("takes signals and volumes", function()
    for rank = 3, 5 do
      local dims, kernel = { 2, 5, 11, 9, 7 }, { 3, 3, 3 }
      dims = { unpack(dims, 1, rank) }
      check(nil, { input(dims) }, function(b, x)
        local y = b:node("Conv", { x, b:weight({ 20, 5, unpack(kernel, 1, rank - 2) }, 0.2) })
        return b:node("Conv", { b:relu(y), b:weight({ 4, 20, unpack(kernel, 1, rank - 2) }, 0.2), b:weight({ 4 }, 1) })
      end)
    end
  end)
end)
