-- That what operators stand for computes the same is shown by spec/conformance: contrib_spec.lua, beside ONNX Runtime,
-- and ONNX's own tests of Attention and RotaryEmbedding.
local ffi = require "ffi"
local net = require "spec.support.net"
local onnx = require "spec.support.onnx"
local C = ffi.C

-- Of core/base/fault_point.h, whose list is a macro.
ffi.cdef "void fault_point_arm(int point, uint32_t n);"
local ARENA = 0

describe("expand", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local MICROSOFT = onnx.bytes(8, onnx.opset(1, "com.microsoft"))

  local function write(graph, opset)
    local file = assert(io.open(path, "wb"))
    file:write(onnx.model { graph = graph, opset = opset, more = MICROSOFT })
    file:close()
  end

  local function microsoft(op, inputs, outputs, attributes)
    return onnx.node(op, inputs, outputs, attributes, "com.microsoft")
  end

  local function run(inputs)
    local model = net.open(path)
    local types = {}
    for i, input in ipairs(inputs) do types[i] = input.type end
    return net.run(net.compile(model, types), C.model_image(model), inputs)
  end

  local function floats(dims, data) return { type = net.type(1, dims), data = data } end

  it("gives outputs under their names when others read them, too", function()
    -- Output 3, the sum, is read by a node of the model's and is an output.
    write(onnx.graph {
      nodes = {
        onnx.node("SkipLayerNormalization", { "x", "s", "g" }, { "y", "", "", "sum" }, nil, "com.microsoft"),
        onnx.node("Neg", { "sum" }, { "z" }),
      },
      inputs = { onnx.value("x", { 1, 2 }), onnx.value("s", { 1, 2 }), onnx.value("g", { 2 }) },
      outputs = { onnx.value("y", { 1, 2 }), onnx.value("sum", { 1, 2 }), onnx.value("z", { 1, 2 }) },
    })
    local y = run { floats({ 1, 2 }, { 1, 2 }), floats({ 1, 2 }, { 3, 5 }), floats({ 2 }, { 1, 1 }) }
    assert.near(-1, y[1].data[0], 1e-5)
    assert.near(1, y[1].data[1], 1e-5)
    assert.same({ 4, 7, -4, -7 }, { y[2].data[0], y[2].data[1], y[3].data[0], y[3].data[1] })
  end)

  it("reaches into bodies", function()
    local function branch(node)
      return onnx.graph { nodes = { node }, outputs = { onnx.value("r", { 2 }) } }
    end
    write(onnx.graph {
      nodes = { onnx.node("If", { "c" }, { "y" }, {
        onnx.attribute_graph("then_branch", branch(onnx.node("QuickGelu", { "x" }, { "r" }, nil, "com.microsoft"))),
        onnx.attribute_graph("else_branch", branch(onnx.node("Neg", { "x" }, { "r" }))),
      }) },
      inputs = { onnx.value("x", { 2 }), onnx.value("c", {}, onnx.BOOL) }, outputs = { onnx.value("y", { 2 }) },
    })
    local y = run { floats({ 2 }, { 1, -1 }), { type = net.type(9, {}), data = { 1 } } }[1]
    assert.near(1 / (1 + math.exp(-1.702)), y.data[0], 1e-6)
    assert.near(-1 / (1 + math.exp(1.702)), y.data[1], 1e-6)
    y = run { floats({ 2 }, { 1, -1 }), { type = net.type(9, {}), data = { 0 } } }[1]
    assert.same({ -1, 1 }, { y.data[0], y.data[1] })
  end)

  it("names what it does not have, with node and opset, when the model is imported", function()
    local function refusal(node, opset)
      write(onnx.graph { nodes = { node }, inputs = { onnx.value("x", { 2, 3, 8 }), onnx.value("w", { 8, 24 }) },
        outputs = { onnx.value("y", { 2, 3, 8 }) } }, opset)
      local ok, message = pcall(net.open, path)
      assert.is_false(ok)
      return message
    end
    assert.matches("UNIMPLEMENTED: .*node Attention_node: operator com.microsoft.Attention of opset 1: .*do_rotary",
      refusal(microsoft("Attention", { "x", "w" }, { "y" },
        { onnx.attribute_int("num_heads", 2), onnx.attribute_int("do_rotary", 1) })))
    assert.matches("UNIMPLEMENTED: .*node FusedConv_node: operator com.microsoft.FusedConv of opset 1: that activation",
      refusal(onnx.node("FusedConv", { "x", "w" }, { "y" },
        { onnx.bytes(1, "activation") .. onnx.bytes(4, "Sinus") .. onnx.int(20, 3) }, "com.microsoft")))
    assert.matches("node Attention_node: operator Attention of opset 22 is not supported",
      refusal(onnx.node("Attention", { "x", "x", "x" }, { "y" }), 22))
    assert.matches("operator com.microsoft.NhwcConv of opset 1 is not supported",
      refusal(microsoft("NhwcConv", { "x", "w" }, { "y" })))
  end)

  it("survives running out of memory anywhere", function()
    write(onnx.graph {
      nodes = { onnx.node("MultiHeadAttention", { "x", "x", "x" }, { "y" }, { onnx.attribute_int("num_heads", 2) },
        "com.microsoft") },
      inputs = { onnx.value("x", { 1, 3, 8 }) }, outputs = { onnx.value("y", { 1, 3, 8 }) },
    })
    local failed, n = 0, 0
    repeat
      n = n + 1
      C.fault_point_arm(ARENA, n)
      local ok, message = pcall(net.open, path)
      C.fault_point_arm(ARENA, 0)
      if not ok then
        assert.matches("RESOURCE_EXHAUSTED", message)
        failed = failed + 1
      end
      collectgarbage()
    until ok
    -- Its import takes chunks of the arena again and again.
    assert.is_true(failed > 5)
  end)
end)
