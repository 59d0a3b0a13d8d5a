local client = require "tidepool.client"
local ffi = require "ffi"
local msgpack = require "tidepool.msgpack"

local function is_nan(value) return type(value) == "number" and value ~= value end

describe("nan", function()
  it("is a number, whatever its bits, in MessagePack", function()
    for _, bytes in ipairs {
      "\203\255\255\255\255\255\255\255\255", "\203\255\249\128\1\2\3\4\5", "\203\127\240\0\0\0\0\0\1",
      "\203\255\240\0\0\0\0\0\1", "\202\255\255\255\255", "\202\127\160\0\0",
    } do
      assert.is_true(is_nan((msgpack.decode(bytes))))
    end
    assert.equal(math.huge, (msgpack.decode "\203\127\240\0\0\0\0\0\0"))
    assert.equal(-math.huge, (msgpack.decode "\202\255\128\0\0"))
    assert.equal(1.5, (msgpack.decode "\202\63\192\0\0"))
    assert.equal(-2.25, (msgpack.decode(msgpack.encode(-2.25))))
  end)

  it("is a number in a tensor's elements", function()
    local list = client.to_list { datatype = "FP32", shape = { 2 }, data = "\255\255\255\255\0\0\192\63" }
    assert.is_true(is_nan(list[1]))
    assert.equal(1.5, list[2])
    local bits = ffi.new("uint64_t[2]", 0xfff9800102030405ULL, 0x3ff8000000000000ULL)
    list = client.to_list { datatype = "FP64", shape = { 2 }, data = ffi.string(bits, 16) }
    assert.is_true(is_nan(list[1]))
    assert.equal(1.5, list[2])
  end)
end)
