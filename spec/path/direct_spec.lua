-- Functions without a handler, over the real binary.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"

describe("a function without a handler", function()
  local running, c

  setup(function()
    running = node.start()
    c = running:connect()
    assert(c:call("function.deploy", {
      name = "sum", source = "return { models = { net = 'sum.onnx' } }",
      models = { net = { data = client.bin(nets.sum()) } },
    }))
    assert(c:call("function.deploy", {
      name = "mlp", source = "return { models = { net = 'mlp.onnx' } }",
      models = { net = { data = client.bin(nets.mlp(1, 16, 2)) } },
    }))
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  local function sum(a, b)
    return c:invoke("sum", { a = client.tensor("FP32", { #a }, a), b = client.tensor("FP32", { #b }, b) })
  end

  it("answers with tensors by output name", function()
    local result = assert(sum({ 1, 2, 3 }, { 10, 20, 30 }))
    assert.same({ 11, 22, 33 }, client.to_list(result.y))
    assert.same({ 3 }, result.y.shape)
    assert.equal("FP32", result.y.datatype)
  end)

  it("takes a bare tensor when there is one input", function()
    local result = assert(c:invoke("mlp", client.tensor("FP32", { 1, 16 }, nets.row(3, 16))))
    assert.same({ 1, 16 }, result.y.shape)
  end)

  it("runs other shapes of an open dimension", function()
    for n = 1, 5 do
      local a = {}
      for i = 1, n do a[i] = i end
      assert.same({ n }, assert(sum(a, a)).y.shape)
    end
  end)

  it("takes msgpack-numpy's form of a tensor", function()
    local one = string.rep("\0\0\128\63", 16)
    local array = { nd = true, type = "<f4", kind = "", shape = { 1, 16 }, data = client.bin(one) }
    local result = assert(c:invoke("mlp", array))
    assert.equal(16 * 4, #tostring(result.y.data))
  end)

  local function fails(code, pattern, name, value, options)
    local result, message, got = c:invoke(name, value, options)
    assert.is_nil(result)
    assert.equal(code, got)
    assert.matches(pattern, message)
  end

  it("names what is wrong with a request", function()
    local good = client.tensor("FP32", { 2 }, { 1, 2 })
    fails("NOT_FOUND", "function 'none'", "none", good)
    fails("INVALID_ARGUMENT", "input 'b' is missing", "sum", { a = good })
    fails("INVALID_ARGUMENT", "a.datatype: 'FP31'", "sum",
      { a = { datatype = "FP31", shape = { 2 }, data = "" }, b = good })
    fails("INVALID_ARGUMENT", "a.data: 4 bytes, .* need 8", "sum",
      { a = { datatype = "FP32", shape = { 2 }, data = client.bin "1234" }, b = good })
    fails("INVALID_ARGUMENT", "a.shape", "sum",
      { a = { datatype = "FP32", shape = { -2 }, data = client.bin "" }, b = good })
    fails("INVALID_ARGUMENT", "x", "mlp", client.tensor("FP32", { 1, 15 }, nets.row(3, 15)))
    fails("INVALID_ARGUMENT", "x", "mlp", client.tensor("INT32", { 1, 16 }, nets.row(3, 16)))
    for pattern, value in pairs {
      ["value: input 'a' is missing; 'z' is no input of the model"] = { z = good, b = good },
      ["value: 3 inputs, the model has 2; 'c' is none of them"] = { a = good, b = good, c = good },
      ["value %(inputs by name, .*%): must be a map, is an integer"] = 5,
      ["a: must be a map, is a string"] = { a = "x", b = good },
      ["a.shape: must be an array, is a string"] = { a = { datatype = "FP32", shape = "x", data = "" }, b = good },
      ["a.shape: must be an integer, is a float"] = { a = { datatype = "FP32", shape = { 1.5 }, data = "" }, b = good },
      ["a.data %(bytes, little endian%): must be a string, is an array"] = {
        a = { datatype = "FP32", shape = { 2 }, data = { 1, 2 } }, b = good },
      ["a.datatype: must be a string, is an integer"] = { a = { datatype = 1, shape = { 2 }, data = "" }, b = good },
      ["a.datatype: missing"] = { a = { shape = { 2 }, data = "" }, b = good },
    } do
      fails("INVALID_ARGUMENT", pattern, "sum", value)
    end
    fails("INVALID_ARGUMENT", "timeout_us: must be positive", "sum", { a = good, b = good }, { timeout_us = 0 })
    fails("INVALID_ARGUMENT", "unknown key 'speed'", "sum", { a = good, b = good }, { speed = 1 })
    local result, message, code = c:call("no.such.method")
    assert.is_nil(result)
    assert.equal("UNIMPLEMENTED", code)
    assert.matches("no.such.method", message)
    assert(sum({ 1 }, { 1 }))
  end)

  it("answers many requests in flight, each with its own result", function()
    local pending = {}
    for i = 1, 500 do
      pending[i] = c:send("invoke", "sum",
        { a = client.tensor("FP32", { 1 }, { i }), b = client.tensor("FP32", { 1 }, { 0.5 }) })
    end
    for i = 1, 500 do assert.same({ i + 0.5 }, client.to_list(assert(pending[i]:wait()).y)) end
  end)

  it("stamps every stage", function()
    local path = assert(c:call("node.status")).path
    for _, stage in ipairs { "accept", "decode", "admit", "handle", "schedule", "swap", "execute" } do
      assert.is_true(path[stage].count > 0, stage)
    end
  end)
end)
