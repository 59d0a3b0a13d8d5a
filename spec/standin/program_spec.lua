-- A program's run on cuda with each call of CUDA, cuBLASLt and cuDNN failing once, in turn: an error, or the right
-- output.
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local run_program = require "spec.parity.run"
local standin = require "spec.support.standin"

-- More calls than the run makes; the sweep ends with the first run in which none failed.
local MOST_CALLS = 600

local it_does = standin.it_does(it, pending)

describe("a failing call of a program on CUDA", function()
  local cuda, errors = standin.lib, standin.errors
  local path, tensors

  -- A convolution, a product and a softmax: cuDNN, cuBLASLt and kernels of ours.
  setup(function()
    path = os.tmpname()
    local inputs = {
      graphs.input({ 1, 2, 8, 8 }, { seed = 1 }), graphs.input({ 3, 2, 3, 3 }, { seed = 2 }),
      graphs.input({ 8, 5 }, { seed = 3 }),
    }
    tensors = {}
    for i, input in ipairs(inputs) do
      tensors[i] = { type = net.type(1, input.dims), data = ffi.new("float[?]", #input.values, input.values) }
    end
    graphs.write(path, inputs, function(g, x, w, m)
      local y = g:node("Conv", { x, w }, { pads = { 1, 1, 1, 1 } })
      return g:node("Softmax", { g:node("MatMul", { y, m }) }, { axis = 1 })
    end)
  end)

  teardown(function() os.remove(path) end)

  it_does("is an error, or the right output", function()
    local want = run_program(path, tensors, "host", 1)
    local struck = 0
    for nth = 1, MOST_CALLS do
      cuda.standin_fail("*", nth, 1, errors.cudaErrorInvalidValue)
      local ok, got = pcall(run_program, path, tensors, "cuda", 1)
      local name = ffi.string(cuda.standin_failed())
      cuda.standin_mend()
      if ok then
        for i = 0, want[1].count - 1 do
          assert(math.abs(got[1].numbers[i] - want[1].numbers[i]) < 1e-4, name)
        end
      end
      if name == "" then break end
      struck = nth
    end
    assert.is_true(struck > 20 and struck < MOST_CALLS)
    assert.equal(0, cuda.standin_misuses())
  end)
end)
