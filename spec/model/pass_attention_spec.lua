local graphs = require "spec.support.graphs"
local C = require "spec.support.c" "exec/panels.h"

local input = graphs.input

local function count(steps, op_type)
  local found = 0
  for _, step in ipairs(steps) do found = found + (step == op_type and 1 or 0) end
  return found
end

-- As models/zoo writes it, with what differs between exporters.
local function split_heads(b, x, tokens, heads, size)
  return b:transpose(b:reshape(x, { 0, tokens, heads, size }), { 0, 2, 1, 3 })
end

local function softmax(b, x) return b:node("Softmax", { x }, { axis = -1 }) end

-- o: tokens, heads, size, keys (tokens of K and V), turned (K is transposed at once), scores (what is done to them).
local function attention(b, x, y, o)
  local heads, size, width = o.heads, o.size, o.heads * o.size
  local q = split_heads(b, b:matmul(x, b:weight({ width, width }, 0.2)), o.tokens, heads, size)
  local k = b:matmul(y, b:weight({ width, width }, 0.2))
  local v = split_heads(b, b:matmul(y, b:weight({ width, width }, 0.5)), o.keys, heads, size)
  if o.turned then
    k = b:transpose(b:reshape(k, { 0, o.keys, heads, size }), { 0, 2, 3, 1 })
  else
    k = b:transpose(split_heads(b, k, o.keys, heads, size), { 0, 1, 3, 2 })
  end
  if o.queries then q, k = o.queries(b, q), o.queries(b, k) end
  local scores = b:matmul(q, k)
  if o.scores then scores = o.scores(b, scores) end
  local mixed = b:transpose(b:matmul(softmax(b, scores), v), { 0, 2, 1, 3 })
  return b:reshape(mixed, { 0, o.tokens, width })
end

local function check(o, expected)
  o.heads, o.size, o.tokens = o.heads or 3, o.size or 16, o.tokens or 20
  o.keys = o.keys or o.tokens
  local width = o.heads * o.size
  local inputs = { input { o.images or 2, o.tokens, width }, input({ o.images or 2, o.keys, width }, { seed = 9 }) }
  for threads = 1, 2 do
    local function make(b, x, y) return attention(b, x, y, o) end
    local worst, steps = graphs.compare(inputs, make, { threads = threads })
    assert.is_true(worst < 2e-5, "differs by " .. worst)
    if not C.panels_supported() then return end
    assert.are.equal(expected or 1, count(steps, "Attention"), table.concat(steps, " "))
    if not expected then
      for _, gone in ipairs { "Softmax", "Transpose", "Div", "Mul", "Add" } do
        assert.are.equal(0, count(steps, gone), table.concat(steps, " "))
      end
    end
  end
end

local function ramp(b, dims, low)
  local values = {}
  local count_all = 1
  for _, dim in ipairs(dims) do count_all = count_all * dim end
  for i = 1, count_all do values[i] = i % 3 == 0 and low or 0 end
  return b:constant(values, "FP32", dims)
end

describe("attention", function()
  it("is one step without a mask, as ViT writes it", function()
    check { scores = function(b, s) return b:div(s, b:number(4)) end }
    check { scores = function(b, s) return b:mul(s, b:number(0.25)) end, turned = true }
    check {}
  end)

  it("takes in masks of BERT's, GPT-2's and any broadcast shape", function()
    for _, dims in ipairs { { 2, 1, 1, 20 }, { 1, 1, 20, 20 }, { 20 }, { 3, 1, 20 }, { 2, 3, 20, 20 } } do
      check { scores = function(b, s) return b:add(b:div(s, b:number(4)), ramp(b, dims, -10000)) end }
    end
    check { scores = function(b, s) return b:add(ramp(b, { 1, 1, 20, 20 }, -1 / 0), s) end }
  end)

  it("takes scales of Q and K, as Whisper and PyTorch 2 write them", function()
    check { queries = function(b, x) return b:mul(x, b:number(0.5)) end }
    check { queries = function(b, x) return b:div(x, b:number(2)) end, turned = true,
      scores = function(b, s) return b:add(s, ramp(b, { 20, 20 }, -5)) end }
  end)

  it("has other keys than queries, and sizes that fill no block", function()
    check { tokens = 7, keys = 45 }
    check { tokens = 33, keys = 5, size = 9, heads = 2 }
    check { tokens = 150, keys = 64, size = 40, heads = 1, images = 1 }
    check { tokens = 1, keys = 31, heads = 1 }
  end)

  it("is found in three dimensions, each head a batch", function()
    local inputs = { input { 4, 10, 24 }, input({ 4, 24, 12 }, { seed = 3 }), input({ 4, 12, 8 }, { seed = 5 }) }
    local worst, steps = graphs.compare(inputs, function(b, q, k, v)
      return b:matmul(softmax(b, b:mul(b:matmul(q, k), b:number(0.2))), v)
    end)
    assert.is_true(worst < 1e-5)
    assert.are.equal(C.panels_supported() and 1 or 0, count(steps, "Attention"))
  end)

  it("is left as it is where something else reads or changes the scores", function()
    check({ scores = function(b, s) return b:relu(s) end }, 0)
    -- The mask is scaled too.
    check({ scores = function(b, s) return b:div(b:add(s, ramp(b, { 20, 20 }, -5)), b:number(4)) end }, 0)
    -- Two sums.
    check({ scores = function(b, s) return b:add(b:add(s, ramp(b, { 20, 20 }, -5)), ramp(b, { 20 }, 3)) end }, 0)
    -- A summand for each row changes nothing, but is no mask.
    check({ scores = function(b, s) return b:add(s, ramp(b, { 20, 1 }, -5)) end }, 0)
    local inputs = { input { 2, 10, 24 }, input({ 2, 24, 10 }, { seed = 3 }), input({ 2, 10, 8 }, { seed = 5 }) }
    local worst, steps = graphs.compare(inputs, function(b, q, k, v)
      local p = softmax(b, b:matmul(q, k))
      return { p, b:matmul(p, v) }
    end)
    assert.is_true(worst < 1e-5)
    assert.are.equal(0, count(steps, "Attention"))
    worst, steps = graphs.compare(inputs, function(b, q, k, v)
      return b:matmul(b:node("Softmax", { b:matmul(q, k) }, { axis = 1 }), v)
    end)
    assert.is_true(worst < 1e-5)
    assert.are.equal(0, count(steps, "Attention"))
    -- One V for all of the batch.
    worst, steps = graphs.compare({ inputs[1], inputs[2], input { 1, 10, 8 } }, function(b, q, k, v)
      return b:matmul(softmax(b, b:matmul(q, k)), v)
    end)
    assert.is_true(worst < 1e-5)
    assert.are.equal(0, count(steps, "Attention"))
  end)
end)
