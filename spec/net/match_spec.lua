local ffi = require "ffi"
local msgpack = require "tidepool.msgpack"
local C = require "spec.support.c"("net/match.h", "base/error.h")

local function slice(s) return ffi.new("struct slice", ffi.cast("const unsigned char *", s), #s) end

-- nil when they match, else why not.
local function difference(expected, got, tolerance)
  local a, b = msgpack.encode(expected), msgpack.encode(got)
  if C.match_value(slice(a), slice(b), tolerance or 0) == 0 then return nil end
  assert.equal(C.ERR_FAILED_PRECONDITION, C.error_last().code)
  return ffi.string(C.error_last().message)
end

describe("matching", function()
  it("finds equal what is equal", function()
    local values = {
      1, -1, 2 ^ 40, 1.5, 0 / 0, true, false, "text", "", msgpack.bin "\0\1", msgpack.null, { 1, 2, 3 }, {},
      { a = { b = { "c", { d = 1 } } } }, msgpack.map {}, ("x"):rep(70000),
    }
    for _, value in ipairs(values) do assert.is_nil(difference(value, value)) end
    assert.is_nil(difference("text", msgpack.bin "text"))
    assert.is_nil(difference({}, msgpack.map {}))
  end)

  it("takes numbers within the tolerance, relative above 1", function()
    assert.is_nil(difference(1, 1.0005, 1e-3))
    assert.is_nil(difference(1000, 1000.9, 1e-3))
    assert.is_nil(difference(0, -1e-4, 1e-3))
    assert.equal("reply: 1 was expected, is 1.002", difference(1, 1.002, 1e-3))
    assert.equal("reply: nan was expected, is 1", difference(0 / 0, 1, 1))
  end)

  it("lets a map have more than is expected", function()
    assert.is_nil(difference({ a = 1 }, { a = 1, b = 2 }))
    assert.equal("reply.b: 2 was expected, is missing", difference({ a = 1, b = 2 }, { a = 1 }))
  end)

  it("says where two values differ", function()
    local cases = {
      { { a = { 1, { b = "x" } } }, { a = { 1, { b = "y" } } }, "reply.a[2].b: 'x' was expected, is 'y'" },
      { { 1, 2 }, { 1 }, "reply: a list of 2 was expected, is a list of 1" },
      { { 1 }, "text", "reply: a list of 1 was expected, is 'text'" },
      { true, false, "reply: true was expected, is false" },
      { 1, "1", "reply: 1 was expected, is '1'" },
      { { a = true }, 5, "reply: a map was expected, is 5" },
      { ("y"):rep(50), "z", "reply: '" .. ("y"):rep(40) .. "'… was expected, is 'z'" },
    }
    for _, case in ipairs(cases) do assert.equal(case[3], difference(case[1], case[2])) end
  end)

  it("cuts paths that are too long", function()
    local function nest(value)
      for _ = 1, 20 do value = { ["a name that is long enough"] = value } end
      return value
    end
    assert.matches("^reply%.a name.*: 1 was expected, is 2$", difference(nest(1), nest(2)))
  end)
end)
