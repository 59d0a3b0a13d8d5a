local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local C = ffi.C

local input = graphs.input

-- Random graphs of cheap operators: whatever shares memory with whatever, the result must be what the nodes give alone.
local function random_graph(seed)
  return function(b, x)
    local state = seed
    local function pick(n)
      state = (state * 16807) % 2147483647
      return state % n + 1
    end
    local values = { x }
    for _ = 1, 12 do
      local a, c = values[pick(#values)], values[pick(#values)]
      local kind = pick(7)
      local made
      if kind == 1 then made = b:relu(a)
      elseif kind == 2 then made = b:add(a, c)
      elseif kind == 3 then made = b:mul(b:sigmoid(a), c)
      elseif kind == 4 then made = b:reshape(b:reshape(a, { 4, 2, 6 }), { 2, 4, 6 })
      elseif kind == 5 then made = b:transpose(b:transpose(a, { 1, 0, 2 }), { 1, 0, 2 })
      elseif kind == 6 then made = b:softmax(a)
      else made = b:add(b:matmul(a, b:weight({ 6, 6 }, 0.5)), c) end
      values[#values + 1] = made
    end
    return { values[#values], values[pick(#values)] }
  end
end

describe("plan", function()
  it("never lets two live tensors share memory", function()
    for seed = 1, 60 do
      local worst = graphs.compare({ input { 2, 4, 6 } }, random_graph(seed * 7919))
      assert.is_true(worst < 1e-5, ("graph %d differs by %g"):format(seed, worst))
    end
  end)

  it("overwrites no input that is read again for other rows", function()
    -- As many bytes of BOOL as of FP32.
    local worst = graphs.compare({ input { 4, 500 }, input({ 1, 500 }, { seed = 2 }) }, function(b, x, y)
      return b:node("Cast", { b:node("Less", { x, b:node("Neg", { y }) }) }, { to = 1 })
    end)
    assert.equal(0, worst)
  end)

  it("works in place and reuses memory along a chain", function()
    local path = os.tmpname()
    graphs.write(path, { input { 64, 1024 } }, function(b, x)
      for _ = 1, 20 do x = b:softmax(b:tanh(b:softmax(x))) end
      return x
    end)
    local _, _, program = graphs.run(path, { input { 64, 1024 } })
    os.remove(path)
    local tensor = 64 * 1024 * 4
    assert.is_true(C.program_info(program).workspace_bytes <= 2 * tensor)
  end)
end)
