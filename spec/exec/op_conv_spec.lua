local graphs = require "spec.support.graphs"

-- The largest difference from the plain direct convolution that constant folding uses.
local function difference(side, from, to, o, activate)
  return (graphs.compare({ graphs.input { 1, from, side, side } }, function(b, x)
    x = b:conv(x, from, to, o)
    return activate and activate(b, x) or x
  end))
end

describe("conv", function()
  local padded = { kernel = 3, pad = 1, bias = true }

  it("gives what the direct way gives where Winograd's is used", function()
    for _, side in ipairs { 14, 15, 20, 29 } do
      for _, channels in ipairs { { 16, 64 }, { 64, 80 }, { 40, 72 } } do
        local worst = difference(side, channels[1], channels[2], padded)
        assert.is_true(worst < 2e-5, ("%d channels, side %d: %g"):format(channels[1], side, worst))
      end
    end
  end)

  it("does posts that Winograd's way has, and those that it has not", function()
    local function relu(b, x) return b:relu(x) end
    local function gate(b, x) return b:mul(x, b:sigmoid(x)) end
    local function clip(b, x) return b:clip(x, 0, 6) end
    for _, activate in ipairs { relu, gate, clip } do
      assert.is_true(difference(20, 32, 64, padded, activate) < 2e-5)
    end
  end)

  it("squeezes and excites, with channels that fill blocks and that do not", function()
    for _, channels in ipairs { { 48, 12 }, { 480, 20 }, { 96, 16 }, { 40, 48 } } do
      local all, few = channels[1], channels[2]
      local worst = graphs.compare({ graphs.input { 2, 16, 9, 9 } }, function(b, x)
        x = b:relu(b:conv(x, 16, all, { kernel = 3, pad = 1 }))
        local y = b:conv(b:global_average_pool(x), all, few, { kernel = 1, bias = true })
        y = b:conv(b:mul(y, b:sigmoid(y)), few, all, { kernel = 1, bias = true })
        return b:mul(x, b:sigmoid(y))
      end)
      assert.is_true(worst < 1e-5, ("%d and %d channels: %g"):format(all, few, worst))
    end
  end)

  it("is direct for what Winograd's way is not for", function()
    for _, o in ipairs {
      { kernel = 3, pad = 0 }, { kernel = 3, pad = 1, stride = 2 }, { kernel = 3, pad = 1, groups = 2 },
      { kernel = 5, pad = 2 }, { kernel = { 3, 1 }, pad = { 1, 0 } },
    } do
      assert.is_true(difference(20, 32, 64, o) < 1e-5)
    end
  end)
end)
