local client = require "tidepool.client"
local json = require "tidepool.json"
local values = require "tidepool.cli.values"

describe("cli values", function()
  it("tell text from bytes", function()
    for _, text in ipairs { "", "plain\n\ttext\r", "h\195\169", "\226\130\172", "\240\159\144\154" } do
      assert.is_true(values.is_text(text), text)
    end
    for _, bytes in ipairs { "\0", "\27[1m", "\255", "\195", "a\226\130", "\192\175" } do
      assert.is_false(values.is_text(bytes))
    end
  end)

  it("print tensors as numbers and other bytes as hex", function()
    local tensor = client.tensor("FP32", { 2, 2 }, { 1, 2.5, -3, 1 / 0 })
    assert.same({ datatype = "FP32", shape = { 2, 2 }, data = { 1, 2.5, -3, "Infinity" } },
      values.to_json { datatype = "FP32", shape = { 2, 2 }, data = tensor.data[1] })
    assert.same({ hex = "00ff" }, values.to_json "\0\255")
    assert.equal("NaN", values.to_json(0 / 0))
    assert.same({ 3, json.null }, values.to_json { 3LL, client.null })
  end)

  it("print keys that JSON has not as their JSON", function()
    assert.same({ ["[1,2]"] = 1, ["true"] = 2, ["{\"hex\":\"ff\"}"] = 3, a = 4 },
      values.to_json { [{ 1, 2 }] = 1, [true] = 2, ["\255"] = 3, a = 4 })
  end)

  it("keep a map that only looks like a tensor", function()
    assert.same({ datatype = "FP32", shape = { 2 }, data = "abc" },
      values.to_json { datatype = "FP32", shape = { 2 }, data = "abc" })
  end)

  it("make tensors of JSON", function()
    local request = assert(values.from_json(json.decode
      '{"x": {"datatype": "INT64", "shape": [1, 2], "data": [[1, -2]]}, "none": null}'))
    assert.equal(client.null, request.none)
    assert.equal("\1\0\0\0\0\0\0\0\254\255\255\255\255\255\255\255", request.x.data[1])
  end)

  it("say what is wrong with a tensor", function()
    local _, message = values.from_json { datatype = "FP32", shape = { 3 }, data = { 1 } }
    assert.matches("only 1 elements, its shape says 3", message)
    _, message = values.from_json { deep = { datatype = "FP33", shape = { 3 }, data = { 1 } } }
    assert.matches("FP33", message)
  end)
end)
