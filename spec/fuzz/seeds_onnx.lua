-- Writes seeds/onnx: small models that between them use every message that the importer reads.
--   luajit spec/fuzz/seeds_onnx.lua
package.path = "./?.lua;" .. package.path
local onnx = require "spec.support.onnx"

local function save(name, fields)
  local file = assert(io.open("spec/fuzz/seeds/onnx/" .. name .. ".onnx", "wb"))
  file:write(onnx.model(fields))
  file:close()
end

local x, y = onnx.value("x", { "n", 2 }), onnx.value("y", { "n", 2 })

save("relu", { graph = { nodes = { onnx.node("Relu", { "x" }, { "y" }) }, inputs = { x }, outputs = { y } } })

save("tensors", { graph = {
  nodes = {
    onnx.node("Constant", {}, { "k" },
      { onnx.attribute_tensor("value",
        onnx.tensor { dims = { 2 }, type = 6, more = onnx.int(5, 1) .. onnx.int(5, 2) }) }),
    onnx.node("Add", { "w", "x" }, { "y" }),
  },
  inputs = { x },
  outputs = { y },
  initializers = {
    onnx.tensor { name = "w", dims = { 1, 2 }, raw = onnx.pack("float", { 1, 2 }) },
    onnx.tensor { name = "a", dims = { 1 }, more = onnx.float(4, 1) },
    onnx.tensor { name = "b", dims = { 1 }, type = onnx.INT64, more = onnx.int(7, 9) },
    onnx.tensor { name = "c", dims = { 1 }, type = 13, more = onnx.int(11, 9) },
    onnx.tensor { name = "d", dims = { 1 }, type = onnx.BOOL, raw = "\1" },
    onnx.tensor { name = "e", dims = { 1 }, type = 10, more = onnx.int(5, 15360) },
  },
} })

local branch = onnx.graph { nodes = { onnx.node("Neg", { "x" }, { "r" }) }, outputs = { onnx.value "r" } }
save("bodies", { graph = {
  nodes = { onnx.node("If", { "c" }, { "y" },
    { onnx.attribute_graph("then_branch", branch), onnx.attribute_graph("else_branch", branch) }) },
  inputs = { x, onnx.value("c", {}, onnx.BOOL) },
  outputs = { y },
} })

save("function", {
  graph = {
    nodes = { onnx.node("F", { "x" }, { "m" }, { onnx.attribute_int("k", 2) }, "local"),
      onnx.node("F", { "m" }, { "y" }, nil, "local") },
    inputs = { x },
    outputs = { y },
  },
  more = onnx.bytes(8, onnx.opset(1, "local")) .. onnx.bytes(25, onnx.bytes(1, "F") .. onnx.bytes(10, "local")
    .. onnx.bytes(4, "a") .. onnx.bytes(5, "b") .. onnx.bytes(6, "k")
    .. onnx.bytes(7, onnx.node("LeakyRelu", { "a" }, { "b" }, { onnx.attribute_reference("alpha", "k", 2) }))
    .. onnx.bytes(9, onnx.opset(17)) .. onnx.bytes(11, onnx.attribute_int("k", 3))),
})

save("unsorted", { graph = {
  nodes = { onnx.node("Neg", { "b" }, { "y" }), onnx.node("Exp", { "a" }, { "b" }),
    onnx.node("Relu", { "x" }, { "a" }) },
  inputs = { x },
  outputs = { y },
} })
