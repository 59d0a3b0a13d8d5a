local ffi = require "ffi"
local graphs = require "spec.support.graphs"
local net = require "spec.support.net"
local C = ffi.C

local input = graphs.input

describe("model", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function perceptron(b, x) return b:dense(b:relu(b:dense(x, 8, 32)), 32, 4) end

  it("tells what it declares", function()
    graphs.write(path, { input({ 2, 8 }, { open = { "n", 8 } }) }, perceptron)
    local model = net.open(path)
    local info = C.model_info(model)
    assert.equal(1, info.input_count)
    assert.equal(1, info.output_count)
    assert.equal("output1", ffi.string(info.outputs[0].name))
    local text = ffi.new "char[64]"
    assert.equal("FP32[?,8]", ffi.string(C.tensor_type_format(info.inputs[0].type, text, 64)))
    assert.equal(32, #ffi.string(C.model_hash(model)))
    assert.equal(17, info.opset)
    assert.is_true(info.parameter_bytes >= (8 * 32 + 32 + 32 * 4 + 4) * 4)
  end)

  it("compiles for each batch, and finds the program again", function()
    graphs.write(path, { input({ 2, 8 }, { open = { "n", 8 } }) }, perceptron)
    local model = net.open(path)
    local types = ffi.new("struct tensor_type[1]", { net.type(1, { 5, 8 }) })
    assert.is_true(C.model_find_program(model, types, 1) == nil)
    local program = net.compile(model, { net.type(1, { 5, 8 }) })
    local found = C.model_find_program(model, types, 1)
    assert.is_true(found == program)
    C.program_unref(found)
    for batch = 1, 20 do
      local values = graphs.values(batch * 8)
      local all = net.run(net.compile(model, { net.type(1, { batch, 8 }) }), C.model_image(model),
        { { type = net.type(1, { batch, 8 }), data = values } })
      -- Every row is what it is alone.
      local row = { unpack(values, batch * 8 - 7) }
      local alone = net.run(net.compile(model, { net.type(1, { 1, 8 }) }), C.model_image(model),
        { { type = net.type(1, { 1, 8 }), data = row } })
      for i = 0, 3 do assert.near(alone[1].data[i], all[1].data[(batch - 1) * 4 + i], 1e-6) end
    end
  end)

  it("says which input does not fit", function()
    graphs.write(path, { input({ 2, 8 }, { open = { "n", 8 } }) }, perceptron)
    local model = net.open(path)
    local function refusal(...)
      local ok, message = pcall(net.compile, model, { ... })
      assert.is_false(ok)
      return message
    end
    assert.matches("INVALID_ARGUMENT: input 'input_1' is FP32%[2,9%], the model wants FP32%[%?,8%]",
      refusal(net.type(1, { 2, 9 })))
    assert.matches("INT64%[2,8%]", refusal(net.type(7, { 2, 8 })))
    assert.matches("FP32%[8%]", refusal(net.type(1, { 8 })))
    assert.matches("2 inputs, the model has 1", refusal(net.type(1, { 2, 8 }), net.type(1, { 2, 8 })))
    assert.matches("open dimension", refusal(net.type(1, { -1, 8 })))
    assert.matches("too large", refusal(net.type(1, { 2 ^ 61, 8 })))
  end)

  it("names operators that it does not have, and nodes whose shapes do not fit", function()
    graphs.write(path, { input { 2, 8 } }, function(b, x) return b:node("Frobnicate", { x }) end)
    local ok, message = pcall(net.open, path)
    assert.is_false(ok)
    assert.matches("UNIMPLEMENTED: .*node n_frobnicate_%d+: operator Frobnicate of opset 17", message)
    graphs.write(path, { input { 2, 8 } }, function(b, x) return b:matmul(x, b:weight({ 9, 4 }, 1)) end)
    ok, message = pcall(net.open, path)
    assert.is_false(ok)
    assert.matches("INVALID_ARGUMENT: .*node n_matmul_%d+ %(MatMul%): 8 columns do not fit 9 rows", message)
  end)

  it("computes shapes when it compiles", function()
    local outputs, steps
    local make = function(b, x)
      local shape = b:node("Shape", { x })
      local batch = b:node("Gather", { shape, b:constant({ 0 }) }, { axis = 0 })
      return b:node("Reshape", { b:relu(x), b:node("Concat", { batch, b:constant { 2, -1 } }, { axis = 0 }) })
    end
    graphs.write(path, { input({ 3, 8 }, { open = { "n", "m" } }) }, make)
    outputs, steps = graphs.run(path, { input { 3, 8 } })
    assert.same({ "Relu" }, steps)
    assert.equal(3, outputs[1].type.rank)
    assert.equal(4, tonumber(outputs[1].type.dims[2]))
  end)

  it("copies where outputs would share memory", function()
    local x = input { 2, 3 }
    graphs.write(path, { x }, function(b, value)
      local y = b:relu(value)
      local view = b:reshape(y, { 3, 2 })
      return { value, y, view, b:constant({ 1.5, 2.5 }, "FP32"), y }
    end)
    local outputs = graphs.run(path, { x })
    for i = 0, 5 do
      assert.near(x.values[i + 1], outputs[1].data[i], 1e-6)
      assert.near(math.max(0, x.values[i + 1]), outputs[2].data[i], 1e-6)
      assert.near(math.max(0, x.values[i + 1]), outputs[3].data[i], 1e-6)
      assert.near(math.max(0, x.values[i + 1]), outputs[5].data[i], 1e-6)
    end
    assert.equal(2.5, outputs[4].data[1])
  end)

  it("takes tensors without elements", function()
    graphs.write(path, { input({ 2, 8 }, { open = { "n", 8 } }) }, perceptron)
    local outputs = graphs.run(path, { { dims = { 0, 8 }, datatype = "FP32", values = {} } })
    assert.equal(0, outputs[1].count)
  end)
end)
