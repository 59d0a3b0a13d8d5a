-- Products that cuBLASLt has no algorithm for in the form that is asked first.
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local run_program = require "spec.parity.run"
local standin = require "spec.support.standin"
local it_does = standin.it_does(it, pending)

local NOT_SUPPORTED = 15

describe("products on the stand-in", function()
  local cuda = standin.lib
  local path

  before_each(function() path = os.tmpname() end)

  after_each(function()
    os.remove(path)
    if cuda then cuda.standin_mend() end
  end)

  -- relu(x w + b) on that kind of device, and whether a step was staged.
  local function run(kind, width)
    local inputs = { graphs.input({ 3, 8 }, { seed = 1 }), graphs.input({ 8, width }, { seed = 2 }),
      graphs.input({ width }, { seed = 3 }) }
    local tensors = {}
    for i, input in ipairs(inputs) do
      tensors[i] = { type = net.type(1, input.dims), data = ffi.new("float[?]", #input.values, input.values) }
    end
    graphs.write(path, inputs, function(b, x, w, bias)
      return b:node("Relu", { b:node("Gemm", { x, w, bias }) })
    end)
    local outputs, steps = run_program(path, tensors, kind)
    local staged = false
    for _, step in ipairs(steps) do staged = staged or step.staged end
    return outputs[1], staged
  end

  for failures, what in ipairs { "without its epilogue", "on the host" } do
    it_does("are computed " .. what .. " where there is none with it", function()
      local width = 4 + failures -- what was found of a shape stands
      local want = run("host", width)
      cuda.standin_fail("cublasLtMatmulAlgoGetHeuristic", 1, failures, NOT_SUPPORTED)
      local got, staged = run("cuda", width)
      assert.equal(failures == 2, staged)
      for i = 0, want.count - 1 do assert.near(want.numbers[i], got.numbers[i], 1e-5) end
    end)
  end

  -- How often cuBLASLt multiplied bytes by a constant (k, n), or by an input.
  local function multiply(k, n, is_input)
    local inputs = { graphs.input({ 5, k }, { seed = 1 }), is_input and graphs.input({ k, n }, { seed = 2 }) or nil }
    local tensors = {}
    for i, input in ipairs(inputs) do
      tensors[i] = { type = net.type(1, input.dims), data = ffi.new("float[?]", #input.values, input.values) }
    end
    graphs.write(path, inputs, function(b, x, w)
      local function bytes(y) return b:node("Cast", { b:mul(y, b:number(100)) }, { to = 3 }) end
      local right = is_input and bytes(w) or bytes(b:weight({ k, n }, 1))
      return b:node("Cast", { b:node("MatMulInteger", { bytes(x), right }) }, { to = 1 })
    end)
    local want = run_program(path, tensors, "host")
    local before = cuda.standin_calls "cublasLtMatmul"
    local got = run_program(path, tensors, "cuda")
    for i = 0, want[1].count - 1 do assert.equal(want[1].numbers[i], got[1].numbers[i]) end
    return tonumber(cuda.standin_calls "cublasLtMatmul" - before)
  end

  it_does("of bytes are cuBLASLt's where it has kernels for them, and ours elsewhere", function()
    assert.is_true(multiply(32, 20) > 0)
    assert.equal(0, multiply(33, 20))
    assert.equal(0, multiply(32, 21))
    assert.equal(0, multiply(32, 20, true))
    cuda.standin_fail("cublasLtMatmulAlgoGetHeuristic", 1, 1, NOT_SUPPORTED)
    assert.equal(0, multiply(32, 24))
  end)
end)
