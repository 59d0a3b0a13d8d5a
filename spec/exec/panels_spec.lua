local graphs = require "spec.support.graphs"
local ffi = require "ffi"
local C = require "spec.support.c"("exec/panels.h", "exec/isa.h")

-- A product by the rules, in doubles; post(value, row, column) is what is done to each element.
local function product(a, b, m, n, k, post)
  local c = {}
  for row = 0, m - 1 do
    for column = 0, n - 1 do
      local sum = 0
      for i = 0, k - 1 do sum = sum + a[row * k + i + 1] * b[i * n + column + 1] end
      c[row * n + column + 1] = post and post(sum, row, column) or sum
    end
  end
  return c
end

-- The largest difference of the model's output from `want`.
local function difference(inputs, make, want, options)
  local path = os.tmpname()
  graphs.write(path, inputs, make, false)
  local outputs, steps = graphs.run(path, inputs, options)
  os.remove(path)
  local worst = 0
  assert.are.equal(#want, tonumber(outputs[1].count))
  for i, value in ipairs(want) do
    local off = math.abs(outputs[1].data[i - 1] - value)
    if off ~= off then return 1 / 0, steps end
    worst = math.max(worst, off)
  end
  return worst, steps
end

-- Rows, columns, inner: whole tiles and panels, and not; parts of the inner dimension, slices, large results.
local SHAPES = {
  { 8, 64, 64 }, { 14, 96, 80 }, { 15, 65, 67 }, { 29, 100, 400 }, { 33, 127, 801 }, { 1, 64, 64 }, { 193, 65, 1601 },
  { 195, 1400, 70 },
}

local function relu(x) return math.max(x, 0) end

describe("panels", function()
  for _, threads in ipairs { 1, 2 } do
    it(("multiply as the rule says, %d threads"):format(threads), function()
      for _, shape in ipairs(SHAPES) do
        local m, n, k = unpack(shape)
        local b = graphs.values(k * n, 7)
        local x = graphs.input({ m, k }, { seed = 3 })
        local worst = difference({ x }, function(builder, a)
          return builder:matmul(a, builder:constant(b, "FP32", { k, n }))
        end, product(x.values, b, m, n, k), { threads = threads })
        -- Inputs are rounded to floats, sums grow with k.
        assert.is_true(worst < math.max(2e-5, k * 6e-8), ("%d x %d x %d: %g"):format(m, n, k, worst))
      end
    end)
  end

  for _, shape in ipairs { { 29, 100, 70 }, { 200, 100, 900 } } do
    it(("add a bias and what lies alike, and bound, in order, %d rows"):format(shape[1]), function()
      local m, n, k = unpack(shape)
      local b, bias = graphs.values(k * n, 7), graphs.values(n, 5)
      local x, y = graphs.input({ m, k }, { seed = 3 }), graphs.input({ m, n }, { seed = 4 })
      local worst, steps = difference({ x, y }, function(builder, a, other)
        local c = builder:matmul(a, builder:constant(b, "FP32", { k, n }))
        return builder:relu(builder:add(builder:add(c, builder:constant(bias, "FP32", { n })), other))
      end, product(x.values, b, m, n, k, function(sum, row, column)
        return relu(sum + bias[column + 1] + y.values[row * n + column + 1])
      end))
      assert.same({ "MatMul" }, steps)
      assert.is_true(worst < math.max(2e-5, k * 6e-8), worst)
      -- The other way round, the bound comes first.
      worst, steps = difference({ x, y }, function(builder, a, other)
        local c = builder:relu(builder:matmul(a, builder:constant(b, "FP32", { k, n })))
        return builder:mul(builder:add(c, other), builder:constant(bias, "FP32", { n }))
      end, product(x.values, b, m, n, k, function(sum, row, column)
        return (relu(sum) + y.values[row * n + column + 1]) * bias[column + 1]
      end))
      assert.same({ "MatMul" }, steps)
      assert.is_true(worst < math.max(2e-5, k * 6e-8), worst)
    end)
  end

  it("read a matrix that is transposed", function()
    local m, n, k = 9, 70, 66
    local b, c = graphs.values(n * k, 7), graphs.values(n, 2)
    local x = graphs.input({ m, k }, { seed = 3 })
    local turned = {}
    for i = 0, k - 1 do
      for j = 0, n - 1 do turned[i * n + j + 1] = b[j * k + i + 1] end
    end
    local worst = difference({ x }, function(builder, a)
      return builder:node("Gemm", { a, builder:constant(b, "FP32", { n, k }), builder:constant(c, "FP32", { n }) },
        { transB = 1 })
    end, product(x.values, turned, m, n, k, function(sum, _, column) return sum + c[column + 1] end))
    assert.is_true(worst < 2e-5, worst)
  end)

  it("serve other numbers of rows from the one packed form", function()
    local n, k = 64, 96
    local b = graphs.values(k * n, 7)
    for _, m in ipairs { 40, 1, 3 } do
      local x = graphs.input({ m, k }, { seed = 3, open = { "n", k } })
      assert.is_true(difference({ x }, function(builder, a)
        return builder:matmul(a, builder:constant(b, "FP32", { k, n }))
      end, product(x.values, b, m, n, k)) < 2e-5)
    end
  end)

  it("are 1x1 convolutions, whose padding stays zero", function()
    -- channels in and out, images, side
    for _, shape in ipairs { { 64, 64, 1, 7 }, { 80, 72, 2, 5 }, { 72, 200, 1, 13 } } do
      local from, to, images, side = unpack(shape)
      local pixels = side * side
      local weights, bias = graphs.values(from * to, 7), graphs.values(to, 5)
      local x = graphs.input({ images, from, side, side }, { seed = 3 })
      local want = {}
      for image = 0, images - 1 do
        for channel = 0, to - 1 do
          for pixel = 0, pixels - 1 do
            local sum = bias[channel + 1]
            for i = 0, from - 1 do
              sum = sum + x.values[(image * from + i) * pixels + pixel + 1] * weights[channel * from + i + 1]
            end
            want[#want + 1] = relu(sum)
          end
        end
      end
      local worst = difference({ x }, function(builder, image)
        return builder:relu(builder:node("Conv", {
          image, builder:constant(weights, "FP32", { to, from, 1, 1 }), builder:constant(bias, "FP32", { to }),
        }))
      end, want, { threads = 2 })
      assert.is_true(worst < 2e-5, ("%d to %d channels: %g"):format(from, to, worst))
      -- A second convolution reads the blocks as they are, padding too.
      assert.is_true(graphs.compare({ x }, function(builder, image)
        local y = builder:mul(image, builder:number(1))
        for _ = 1, 2 do
          y = builder:conv(y, from, to, { kernel = 1, bias = true })
          y = builder:sigmoid(builder:conv(y, to, from, { kernel = 1, bias = true }))
        end
        return y
      end) < 2e-5)
    end
  end)

  it("are used where there is AVX-512", function()
    assert.are.equal(ffi.C.isa_level() == ffi.C.ISA_AVX512, C.panels_supported())
  end)
end)
