local graphs = require "spec.support.graphs"
local C = require "spec.support.c" "exec/panels.h"

local input = graphs.input

local function check(steps, inputs, make, options)
  local worst, got = graphs.compare(inputs, make, options)
  assert.is_true(worst < 1e-5, "differs by " .. worst)
  if steps then assert.same(steps, got) end
end

describe("transpositions", function()
  it("of one another are one, or none", function()
    check({ "Transpose" }, { input { 2, 3, 4, 5 } }, function(b, x)
      return b:transpose(b:transpose(x, { 1, 0, 2, 3 }), { 0, 3, 1, 2 })
    end)
    check({ "Relu" }, { input { 2, 3, 4, 5 } }, function(b, x)
      return b:relu(b:transpose(b:transpose(x, { 0, 2, 3, 1 }), { 0, 3, 1, 2 }))
    end)
    check({ "Relu" }, { input { 3, 4 } }, function(b, x)
      return b:relu(b:node("Transpose", { b:node("Transpose", { x }) }))
    end)
    -- The first one is read by others too.
    check(nil, { input { 2, 3, 4 } }, function(b, x)
      local y = b:transpose(x, { 1, 0, 2 })
      return { b:relu(y), b:transpose(y, { 2, 0, 1 }) }
    end)
  end)

  it("of a product's second matrix are how it is read", function()
    check({ "MatMulTransposed" }, { input { 2, 5, 24 }, input({ 2, 7, 24 }, { seed = 3 }) }, function(b, x, y)
      return b:relu(b:add(b:matmul(x, b:transpose(y, { 0, 2, 1 })), b:weight({ 7 }, 1)))
    end)
    check({ "MatMulTransposed" }, { input { 2, 1, 5, 24 }, input({ 3, 7, 24 }, { seed = 3 }) }, function(b, x, y)
      return b:matmul(x, b:transpose(y, { 0, 2, 1 }))
    end)
    for _, threads in ipairs { 1, 2 } do
      check({ "MatMulTransposed" }, { input { 9, 80 } }, function(b, x)
        return b:relu(b:matmul(x, b:transpose(b:weight({ 70, 80 }, 0.5), { 1, 0 })))
      end, { threads = threads })
    end
  end)

  it("of other dimensions, or of the first matrix, are done", function()
    check({ "Transpose", "MatMul" }, { input { 2, 5, 24 }, input({ 24, 2, 7 }, { seed = 3 }) }, function(b, x, y)
      return b:matmul(x, b:transpose(y, { 1, 0, 2 }))
    end)
    check({ "Transpose", "MatMul" }, { input { 24, 5 }, input({ 24, 7 }, { seed = 3 }) }, function(b, x, y)
      return b:matmul(b:transpose(x, { 1, 0 }), y)
    end)
  end)
end)

describe("a tied embedding", function()
  -- GPT-2's: rows of the table, and a product with its transpose.
  local function tied(b, ids)
    local words = b:weight({ 200, 72 }, 0.5)
    return b:matmul(b:relu(b:node("Gather", { words, ids })), b:transpose(words, { 1, 0 }))
  end

  local function ids(values) return input({ 1, #values }, { datatype = "INT64", values = values }) end

  it("is held once, and both read it", function()
    local numbers = { 0, 199, 31, 32, 33, -1, 64, 100, 7 }
    for _, count in ipairs { 9, 1 } do
      local some = {}
      for i = 1, count do some[i] = numbers[i] end
      check(nil, { ids(some) }, tied)
    end
    if not C.panels_supported() then pending "this processor has no AVX-512" end
    local path = os.tmpname()
    graphs.write(path, { ids(numbers) }, tied, false)
    local _, _, _, model = graphs.run(path, { ids(numbers) })
    os.remove(path)
    -- Padded to whole panels; twice it would be 115,200 bytes.
    assert.is_true(tonumber(C.model_image(model).bytes) < 80000, tonumber(C.model_image(model).bytes))
  end)

  it("refuses words that are none", function()
    local path = os.tmpname()
    graphs.write(path, { ids { 1, 2 } }, tied, false)
    assert.has_error(function() graphs.run(path, { ids { 200, 2 } }) end)
    os.remove(path)
  end)
end)
