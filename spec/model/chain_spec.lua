local ffi = require "ffi"
local chains = require "spec.support.chains"
local net = require "spec.support.net"
local C = ffi.C

local FLOAT, INT32, INT64, DOUBLE = 1, 6, 7, 11

-- Numbers from -2 to 2 (or whole ones) for inputs { data_type, dims }.
local function tensors_for(inputs, seed)
  math.randomseed(seed)
  local tensors = {}
  for i, input in ipairs(inputs) do
    local type, data = net.type(input[1], input[2]), {}
    for k = 1, tonumber(C.tensor_elements(type)) do
      local x = math.random() * 4 - 2
      data[k] = (input[1] == FLOAT or input[1] == DOUBLE) and x or math.floor(x * 8)
    end
    tensors[i] = { type = type, data = data }
  end
  return tensors
end

-- The program gives, to the bit, what the links give one by one. Returns its steps' operators.
local function check(inputs, links, kept, threads)
  local chain, keep = chains.new(inputs, links, kept)
  local program = assert(chains.compile(chain, threads))
  local tensors = tensors_for(inputs, #links)
  local got, want = net.run(program, nil, tensors), chains.run_apart(links, tensors)
  assert.equal(#kept, #got)
  for i, r in ipairs(kept) do
    assert.is_true(C.tensor_type_equal(got[i].type, want[r].type))
    assert.is_true(chains.bytes(got[i]) == chains.bytes(want[r]), ("result %d differs"):format(r))
  end
  assert.is_table(keep)
  return chains.steps(program)
end

local function spelled(chain)
  local spelling = ffi.new "struct spelling"
  C.chain_spell(spelling, chain)
  local bytes = ffi.string(spelling.data, spelling.bytes)
  C.spelling_destroy(spelling)
  return bytes
end

describe("chain", function()
  it("does element-wise operators that feed each other in one step", function()
    assert.same({ "Elements" }, check({ { FLOAT, { 5, 70 } }, { FLOAT, { 70 } }, { FLOAT, { 5, 1 } }, { FLOAT, {} } }, {
      { op = "Mul", inputs = { 1, 2 } },
      { op = "Tanh", inputs = { -1 } },
      { op = "Sub", inputs = { -2, 3 } },
      { op = "Mul", inputs = { -3, -3 } },
      { op = "LeakyRelu", inputs = { -4 }, attributes = { alpha = { float = 0.25 } } },
      { op = "Div", inputs = { 4, -5 } },
      { op = "Max", inputs = { -6, -1 } },
    }, { 7 }))
  end)

  it("writes what is kept, wherever it is in a step", function()
    assert.same({ "Elements" }, check({ { FLOAT, { 3000 } } }, {
      { op = "Exp", inputs = { 1 } }, { op = "Neg", inputs = { -1 } }, { op = "Add", inputs = { -1, -2 } },
      { op = "Sqrt", inputs = { -1 } },
    }, { 1, 2, 3, 4 }))
  end)

  it("begins another step behind a node that reads of the first", function()
    assert.same({ "Elements", "ReduceMean", "Elements" }, check({ { FLOAT, { 4, 300 } } }, {
      { op = "Abs", inputs = { 1 } }, { op = "Sqrt", inputs = { -1 } },
      { op = "ReduceMean", inputs = { -2, { 1 } }, attributes = { keepdims = 1 } },
      { op = "Sub", inputs = { -2, -3 } }, { op = "Mul", inputs = { -4, -1 } },
    }, { 5 }))
  end)

  it("joins two groups that meet, and keeps shapes apart", function()
    local steps = check({ { FLOAT, { 6, 50 } }, { FLOAT, { 50 } } }, {
      { op = "Relu", inputs = { 1 } }, { op = "Sin", inputs = { 1 } }, { op = "Abs", inputs = { 2 } },
      { op = "Sigmoid", inputs = { -3 } }, { op = "Mul", inputs = { -1, -2 } }, { op = "Add", inputs = { -5, -4 } },
    }, { 6 })
    assert.same({ "Elements", "Elements" }, steps)
  end)

  it("takes integers, numbers of two lengths, and what compares them", function()
    assert.same({ "Elements" }, check({ { INT32, { 2000 } }, { INT32, { 2000 } } }, {
      { op = "Add", inputs = { 1, 2 } }, { op = "Neg", inputs = { -1 } }, { op = "Mul", inputs = { -1, -2 } },
      { op = "Less", inputs = { -3, 1 } }, { op = "Equal", inputs = { -2, 2 } }, { op = "Or", inputs = { -4, -5 } },
      { op = "Not", inputs = { -6 } },
    }, { 3, 7 }))
    assert.same({ "Elements" }, check({ { DOUBLE, { 1500 } }, { DOUBLE, { 1 } } }, {
      { op = "Add", inputs = { 1, 2 } }, { op = "Greater", inputs = { -1, 1 } }, { op = "Cos", inputs = { -1 } },
      { op = "GreaterOrEqual", inputs = { -3, -1 } }, { op = "And", inputs = { -2, -4 } },
    }, { 1, 5 }))
  end)

  it("leaves posts to products, and what follows to its own step", function()
    local steps = check({ { FLOAT, { 3, 8 } }, { FLOAT, { 8, 16 } }, { FLOAT, { 16 } } }, {
      { op = "MatMul", inputs = { 1, 2 } }, { op = "Add", inputs = { -1, 3 } }, { op = "Relu", inputs = { -2 } },
      { op = "Softmax", inputs = { -3 }, attributes = { axis = 1 } }, { op = "Abs", inputs = { -4 } },
      { op = "Exp", inputs = { -5 } },
    }, { 6 })
    assert.same({ "MatMul", "Softmax", "Elements" }, steps)
  end)

  it("gives the same for random programs of any length, on one and two threads", function()
    local unary = { "Relu", "Sigmoid", "Tanh", "Abs", "Neg", "Sign", "Floor", "Erf", "Softsign", "Sin", "Mish",
      "HardSwish" }
    local binary = { "Add", "Sub", "Mul", "Max", "Min", "Mod" }
    for seed = 1, 60 do
      math.randomseed(seed)
      local random = math.random
      local columns = ({ 1, 3, 64, 100, 1024, 1500, 5000 })[random(7)]
      local rows = random(4) == 1 and 40 or random(3)
      local inputs = { { FLOAT, { rows, columns } }, { FLOAT, { columns } }, { FLOAT, { rows, 1 } }, { FLOAT, {} },
        { FLOAT, { rows, columns } } }
      -- Results of the whole shape; the first is made of one that has it.
      local links, kept = { { op = "Add", inputs = { 1, random(5) } } }, {}
      for k = 2, random(2, 90) do
        local function operand() return random(4) == 1 and random(5) or -random(math.max(1, k - 6), k - 1) end
        local whole = -random(math.max(1, k - 6), k - 1)
        if random(2) == 1 then
          links[k] = { op = unary[random(#unary)], inputs = { whole } }
        else
          local pair = random(2) == 1 and { whole, operand() } or { operand(), whole }
          local op = binary[random(#binary)]
          links[k] = { op = op, inputs = pair, attributes = op == "Mod" and { fmod = 1 } or nil }
        end
        if random(8) == 1 then kept[#kept + 1] = k end
      end
      if kept[#kept] ~= #links then kept[#kept + 1] = #links end
      local ok, message = pcall(check, inputs, links, kept, 1 + seed % 2)
      assert(ok, ("seed %d: %s"):format(seed, tostring(message)))
    end
  end)

  it("refuses what types do not tell", function()
    for _, link in ipairs {
      { op = "NonZero", inputs = { 1 } }, { op = "RandomNormalLike", inputs = { 1 } },
      { op = "Bernoulli", inputs = { 1 } },
    } do
      local chain, keep = chains.new({ { FLOAT, { 4 } } }, { { op = "Abs", inputs = { 1 } }, link }, { 2 })
      local program, message = chains.compile(chain)
      assert.is_nil(program)
      assert.matches("not known before", message)
      assert.is_table(keep)
    end
    -- A shape that comes as a tensor.
    local chain, keep = chains.new({ { FLOAT, { 4 } }, { INT64, { 2 } } },
      { { op = "Abs", inputs = { 1 } }, { op = "Reshape", inputs = { -1, 2 } } }, { 2 })
    assert.is_nil((chains.compile(chain)))
    assert.is_table(keep)
  end)

  it("names operator and reason when it cannot be compiled", function()
    local chain, keep = chains.new({ { FLOAT, { 2, 3 } } }, {
      { op = "Abs", inputs = { 1 } }, { op = "MatMul", inputs = { -1, -1 } } }, { 2 })
    local program, message = chains.compile(chain)
    assert.is_nil(program)
    assert.matches("^MatMul: ", message)
    assert.is_table(keep)
    chain, keep = chains.new({ { FLOAT, { 2 } } }, {
      { op = "Nothing", inputs = { 1 } }, { op = "Abs", inputs = { -1 } } }, { 2 })
    assert.is_nil((chains.compile(chain)))
    assert.is_table(keep)
  end)

  it("is spelled out whole: what differs in anything differs in its bytes", function()
    local function make(change)
      local inputs = { { FLOAT, { 2, 3 } }, { FLOAT, { 3 } } }
      local links = { { op = "Add", inputs = { 1, 2 } },
        { op = "Elu", inputs = { -1 }, attributes = { alpha = { float = 2 } } },
        { op = "Reshape", inputs = { -2, { 3, 2 } } } }
      local kept = { 3 }
      if change then change(inputs, links, kept) end
      return chains.new(inputs, links, kept)
    end
    local chain, keep = make()
    local bytes, seen = spelled(chain), {}
    assert.equal(bytes, spelled((make())))
    seen[bytes] = true
    for i, change in ipairs {
      function(inputs) inputs[1][2][1] = 1 end,
      function(inputs) inputs[2] = { FLOAT, { 1, 3 } } end,
      function(inputs) inputs[1][1], inputs[2][1] = DOUBLE, DOUBLE end,
      function(_, links) links[1].op = "Sub" end,
      function(_, links) links[1].inputs = { 2, 1 } end,
      function(_, links) links[1].inputs = { 1, 1 } end,
      function(_, links) links[2].attributes.alpha.float = 2.5 end,
      function(_, links) links[2].attributes = nil end,
      function(_, links) links[3].inputs[2] = { 6, 1 } end,
      function(_, links) links[3].inputs[1] = -1 end,
      function(_, _, kept) kept[2] = 1 end,
      function(_, links) links[3] = nil end,
    } do
      local other, held = make(change)
      local its = spelled(other)
      assert.is_nil(seen[its], "change " .. i)
      seen[its] = true
      assert.is_table(held)
    end
    assert.is_table(keep)
  end)

  it("is copied whole", function()
    local arena = ffi.new "struct arena"
    C.arena_create(arena, 0)
    local chain, keep = chains.new({ { FLOAT, { 2, 3 } } }, {
      { op = "Elu", inputs = { 1 }, attributes = { alpha = { float = 2 } } },
      { op = "Reshape", inputs = { -1, { 3, 2 } } },
    }, { 2 })
    local copy = C.chain_copy(chain, arena)
    local bytes = spelled(chain)
    local link = chain.links[0]
    ffi.fill(ffi.cast("char *", chain.kept), 2)
    ffi.fill(ffi.cast("char *", chain.inputs), ffi.sizeof "struct tensor_type")
    ffi.fill(ffi.cast("char *", link.operation.op_type), 3)
    ffi.fill(ffi.cast("char *", link.operation.attributes[0].name), 5)
    ffi.fill(ffi.cast("char *", link.inputs), 4)
    ffi.fill(chain.links, 2 * ffi.sizeof "struct chain_link")
    assert.is_true(spelled(copy) == bytes)
    assert.is_table(keep)
    C.arena_destroy(arena)
  end)
end)

describe("elements", function()
  it("counts as much work as it is", function()
    local function flops(length)
      local links = {}
      for k = 1, length do links[k] = { op = "Abs", inputs = { k == 1 and 1 or 1 - k } } end
      local chain, keep = chains.new({ { FLOAT, { 1000 } } }, links, { length })
      assert.is_table(keep)
      return tonumber(C.program_info((chains.compile(chain))).flops)
    end
    assert.equal(1000 * 60, flops(60))
    -- More steps than one node has, still all of them.
    assert.equal(1000 * 200, flops(200))
  end)
end)
