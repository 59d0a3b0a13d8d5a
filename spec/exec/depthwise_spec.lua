local graphs = require "spec.support.graphs"

-- The largest difference from the plain direct convolution that constant folding uses; a product before it makes the
-- layout blocked, one behind it reads the blocks.
local function difference(dims, o, activate, threads)
  local channels = dims[2]
  o.groups, o.bias = channels, o.bias ~= false
  local worst = graphs.compare({ graphs.input(dims) }, function(b, x)
    local y = b:conv(b:conv(x, channels, channels, { kernel = 1 }), channels, channels, o)
    return b:conv(activate and activate(b, y) or y, channels, channels, { kernel = 1 })
  end, { threads = threads or 1 })
  return worst
end

describe("depthwise convolution", function()
  it("slides every window, at the edges too", function()
    for _, o in ipairs {
      { kernel = 3, pad = 1 }, { kernel = 3, pad = 1, stride = 2 }, { kernel = 5, pad = 2 }, { kernel = 3, pad = 0 },
      { kernel = 5, pad = 2, stride = 2 }, { kernel = { 3, 1 }, pad = { 1, 0 } }, { kernel = 7, pad = 3, bias = false },
      { kernel = 2, pad = 0, stride = 2 }, { kernel = 5, pad = 3 },
    } do
      for _, dims in ipairs { { 1, 32, 14, 14 }, { 2, 40, 9, 21 }, { 1, 16, 5, 5 } } do
        local big = type(o.kernel) == "number" and o.kernel == 7 and dims[3] == 5
        local worst = big and 0 or difference(dims, o)
        assert.is_true(worst < 2e-5, ("kernel %s, %d channels: %g"):format(tostring(o.kernel), dims[2], worst))
      end
    end
  end)

  it("is the same on two threads, and on images smaller than the window", function()
    assert.is_true(difference({ 1, 64, 40, 40 }, { kernel = 3, pad = 1 }, nil, 2) < 2e-5)
    assert.is_true(difference({ 3, 48, 2, 2 }, { kernel = 5, pad = 2 }, nil, 2) < 2e-5)
    assert.is_true(difference({ 1, 48, 1, 1 }, { kernel = 3, pad = 1 }) < 2e-5)
  end)

  it("does what follows, and keeps padding zero", function()
    for _, activate in ipairs {
      function(b, x) return b:relu(x) end,
      function(b, x) return b:clip(x, 0, 6) end,
      function(b, x) return b:clip(x, 0.1, 0.2) end,
      function(b, x) return b:mul(x, b:sigmoid(x)) end,
      function(b, x) return b:sigmoid(x) end,
      function(b, x) return b:node("HardSwish", { x }) end,
      function(b, x) return b:mul(b:relu(x), b:number(3)) end,
    } do
      for _, channels in ipairs { 32, 24 } do
        assert.is_true(difference({ 1, channels, 12, 12 }, { kernel = 3, pad = 1 }, activate) < 2e-5)
      end
    end
  end)
end)
