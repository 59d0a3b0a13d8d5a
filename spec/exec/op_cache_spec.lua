-- That TensorScatter computes what ONNX says is shown by spec/conformance; here is what it refuses.
local ffi = require "ffi"
local net = require "spec.support.net"
local onnx = require "spec.support.onnx"
local C = ffi.C

describe("op_cache", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  -- A cache of 2 × 4 × 3, an update of 2 × count × 3 numbers.
  local function run(count, begins, mode)
    local attributes = { onnx.bytes(1, "mode") .. onnx.bytes(4, mode) .. onnx.int(20, 3) }
    local file = assert(io.open(path, "wb"))
    file:write(onnx.model { opset = 24, ir = 10, graph = onnx.graph {
      nodes = { onnx.node("TensorScatter", { "c", "u", "i" }, { "y" }, attributes) },
      inputs = { onnx.value("c", { 2, 4, 3 }), onnx.value("u", { 2, count, 3 }), onnx.value("i", { 2 }, onnx.INT64) },
      outputs = { onnx.value("y", { 2, 4, 3 }) },
    } })
    file:close()
    local types = { net.type(1, { 2, 4, 3 }), net.type(1, { 2, count, 3 }), net.type(7, { 2 }) }
    local cache, update = {}, {}
    for i = 1, 24 do cache[i] = i end
    for i = 1, 6 * count do update[i] = -i end
    local model = net.open(path)
    return net.run(net.compile(model, types), C.model_image(model), {
      { type = types[1], data = cache }, { type = types[2], data = update }, { type = types[3], data = begins },
    })[1]
  end

  local function refusal(...)
    local ok, message = pcall(run, ...)
    assert.is_false(ok)
    return message
  end

  it("goes round at the end where it may", function()
    local y = run(2, { 3, 0 }, "circular").data
    assert.same({ -4, 4, -1, -7 }, { y[0], y[3], y[9], y[12] })
  end)

  it("refuses what does not fit", function()
    assert.matches("OUT_OF_RANGE: .*write_indices%[1%] is 3; 2 is the last that fits", refusal(2, { 0, 3 }, "linear"))
    assert.matches("OUT_OF_RANGE: .*write_indices%[0%] is %-1", refusal(2, { -1, 0 }, "circular"))
    assert.matches("OUT_OF_RANGE: .*write_indices%[0%] is 4", refusal(2, { 4, 0 }, "circular"))
    assert.matches("INVALID_ARGUMENT: .*dimension 1 of the update is 5, that of the cache 4",
      refusal(5, { 0, 0 }, "linear"))
    assert.matches("INVALID_ARGUMENT: .*mode 'zigzag'", refusal(2, { 0, 0 }, "zigzag"))
  end)
end)
