local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local panels = require "spec.support.c" "exec/panels.h"
local C = ffi.C

local input = graphs.input

local function count(steps, op_type)
  local found = 0
  for _, step in ipairs(steps) do found = found + (step == op_type and 1 or 0) end
  return found
end

-- The model gives what its nodes give one by one, on one thread and two; with so many ScaledConvs, where there are
-- panels.
local function check(expected, inputs, make)
  for threads = 1, 2 do
    local worst, steps = graphs.compare(inputs, make, { threads = threads })
    assert.is_true(worst < 3e-5, "differs by " .. worst)
    if panels.panels_supported() then
      assert.are.equal(expected, count(steps, "ScaledConv"), table.concat(steps, " "))
    end
  end
end

-- A batch norm that stays one: what it reads is no convolution's.
local function normed(b, x, channels) return b:batch_norm(b:relu(x), channels) end

describe("scaled convolution", function()
  it("takes in a batch norm, with and without Relu", function()
    for _, shape in ipairs { { 64, 64, 7 }, { 128, 96, 5 }, { 464, 128, 9 }, { 1024, 64, 4 } } do
      local from, to, side = unpack(shape)
      for _, images in ipairs { 1, 3 } do
        check(1, { input { images, from, side, side } }, function(b, x)
          return b:conv(b:relu(normed(b, x, from)), from, to, { kernel = 1 })
        end)
      end
      check(1, { input { 1, from, side, side } }, function(b, x)
        return b:conv(normed(b, x, from), from, to, { kernel = 1, bias = true })
      end)
    end
  end)

  it("has posts of its own, with operands", function()
    check(1, { input { 1, 64, 6, 6 }, input({ 1, 80, 6, 6 }, { seed = 4 }) }, function(b, x, y)
      local z = b:conv(b:relu(normed(b, x, 64)), 64, 80, { kernel = 1, bias = true })
      return b:sigmoid(b:mul(b:relu(b:add(z, y)), b:weight({ 80, 1, 1 }, 0.5)))
    end)
  end)

  it("works on tensors of more rows than a part has", function()
    check(1, { input { 1, 512, 30, 31 } }, function(b, x)
      return b:conv(b:relu(normed(b, x, 512)), 512, 64, { kernel = 1 })
    end)
  end)

  it("is made of a whole block of a DenseNet, which grows in place", function()
    check(3, { input { 1, 64, 8, 8 } }, function(b, x)
      local channels = 64
      for _ = 1, 3 do
        local y = b:conv(b:relu(b:batch_norm(x, channels)), channels, 64, { kernel = 1 })
        y = b:conv(b:relu(b:batch_norm(y, 64)), 64, 32, { kernel = 3, pad = 1 })
        x, channels = b:concat({ x, y }, 1), channels + 32
      end
      return x
    end)
  end)

  it("leaves what others read, other windows, other activations and what panels are not for", function()
    check(0, { input { 1, 64, 6, 6 } }, function(b, x)
      local y = b:relu(normed(b, x, 64))
      return { b:conv(y, 64, 64, { kernel = 1 }), y }
    end)
    check(0, { input { 1, 64, 6, 6 } }, function(b, x)
      local y = b:relu(normed(b, x, 64))
      return b:add(b:conv(y, 64, 64, { kernel = 1 }), b:conv(y, 64, 64, { kernel = 1 }))
    end)
    check(0, { input { 1, 64, 6, 6 } }, function(b, x)
      return b:conv(b:relu(normed(b, x, 64)), 64, 64, { kernel = 3, pad = 1 })
    end)
    check(0, { input { 1, 64, 6, 6 } }, function(b, x)
      return b:conv(b:relu(normed(b, x, 64)), 64, 64, { kernel = 1, stride = 2 })
    end)
    check(0, { input { 1, 64, 6, 6 } }, function(b, x)
      return b:conv(b:sigmoid(normed(b, x, 64)), 64, 64, { kernel = 1 })
    end)
    for _, shape in ipairs { { 32, 64 }, { 64, 32 }, { 72, 64 }, { 64, 72 } } do
      check(0, { input { 1, shape[1], 6, 6 } }, function(b, x)
        return b:conv(b:relu(normed(b, x, shape[1])), shape[1], shape[2], { kernel = 1 })
      end)
    end
    -- Nothing follows.
    check(0, { input { 1, 64, 6, 6 } }, function(b, x) return b:relu(normed(b, x, 64)) end)
  end)

  it("serves any batch and any size from one image", function()
    local path = os.tmpname()
    local function make(b, x) return b:conv(b:relu(normed(b, x, 64)), 64, 96, { kernel = 1 }) end
    local function shaped(batch, side) return input({ batch, 64, side, side }, { open = { "n", 64, "h", "w" } }) end
    graphs.write(path, { shaped(1, 5) }, make)
    local model = net.open(path, { threads = 2 })
    os.remove(path)
    for _, shape in ipairs { { 1, 5 }, { 2, 9 }, { 0, 5 }, { 4, 1 }, { 1, 40 } } do
      local x = shaped(unpack(shape))
      local x_type = net.type(1, x.dims)
      local program = net.compile(model, { x_type })
      local got = net.run(program, C.model_image(model), { { type = x_type, data = x.values } })
      local folded = os.tmpname()
      graphs.write(folded, { x }, make, true)
      local want = graphs.run(folded, { input { 1 } })
      os.remove(folded)
      assert.are.equal(tonumber(want[1].count), tonumber(got[1].count))
      for i = 0, tonumber(want[1].count) - 1 do assert.is_true(math.abs(got[1].data[i] - want[1].data[i]) < 3e-5) end
    end
  end)
end)
