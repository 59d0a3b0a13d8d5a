-- Attention of 16-bit floats goes to cuDNN where that has an engine for it, and to our own kernel where it has none.
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local run_program = require "spec.parity.run"
local standin = require "spec.support.standin"

local HALF, TOKENS, HEADS = 10, 20, 2
local NOT_SUPPORTED = 3000

local it_does = standin.it_does(it, pending)

describe("attention on the stand-in", function()
  local cuda = standin.lib
  local path

  before_each(function() path = os.tmpname() end)

  after_each(function()
    os.remove(path)
    if not cuda then return end
    cuda.standin_mend()
    assert.equal(0, cuda.standin_misuses())
  end)

  -- Outputs on that kind of device, whether one step did it all, and how often cuDNN ran a plan.
  local function run(size, kind)
    local input = graphs.input { 1, TOKENS, HEADS * size }
    graphs.write(path, { input }, function(b, x)
      local half = b:node("Cast", { x }, { to = HALF })
      local function split(perm) return b:transpose(b:reshape(half, { 0, TOKENS, HEADS, size }), perm) end
      local scores = b:matmul(split { 0, 2, 1, 3 }, split { 0, 2, 3, 1 })
      return b:node("Cast", { b:matmul(b:softmax(scores), split { 0, 2, 1, 3 }) }, { to = 1 })
    end)
    local count = #input.values
    local tensors = { { type = net.type(1, input.dims), data = ffi.new("float[?]", count, input.values) } }
    local before = cuda.standin_calls "cudnnBackendExecute"
    local outputs, steps = run_program(path, tensors, kind)
    local fused = false
    for _, step in ipairs(steps) do fused = fused or step.op_type == "Attention" end
    return outputs[1], fused, tonumber(cuda.standin_calls "cudnnBackendExecute" - before)
  end

  local function assert_near(got, want)
    for i = 0, want.count - 1 do assert.near(want.numbers[i], got.numbers[i], 2e-3) end
  end

  for what, case in pairs {
    ["by cuDNN"] = { size = 16, by_cudnn = true },
    ["by our own kernel, heads of 12"] = { size = 12 },
    ["by our own kernel, no engine"] = { size = 24, refused = true }, -- what was found of a size stands
  } do
    it_does("is one step, " .. what, function()
      local want = run(case.size, "host")
      if case.refused then cuda.standin_fail("cudnnBackendFinalize", 1, 10000, NOT_SUPPORTED) end
      local got, fused, executed = run(case.size, "cuda")
      assert.is_true(fused)
      assert.equal(case.by_cudnn == true, executed > 0)
      assert_near(got, want)
    end)
  end

  it_does("of heads that are too large is products and a softmax", function()
    local want = run(264, "host")
    local got, fused = run(264, "cuda")
    assert.is_false(fused)
    assert_near(got, want)
  end)
end)
