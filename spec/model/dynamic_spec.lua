local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local onnx = require "spec.support.onnx"
local C = ffi.C

local input = graphs.input

describe("dynamic", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it("runs what follows from data, and tells the shapes", function()
    local x = input { 2, 3 }
    graphs.write(path, { x }, function(b, value)
      local where = b:node("NonZero", { b:relu(b:mul(value, b:number(2))) })
      return { b:node("Cast", { b:node("Transpose", { where }) }, { to = 1 }), b:tanh(value) }
    end)
    local outputs, steps = graphs.run(path, { x })
    assert.same({ "Mul", "Relu", "Tanh", "Interpret" }, steps)
    local positive = 0
    for i, value in ipairs(x.values) do
      if value > 0 then
        assert.equal(math.floor((i - 1) / 3), outputs[1].data[positive * 2])
        assert.equal((i - 1) % 3, outputs[1].data[positive * 2 + 1])
        positive = positive + 1
      end
      assert.near((math.exp(2 * value) - 1) / (math.exp(2 * value) + 1), outputs[2].data[i - 1], 1e-6)
    end
    assert.equal(2, outputs[1].type.rank)
    assert.equal(positive, tonumber(outputs[1].type.dims[0]))
  end)

  it("compiles a NonMaxSuppression, and interprets what follows", function()
    local boxes = input({ 1, 4, 4 }, { values = { 0, 0, 2, 2, 0, 0, 2, 1.8, 5, 5, 7, 7, 9, 9, 8, 8 } })
    local scores = input({ 1, 2, 4 }, { values = { 0.9, 0.95, 0.2, 0.6, 0.5, 0.4, 0.8, 0.1 } })
    local most = input({ 1 }, { datatype = "INT64", values = { 2 } })
    local function selected(known)
      local inputs = known and { boxes, scores } or { boxes, scores, most }
      graphs.write(path, inputs, function(b, x, y, n)
        n = n or b:constant { 2 }
        return b:node("NonMaxSuppression", { x, y, n, b:constant({ 0.5 }, "FP32"), b:constant({ 0.3 }, "FP32") })
      end)
      local outputs, steps = graphs.run(path, inputs)
      assert.same({ "Suppress", "Interpret" }, steps)
      local rows, data = {}, ffi.cast("const int64_t *", outputs[1].data)
      for i = 0, tonumber(outputs[1].type.dims[0]) * 3 - 1 do rows[i + 1] = tonumber(data[i]) end
      return rows
    end
    local want = { 0, 0, 1, 0, 0, 3, 0, 1, 2, 0, 1, 0 }
    assert.same(want, selected(true))
    assert.same(want, selected(false))
    most.values = { 0 }
    assert.same({}, selected(false))
    most.values = { -1 }
    assert.same({}, selected(false))
  end)

  it("takes shapes as inputs", function()
    local x, shape = input { 2, 6 }, input({ 2 }, { datatype = "INT64", values = { 4, 3 } })
    graphs.write(path, { x, shape }, function(b, value, to) return b:relu(b:node("Reshape", { value, to })) end)
    local outputs = graphs.run(path, { x, shape })
    assert.equal(4, tonumber(outputs[1].type.dims[0]))
    for i = 1, 12 do assert.near(math.max(0, x.values[i]), outputs[1].data[i - 1], 1e-7) end
    shape.values = { 5, 3 }
    local ok, message = pcall(graphs.run, path, { x, shape })
    assert.is_false(ok)
    assert.matches("INVALID_ARGUMENT: .*%(Reshape%): 12 elements do not fit", message)
  end)

  it("says when an output has more elements than there is room for", function()
    local n = input({ 1 }, { datatype = "INT64", values = { 2 ^ 22 } })
    graphs.write(path, { n }, function(b, shape) return b:node("ConstantOfShape", { shape }) end)
    local ok, message = pcall(graphs.run, path, { n })
    assert.is_false(ok)
    assert.matches("RESOURCE_EXHAUSTED: .*output 0 has 16777216 bytes, there is room for 1048576", message)
  end)

  -- A model of one control node, with raw protobuf: builder writes no bodies.
  local function write_model(graph)
    local file = assert(io.open(path, "wb"))
    file:write(onnx.model { graph = graph })
    file:close()
  end

  it("runs the branch of an If that the data chooses, with captured values", function()
    local function branch(op_type)
      return onnx.graph { nodes = { onnx.node(op_type, { "doubled" }, { "r" }) }, outputs = { onnx.value("r", { 3 }) } }
    end
    write_model(onnx.graph {
      nodes = {
        onnx.node("Add", { "x", "x" }, { "doubled" }),
        onnx.node("If", { "c" }, { "y" },
          { onnx.attribute_graph("then_branch", branch "Relu"), onnx.attribute_graph("else_branch", branch "Neg") }),
      },
      inputs = { onnx.value("x", { 3 }), onnx.value("c", {}, onnx.BOOL) }, outputs = { onnx.value("y", { 3 }) },
    })
    for _, case in ipairs { { 1, { 2, 0, 6 } }, { 0, { -2, 4, -6 } } } do
      local model = net.open(path)
      local types = { net.type(1, { 3 }), net.type(9, {}) }
      local y = net.run(net.compile(model, types), C.model_image(model),
        { { type = types[1], data = { 1, -2, 3 } }, { type = types[2], data = { case[1] } } })[1]
      for i = 1, 3 do assert.equal(case[2][i], y.data[i - 1]) end
    end
  end)

  it("runs a Loop with carried and collected values", function()
    local body = onnx.graph {
      nodes = {
        onnx.node("Add", { "sum", "step" }, { "next" }),
        onnx.node("Identity", { "go" }, { "still" }),
        onnx.node("Identity", { "next" }, { "kept" }),
      },
      inputs = { onnx.value("i", {}, onnx.INT64), onnx.value("go", {}, onnx.BOOL), onnx.value("sum", { 2 }) },
      outputs = { onnx.value("still", {}, onnx.BOOL), onnx.value("next", { 2 }), onnx.value("kept", { 2 }) },
    }
    write_model(onnx.graph {
      nodes = { onnx.node("Loop", { "n", "", "start" }, { "last", "all" }, { onnx.attribute_graph("body", body) }) },
      inputs = { onnx.value("n", {}, onnx.INT64), onnx.value("start", { 2 }), onnx.value("step", { 2 }) },
      outputs = { onnx.value("last", { 2 }), onnx.value("all", { "n", 2 }) },
    })
    local model = net.open(path)
    local types = { net.type(7, {}), net.type(1, { 2 }), net.type(1, { 2 }) }
    for passes = 0, 40, 20 do
      local outputs = net.run(net.compile(model, types), C.model_image(model), {
        { type = types[1], data = { passes } }, { type = types[2], data = { 1, 2 } },
        { type = types[3], data = { 3, 5 } },
      })
      assert.equal(1 + 3 * passes, outputs[1].data[0])
      assert.equal(2 + 5 * passes, outputs[1].data[1])
      assert.equal(passes, tonumber(outputs[2].type.dims[0]))
      if passes > 0 then assert.equal(2 + 5 * passes, outputs[2].data[2 * passes - 1]) end
    end
  end)
end)
