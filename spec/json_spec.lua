local json = require "tidepool.json"

describe("json", function()
  it("reads back what it wrote", function()
    local text = "\0\255 \"é\" a\\/b\\\\/"
    local value = { text = text, list = { 1, 2.5, -1e300 }, yes = true, nothing = json.null, deep = { {} } }
    assert.same(value, json.decode(json.encode(value)))
  end)

  it("leaves slashes alone", function()
    assert.equal([["a/b"]], json.encode "a/b")
    assert.equal([["\\/"]], json.encode "\\/")
  end)

  it("keeps single-precision numbers whole", function()
    local ffi = require "ffi"
    local number = tonumber(ffi.new("float", 1 / 3))
    assert.equal(number, tonumber(ffi.new("float", json.decode(json.encode(number)))))
  end)

  it("says what is wrong", function()
    local value, message = json.decode "[1, 2"
    assert.is_nil(value)
    assert.matches("character 6", message)
    assert.is_nil((json.encode(print)))
    assert.is_nil((json.encode(0 / 0)))
    local cycle = {}
    cycle.cycle = cycle
    assert.is_nil((json.encode(cycle)))
    assert.is_nil((json.decode(("["):rep(1000))))
  end)
end)
