-- Small networks as ONNX files, with seeded weights.
local ffi = require "ffi"
local onnx = require "spec.support.onnx"

local M = {}

-- Weights in -1 … 1 over sqrt(rows), from Park and Miller's generator.
local function weights(seed, rows, columns)
  local values = ffi.new("float[?]", rows * columns)
  local state, scale = seed * 7919 % 2147483646 + 1, 1 / math.sqrt(rows)
  for i = 0, rows * columns - 1 do
    state = state * 48271 % 2147483647
    values[i] = (state / 1073741823.5 - 1) * scale
  end
  return ffi.string(values, ffi.sizeof(values))
end

-- `layers` times relu(x W), x of shape [batch, width]: about 4 * width^2 * layers bytes of parameters. batch nil: open.
function M.mlp(seed, width, layers, batch)
  local nodes, initializers = {}, {}
  local from = "x"
  for layer = 1, layers do
    local weight, product = "w" .. layer, "p" .. layer
    local to = layer == layers and "y" or "a" .. layer
    initializers[layer] = onnx.tensor {
      name = weight, dims = { width, width }, raw = weights(seed * 100 + layer, width, width),
    }
    nodes[#nodes + 1] = onnx.node("MatMul", { from, weight }, { product })
    nodes[#nodes + 1] = onnx.node("Relu", { product }, { to })
    from = to
  end
  return onnx.model { graph = {
    nodes = nodes, initializers = initializers,
    inputs = { onnx.value("x", { batch or "n", width }) }, outputs = { onnx.value("y", { batch or "n", width }) },
  } }
end

-- y = a + b, shapes [n].
function M.sum()
  return onnx.model { graph = {
    nodes = { onnx.node("Add", { "a", "b" }, { "y" }) },
    inputs = { onnx.value("a", { "n" }), onnx.value("b", { "n" }) }, outputs = { onnx.value("y", { "n" }) },
  } }
end

-- A row of floats for mlp, from the same generator.
function M.row(seed, width) return weights(seed, 1, width) end

return M
