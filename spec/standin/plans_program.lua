-- What spec/standin/plans_spec.lua runs in processes of their own: compiles a convolution and a product for cuda on the
-- stand-in, runs them, and prints how often each library was asked what it proposes and how often something was timed,
-- and the outputs' sum. The environment says how (spec/support/net.lua).
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local run_program = require "spec.parity.run"
local standin = require "spec.support.standin"

local inputs = { graphs.input({ 1, 2, 8, 8 }, { seed = 1 }), graphs.input({ 8, 5 }, { seed = 3 }) }
local tensors, path = {}, os.tmpname()
for i, input in ipairs(inputs) do
  tensors[i] = { type = net.type(1, input.dims), data = ffi.new("float[?]", #input.values, input.values) }
end
graphs.write(path, inputs, function(b, x, m)
  return b:node("MatMul", { b:conv(x, 2, 3, { kernel = 3, pad = 1 }), m })
end)
local outputs = run_program(path, tensors, "cuda")
os.remove(path)
local sum = 0
for i = 0, outputs[1].count - 1 do sum = sum + outputs[1].numbers[i] end
local function calls(name) return tonumber(standin.lib.standin_calls(name)) end
print(("asked %d %d timed %d sum %.6f"):format(calls "cublasLtMatmulAlgoGetHeuristic",
  calls "cudnnBackendGetAttribute", calls "cudaEventElapsedTime", sum))
os.exit(0)
