local ffi = require "ffi"
local msgpack = require "tidepool.msgpack"

-- The same bytes through a codec that is not ours: Debian's lua-mpack.
local mpack = require "spec.support.mpack"

local function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
local function unhex(s) return (s:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end)) end
local function round(value) return (msgpack.decode(msgpack.encode(value))) end

describe("msgpack", function()
  it("writes each number in its shortest form", function()
    local forms = {
      { 0, "00" }, { 127, "7f" }, { 128, "cc80" }, { 255, "ccff" }, { 256, "cd0100" }, { 65535, "cdffff" },
      { 65536, "ce00010000" }, { 2 ^ 31, "ce80000000" }, { 2 ^ 32 - 1, "ceffffffff" }, { 2 ^ 32, "cf0000000100000000" },
      { 2 ^ 53, "cf0020000000000000" }, { -1, "ff" }, { -32, "e0" }, { -33, "d0df" }, { -128, "d080" },
      { -129, "d1ff7f" }, { -32768, "d18000" }, { -32769, "d2ffff7fff" }, { -2 ^ 31, "d280000000" },
      { -2 ^ 31 - 1, "d3ffffffff7fffffff" }, { 0.5, "cb3fe0000000000000" }, { -0.0, "cb8000000000000000" },
      { 1 / 0, "cb7ff0000000000000" }, { 2 ^ 60, "cb43b0000000000000" },
    }
    for _, form in ipairs(forms) do
      assert.equal(form[2], hex(msgpack.encode(form[1])))
      assert.equal(form[1], round(form[1]))
    end
    local nan = round(0 / 0)
    assert.is_true(nan ~= nan)
  end)

  it("keeps all 64 bits of integers", function()
    for _, text in ipairs { "7fffffffffffffff", "8000000000000000", "ffffffffffffffff", "0020000000000001" } do
      local value = ffi.new("uint64_t", 0)
      for digit in text:gmatch "." do value = value * 16 + tonumber(digit, 16) end
      assert.equal("cf" .. text, hex(msgpack.encode(value)))
      assert.is_true(round(value) == value)
    end
    local low = ffi.new("int64_t", -2 ^ 62) * 2
    assert.equal("d38000000000000000", hex(msgpack.encode(low)))
    assert.is_true(round(low) == low)
    assert.equal("05", hex(msgpack.encode(ffi.new("int64_t", 5))))
    assert.equal("number", type(round(ffi.new("uint64_t", 2 ^ 53))))
  end)

  it("keeps strings and bin apart on the wire and gives strings back", function()
    assert.equal("a161", hex(msgpack.encode "a"))
    assert.equal("c40161", hex(msgpack.encode(msgpack.bin "a")))
    assert.equal("a", round(msgpack.bin "a"))
    for _, bytes in ipairs { 0, 31, 32, 255, 256, 65535, 65536, 300000 } do
      local s = ("x"):rep(bytes)
      assert.equal(s, round(s))
      assert.equal(s, round(msgpack.bin(s)))
      assert.equal(s, mpack.unpack(msgpack.encode(s)))
    end
  end)

  it("tells arrays from maps", function()
    assert.equal("90", hex(msgpack.encode {}))
    assert.equal("80", hex(msgpack.encode(msgpack.map {})))
    assert.equal("93010203", hex(msgpack.encode { 1, 2, 3 }))
    assert.equal("8103a178", hex(msgpack.encode { [3] = "x" }))
    assert.equal("81a16101", hex(msgpack.encode { a = 1 }))
    assert.equal("80", hex(msgpack.encode(round(msgpack.map {}))))
    for _, count in ipairs { 15, 16, 65535, 65536 } do
      local array, map = {}, {}
      for i = 1, count do
        array[i] = i
        map["k" .. i] = i
      end
      assert.same(array, round(array))
      assert.same(map, round(map))
    end
  end)

  it("keeps nils in place", function()
    local value = msgpack.decode(unhex "93c001c0")
    assert.equal(msgpack.null, value[1])
    assert.equal(msgpack.null, value[3])
    assert.equal("93c001c0", hex(msgpack.encode(value)))
    assert.is_nil((msgpack.decode(unhex "c0")))
  end)

  it("agrees with lua-mpack on nested values", function()
    local value = {
      name = "tide",
      list = { 1, 2.5, -7, { deep = { true, false } } },
      big = 2 ^ 40,
      text = ("é"):rep(40),
    }
    assert.same(value, mpack.unpack(msgpack.encode(value)))
    assert.same(value, (msgpack.decode(mpack.pack(value))))
  end)

  it("reads from a pointer, at an offset, and says where it ended", function()
    local bytes = msgpack.encode { 1 } .. msgpack.encode "two"
    local pointer = ffi.cast("const char *", bytes)
    local first, next_at = msgpack.decode(pointer, #bytes)
    assert.same({ 1 }, first)
    local second, stop = msgpack.decode(pointer, #bytes, next_at)
    assert.equal("two", second)
    assert.equal(#bytes, stop)
  end)

  it("hands bins to a hook without copying", function()
    local bytes = msgpack.encode { data = msgpack.bin "abcd" }
    local value = msgpack.decode(bytes, #bytes, 0, function(pointer, length)
      return { address = tonumber(ffi.cast("uintptr_t", pointer)), length = length }
    end)
    assert.equal(4, value.data.length)
    local start = tonumber(ffi.cast("uintptr_t", ffi.cast("const char *", bytes)))
    assert.equal(start + #bytes - 4, value.data.address)
  end)

  it("carries extension values", function()
    for _, bytes in ipairs { 1, 2, 3, 4, 8, 16, 17, 300, 70000 } do
      local value = round(msgpack.ext(-5, ("e"):rep(bytes)))
      assert.is_true(msgpack.is_ext(value))
      assert.equal(-5, value.kind)
      assert.equal(bytes, #value.data)
    end
  end)

  it("refuses every prefix of a value, and never reads past it", function()
    local bytes = msgpack.encode { { a = 1, b = { 1.5, "text", msgpack.bin "bin" } }, 2 ^ 40, -70000 }
    for length = 0, #bytes - 1 do
      assert.error_matches(function() msgpack.decode(bytes, length) end, "cut off")
    end
  end)

  it("refuses bytes that are no MessagePack, hostile counts and deep nesting", function()
    assert.error_matches(function() msgpack.decode(unhex "91c1") end, "byte 1 is 0xc1")
    assert.error_matches(function() msgpack.decode(unhex "ddffffffff") end, "cut off")
    assert.error_matches(function() msgpack.decode(unhex "dfffffffff") end, "cut off")
    assert.error_matches(function() msgpack.decode(unhex "dbffffffff") end, "cut off")
    assert.error_matches(function() msgpack.decode(("\x91"):rep(200)) end, "nesting")
    assert.error_matches(function() msgpack.decode(unhex "81c001") end, "key")
  end)

  it("refuses values without a MessagePack form", function()
    assert.error_matches(function() msgpack.encode(print) end, "cannot encode a function")
    assert.error_matches(function() msgpack.encode { ffi.new "int[1]" } end, "cannot encode")
    local loop = {}
    loop[1] = loop
    assert.error_matches(function() msgpack.encode(loop) end, "holds itself")
    assert.equal("01", hex(msgpack.encode(1)))
  end)
end)
