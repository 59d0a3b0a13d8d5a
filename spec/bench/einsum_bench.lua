-- What einsums of two operands take on host, the shortest of 30 runs: build/dev/spec-runner spec/bench/einsum_bench.lua
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local run = require "spec.parity.run"
for _, each in ipairs {
  { "bij,bjk->bik", { 8, 128, 128 }, { 8, 128, 128 } },
  { "bhid,bhjd->bhij", { 1, 12, 128, 64 }, { 1, 12, 128, 64 } },
  { "bhij,bhjd->bhid", { 1, 12, 128, 128 }, { 1, 12, 128, 64 } },
  { "bqhd,bkhd->bhqk", { 1, 128, 12, 64 }, { 1, 128, 12, 64 } },
  { "bhqk,bkhd->bqhd", { 1, 12, 128, 128 }, { 1, 128, 12, 64 } },
  { "abc,cde->abde", { 1, 128, 768 }, { 768, 12, 64 } },
  { "abcd,cde->abe", { 1, 128, 12, 64 }, { 12, 64, 768 } },
  { "ai,bi->ab", { 16, 64 }, { 16, 64 } },
  { "bn,bm->bnm", { 8, 64 }, { 8, 256 } },
} do
  local path = os.tmpname()
  local inputs, tensors = {}, {}
  for i = 1, 2 do
    inputs[i] = graphs.input(each[i + 1], { seed = i })
    local values = inputs[i].values
    tensors[i] = { type = net.type(1, each[i + 1]), data = ffi.new("float[?]", #values, values) }
  end
  graphs.write(path, inputs, function(b, ...) return b:node("Einsum", { ... }, { equation = each[1] }) end)
  local _, steps, ns = run(path, tensors, "host", 30)
  local names = {}
  for i, step in ipairs(steps) do names[i] = step.op_type end
  print(("%-20s %10.1f us  %s"):format(each[1], ns / 1e3, table.concat(names, " ")))
  os.remove(path)
end
