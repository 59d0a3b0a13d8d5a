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
end)
