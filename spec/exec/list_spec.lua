-- Sequences of tensors within a model, and Scan: what ONNX's own tests leave out, and what is wrong with a model.
local ffi = require "ffi"
local net = require "spec.support.net"
local onnx = require "spec.support.onnx"

local C = ffi.C

-- Run the nodes on inputs x (FP32) and n (INT64), each a list; the outputs as lists, or raises.
local function run(nodes, x, n, outputs)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  local values = {}
  for i, kind in ipairs(outputs or { onnx.FLOAT }) do
    values[i] = onnx.value("y" .. i, { "k" .. i }, kind)
  end
  file:write(onnx.model { graph = {
    nodes = nodes, outputs = values,
    inputs = { onnx.value("x", { "a" }), onnx.value("n", { "b" }, onnx.INT64) },
  } })
  file:close()
  local ok, result = pcall(function()
    local model = net.open(path)
    local types = { net.type(1, { #x }), net.type(7, { #n }) }
    local outs = net.run(net.compile(model, types), C.model_image(model),
      { { type = types[1], data = x }, { type = types[2], data = n } })
    local lists = {}
    for i, out in ipairs(outs) do
      lists[i] = {}
      for k = 0, out.count - 1 do lists[i][k + 1] = tonumber(out.data[k]) end
    end
    return lists
  end)
  os.remove(path)
  if not ok then error(result, 0) end
  return result
end

local split = onnx.node("SplitToSequence", { "x", "n" }, { "s" })
local length = onnx.node("SequenceLength", { "s" }, { "l" })
local as_list = onnx.node("Unsqueeze", { "l", "zero" }, { "y2" })
local zero = onnx.node("Constant", {}, { "zero" }, { onnx.attribute_tensor("value",
  onnx.tensor { dims = { 1 }, type = onnx.INT64, raw = ("\0"):rep(8) }) })

describe("sequences", function()
  it("are cut out of a tensor and put together again", function()
    local together = onnx.node("ConcatFromSequence", { "s" }, { "y1" }, { onnx.attribute_int("axis", 0) })
    local nodes = { split, together, length, zero, as_list }
    assert.same({ { 1, 2, 3, 4, 5 }, { 3 } }, run(nodes, { 1, 2, 3, 4, 5 }, { 1, 0, 4 }, { 1, 7 }))
    assert.same({ { 1, 2, 3 }, { 1 } }, run(nodes, { 1, 2, 3 }, { 3 }, { 1, 7 }))
  end)

  it("say which sizes do not add up", function()
    local nodes = { split, onnx.node("ConcatFromSequence", { "s" }, { "y1" }, { onnx.attribute_int("axis", 0) }) }
    for _, sizes in ipairs { { 1, 1 }, { 4 }, { -1, 4 } } do
      assert.error_matches(function() run(nodes, { 1, 2, 3 }, sizes) end, "SplitToSequence.*sizes do not add up")
    end
  end)

  it("are no tensors", function()
    assert.error_matches(function()
      run({ split, onnx.node("Relu", { "s" }, { "y1" }) }, { 1, 2 }, { 1, 1 })
    end, "Relu.*input 0 is a sequence")
    assert.error_matches(function()
      run({ onnx.node("SequenceAt", { "x", "zero" }, { "y1" }), zero }, { 1, 2 }, { 1 })
    end, "SequenceAt.*no sequence")
    assert.error_matches(function() run({ onnx.node("SplitToSequence", { "x", "n" }, { "y1" }) }, { 1 }, { 1 }) end,
      "output 0 is a sequence")
  end)

  it("have no item beyond their ends", function()
    assert.error_matches(function()
      run({ split, onnx.node("SequenceAt", { "s", "at" }, { "y1" }),
        onnx.node("Constant", {}, { "at" }, { onnx.attribute_tensor("value",
          onnx.tensor { dims = {}, type = onnx.INT64, raw = "\2" .. ("\0"):rep(7) }) }) }, { 1, 2 }, { 1, 1 })
    end, "SequenceAt.*position is out of range")
  end)
end)

describe("Scan", function()
  -- A running sum over the rows of x, taken backwards or not.
  local function sum(direction, out_direction)
    local body = onnx.graph {
      nodes = { onnx.node("Add", { "so", "row" }, { "total" }), onnx.node("Identity", { "total" }, { "each" }) },
      inputs = { onnx.value("so", {}), onnx.value("row", {}) },
      outputs = { onnx.value("total", {}), onnx.value("each", {}) },
    }
    local attributes = { onnx.attribute_graph("body", body), onnx.attribute_int("num_scan_inputs", 1),
      onnx.attribute_ints("scan_input_directions", { direction }),
      onnx.attribute_ints("scan_output_directions", { out_direction }) }
    return { onnx.node("Constant", {}, { "start" }, { onnx.attribute_tensor("value",
      onnx.tensor { dims = {}, raw = onnx.pack("float", { 10 }) }) }),
      onnx.node("Scan", { "start", "x" }, { "", "y1" }, attributes) }
  end

  it("goes both ways", function()
    assert.same({ { 11, 13, 16 } }, run(sum(0, 0), { 1, 2, 3 }, { 1 }))
    assert.same({ { 13, 15, 16 } }, run(sum(1, 0), { 1, 2, 3 }, { 1 }))
    assert.same({ { 16, 13, 11 } }, run(sum(0, 1), { 1, 2, 3 }, { 1 }))
  end)

  it("says that there are no rows", function()
    assert.error_matches(function() run(sum(0, 0), {}, { 1 }) end, "Scan.*there are no rows")
  end)
end)
