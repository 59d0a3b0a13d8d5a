-- Einsum of two operands becomes a matrix product, or one of elements, where it can; whatever it becomes, it gives what
-- its definition says: loops over all labels.
--   TIDEPOOL_GRAPHS=1000 TIDEPOOL_GRAPHS_SEED=17  so many random equations (default 60), from that seed on
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local C = ffi.C

local COUNT = tonumber(os.getenv "TIDEPOOL_GRAPHS") or 60
local SEED = tonumber(os.getenv "TIDEPOOL_GRAPHS_SEED") or math.floor(os.time() / 86400) * 1000 % 1000000
local TOLERANCE = 1e-5
local LETTERS = "abcdef"

-- A term's labels: letters, and "1", "2", … for the dimensions of an ellipsis, counted from the last.
local function labels_of(term, rank)
  local labels, letters = {}, select(2, term:gsub("%a", ""))
  local before, after = term:match "^(%a*)%.%.%.(%a*)$"
  if not before then before, after = term, "" end
  for letter in before:gmatch "%a" do labels[#labels + 1] = letter end
  if term:find("...", 1, true) then
    for i = rank - letters, 1, -1 do labels[#labels + 1] = tostring(i) end
  end
  for letter in after:gmatch "%a" do labels[#labels + 1] = letter end
  return labels
end

-- The output's dims and values, by the definition.
local function evaluate(equation, inputs)
  local left, right = equation:match "^(.-)%->(.*)$"
  local terms, lengths, wide = {}, {}, 0
  for term in left:gmatch "[^,]+" do
    local input = inputs[#terms + 1]
    local labels = labels_of(term, #input.dims)
    for i, label in ipairs(labels) do
      lengths[label] = math.max(lengths[label] or 1, input.dims[i])
      wide = math.max(wide, tonumber(label) or 0)
    end
    terms[#terms + 1] = labels
  end
  local out = labels_of(right, wide + select(2, right:gsub("%a", "")))
  local order, is_out = {}, {}
  for _, label in ipairs(out) do
    order[#order + 1], is_out[label] = label, true
  end
  for label in pairs(lengths) do
    if not is_out[label] then order[#order + 1] = label end
  end
  local values, at = {}, {}
  local function place(labels, dims)
    local index = 0
    for i, label in ipairs(labels) do index = index * dims[i] + (dims[i] == 1 and 0 or at[label]) end
    return index + 1
  end
  local dims = {}
  for i, label in ipairs(out) do dims[i] = lengths[label] end
  local function loop(depth)
    local label = order[depth]
    if label then
      for i = 0, lengths[label] - 1 do
        at[label] = i
        loop(depth + 1)
      end
      return
    end
    local product = 1
    for i, labels in ipairs(terms) do product = product * inputs[i].values[place(labels, inputs[i].dims)] end
    local to = place(out, dims)
    values[to] = (values[to] or 0) + product
  end
  loop(1)
  return dims, values
end

-- What a program gives for it, and its steps.
local function run(equation, inputs)
  local path = os.tmpname()
  finally(function() os.remove(path) end)
  graphs.write(path, inputs, function(b, ...) return b:node("Einsum", { ... }, { equation = equation }) end)
  local outputs, steps = graphs.run(path, inputs)
  return outputs[1], table.concat(steps, " ")
end

local function check(equation, inputs)
  local dims, want = evaluate(equation, inputs)
  local got, steps = run(equation, inputs)
  assert.is_true(C.tensor_type_equal(got.type, net.type(1, dims)), equation)
  for i, value in ipairs(want) do
    assert(math.abs(got.data[i - 1] - value) <= TOLERANCE * (1 + math.abs(value)),
      ("%s (%s): [%d] is %g, not %g"):format(equation, steps, i - 1, got.data[i - 1], value))
  end
  return steps
end

-- Inputs of these dims each.
local function tensors(...)
  local inputs = {}
  for i, dims in ipairs { ... } do inputs[i] = graphs.input(dims, { seed = i }) end
  return inputs
end

describe("Einsum", function()
  for _, each in ipairs {
    { "ij,jk->ik", "MatMul", { 3, 4 }, { 4, 5 } },
    { "bij,bjk->bik", "MatMul", { 2, 3, 4 }, { 2, 4, 5 } },
    { "bij,bkj->bik", "MatMulTransposed", { 2, 3, 4 }, { 2, 5, 4 } },
    { "bhid,bhjd->bhij", "MatMulTransposed", { 2, 3, 4, 5 }, { 2, 3, 6, 5 } },
    { "bhij,bhjd->bhid", "MatMul", { 2, 3, 4, 6 }, { 2, 3, 6, 5 } },
    { "ik,kj->ji", "Transpose MatMulTransposed", { 3, 4 }, { 4, 5 } },
    { "...ij,...jk->...ik", "MatMul", { 2, 3, 4, 5 }, { 3, 5, 2 } },
    { "bqhd,bkhd->bhqk", "Transpose Transpose MatMul", { 2, 4, 3, 5 }, { 2, 6, 3, 5 } },
    { "abc,cde->abde", "MatMul", { 2, 3, 4 }, { 4, 5, 2 } },
    { "abcd,cde->abe", "MatMul", { 2, 3, 4, 5 }, { 4, 5, 6 } },
    { "ab,ab->ab", "Mul", { 3, 4 }, { 3, 4 } },
    { "i,j->ij", "Mul", { 3 }, { 4 } },
    { "ai,ia->", "Einsum", { 3, 4 }, { 4, 3 } },
    { "bi,bi->b", "Einsum", { 3, 4 }, { 3, 4 } },
    { "ij,kj->k", "Einsum", { 3, 4 }, { 5, 4 } },
    { "iij,jk->ik", "Einsum", { 3, 3, 4 }, { 4, 5 } },
    { "ij,jk,kl->il", "Einsum", { 2, 3 }, { 3, 4 }, { 4, 5 } },
  } do
    it(each[1] .. " is " .. each[2], function()
      local steps = check(each[1], tensors(unpack(each, 3)))
      -- What only passes a tensor on is no step.
      assert.equal(each[2], steps)
    end)
  end

  it("of any kind gives what its definition says", function()
    math.randomseed(SEED)
    local function some(most)
      local term = ""
      for letter in LETTERS:gmatch "%a" do
        if math.random(LETTERS:len()) <= most then
          local at = math.random(#term + 1)
          term = term:sub(1, at - 1) .. letter .. term:sub(at)
        end
      end
      return term
    end
    for i = 1, COUNT do
      local lengths = {}
      for letter in LETTERS:gmatch "%a" do lengths[letter] = math.random(1, 4) end
      local a, b, out = some(3), some(3), ""
      if a == "" then a = "a" end
      if b == "" then b = "b" end
      -- Now and then a diagonal.
      if math.random(12) == 1 then a = a .. a:sub(1, 1) end
      for letter in some(4):gmatch "%a" do
        if (a .. b):find(letter) then out = out .. letter end
      end
      local inputs = {}
      for k, term in ipairs { a, b } do
        local dims = {}
        for letter in term:gmatch "%a" do dims[#dims + 1] = lengths[letter] end
        inputs[k] = graphs.input(dims, { seed = i * 2 + k })
      end
      -- An ellipsis in front of all, of which one operand may have less.
      if math.random(3) == 1 then
        local more = { math.random(1, 3), math.random(1, 3) }
        for k, input in ipairs(inputs) do
          local count = k == 1 and 2 or math.random(0, 2)
          for j = 1, count do table.insert(input.dims, 1, math.random(4) == 1 and 1 or more[j]) end
          inputs[k] = graphs.input(input.dims, { seed = i * 2 + k })
        end
        a, b, out = "..." .. a, "..." .. b, "..." .. out
      end
      check(("%s,%s->%s"):format(a, b, out), inputs)
    end
  end)
end)
