local ffi = require "ffi"
local msgpack = require "tidepool.msgpack"
local C = require "spec.support.c"("net/framer.h", "base/error.h")
local lua_framer = require "tidepool.client.framer"

local function unhex(s)
  return (s:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end))
end

local found = ffi.new "size_t[1]"

local function new(bytes_max, depth_max)
  local framer = ffi.new "struct framer"
  C.framer_create(framer, bytes_max or 1e6, depth_max or 16)
  return framer
end

ffi.cdef "void *malloc(size_t bytes); void free(void *memory);"

-- An exact copy of the bytes on the heap, so that ASan sees a read past them.
local function copy_of(s)
  local data = ffi.gc(ffi.cast("unsigned char *", ffi.C.malloc(math.max(1, #s))), ffi.C.free)
  ffi.copy(data, s, #s)
  return data
end

local function scan(framer, s)
  local data = copy_of(s)
  local status = C.framer_scan(framer, data, #s, found)
  return status, tonumber(found[0])
end

local function message() return ffi.string(C.error_last().message) end

-- Every tag of the format once, and nesting.
local all_tags = {
  "00", "7f", "ff", "c0", "c2", "c3", "ca3f800000", "cb3ff0000000000000", "cc80", "cd8000", "ce80000000",
  "cf8000000000000000", "d080", "d18000", "d280000000", "d38000000000000000", "a0", "a161", "d90161", "da000161",
  "db0000000161", "c40161", "c5000161", "c60000000161", "d40561", "d5056162", "d60561626364", "d7056162636465666768",
  "d805" .. ("61"):rep(16), "c7020561" .. "62", "c800010561", "c9000000010561", "90", "80", "dc0000", "dd00000000",
  "de0000", "df00000000", "dc000101", "dd00000001a161", "81a16101", "de0001a16101", "df00000001a16101",
  "93019102a161", "82a161920102a16281a16303", "94909190919091c0",
}

describe("framer", function()
  it("finds the end of every kind of value, however the bytes are cut", function()
    for _, hex in ipairs(all_tags) do
      local bytes = unhex(hex)
      for cut = 1, #bytes - 1 do
        local framer = new()
        local status, length = scan(framer, bytes:sub(1, cut))
        assert.equal(0, status, hex)
        assert.equal(0, length, hex .. " cut at " .. cut)
        status, length = scan(framer, bytes .. "trailing")
        assert.equal(0, status, hex)
        assert.equal(#bytes, length, hex .. " cut at " .. cut)
      end
      local _, length = scan(new(), bytes)
      assert.equal(#bytes, length, hex)
    end
  end)

  it("takes a stream byte by byte, one value after the other", function()
    local stream, ends = {}, {}
    for i, hex in ipairs(all_tags) do
      stream[i] = unhex(hex)
      ends[i] = #stream[i]
    end
    local framer, start, value = new(), 0, 1
    local bytes = table.concat(stream)
    for stop = 1, #bytes do
      local status, length = scan(framer, bytes:sub(start + 1, stop))
      assert.equal(0, status)
      if length > 0 then
        assert.equal(ends[value], length)
        start, value = start + length, value + 1
      end
    end
    assert.equal(#all_tags + 1, value)
  end)

  it("agrees with the Lua client's framer on random values and cuts", function()
    math.randomseed(7)
    local function random(depth)
      local kind = math.random(depth > 0 and 6 or 4)
      if kind == 1 then return math.random(-2 ^ 31, 2 ^ 31) end
      if kind == 2 then return math.random() end
      if kind == 3 then return ("s"):rep(math.random(0, 300)) end
      if kind == 4 then return msgpack.bin(("b"):rep(math.random(0, 300))) end
      local t = {}
      for i = 1, math.random(0, 20) do
        t[kind == 5 and i or "k" .. i] = random(depth - 1)
      end
      return t
    end
    for _ = 1, 200 do
      local bytes = msgpack.encode(random(3))
      local framer, twin = new(), lua_framer.new(1e6)
      local at = 0
      repeat
        at = math.min(#bytes, at + math.random(1, 50))
        local _, length = scan(framer, bytes:sub(1, at))
        local twins = twin:scan(ffi.cast("const uint8_t *", bytes), at) or 0
        assert.equal(at == #bytes and #bytes or 0, length)
        assert.equal(length, twins)
      until at == #bytes
    end
  end)

  it("refuses byte 0xc1 and says where", function()
    assert.equal(-1, (scan(new(), unhex "9201c1")))
    assert.equal(C.ERR_INVALID_ARGUMENT, C.error_last().code)
    assert.matches("byte 2 is 0xc1", message())
    local _, why = lua_framer.new(100):scan(ffi.cast("const uint8_t *", unhex "9201c1"), 3)
    assert.matches("byte 2 is 0xc1", why)
  end)

  it("refuses a value over the limit as soon as it is announced", function()
    local long = { "db7fffffff", "dbffffffff", "c6ffffffff", "c9ffffffff", "ddffffffff", "dfffffffff", "c464" }
    for _, hex in ipairs(long) do
      assert.equal(-1, (scan(new(100), unhex(hex))), hex)
      assert.equal(C.ERR_INVALID_ARGUMENT, C.error_last().code)
      assert.matches("limit of 100 bytes", message())
    end
  end)

  it("refuses a value that grows over the limit", function()
    local value = msgpack.encode { ("x"):rep(40), ("y"):rep(40), ("z"):rep(40) }
    assert.equal(-1, (scan(new(100), value)))
    assert.matches("limit of 100 bytes", message())
    local status, length = scan(new(#value), value)
    assert.equal(0, status)
    assert.equal(#value, length)
    assert.equal(-1, (scan(new(#value - 1), value)))
  end)

  it("refuses nesting over the limit, and bears any below", function()
    local function nested(depth) return ("\x91"):rep(depth) .. "\x01" end
    local status, length = scan(new(1000, 16), nested(16))
    assert.equal(0, status)
    assert.equal(17, length)
    assert.equal(-1, (scan(new(1000, 16), nested(17))))
    assert.matches("limit of 16", message())
    assert.equal(-1, (scan(new(2e6, C.FRAMER_DEPTH_MAX), ("\x91"):rep(1000000))))
    assert.equal(0, (scan(new(1000, 0), "\x90")))
    assert.equal(-1, (scan(new(1000, 0), "\x91\x01")))
  end)

  it("knows how many bytes a value needs before they are there", function()
    local framer = new(1e6)
    assert.equal(0, (scan(framer, unhex "92c600001000")))
    assert.equal(6 + 4096 + 1, tonumber(C.framer_needs(framer)))
  end)

  it("survives random bytes", function()
    math.randomseed(42)
    for _ = 1, 3000 do
      local bytes = {}
      for i = 1, math.random(1, 60) do bytes[i] = string.char(math.random(0, 255)) end
      local framer = new(1000, 8)
      local stream = table.concat(bytes)
      local status, length = scan(framer, stream)
      assert.is_true(status == 0 or status == -1)
      assert.is_true(length <= #stream)
      if status == 0 and length > 0 then
        -- What is one value to the framer is one to the codec, unless a map's key is one that Lua cannot have.
        local ok, after = pcall(function() return select(2, msgpack.decode(stream, length)) end)
        assert.is_true((ok and after == length) or after:match "map key" ~= nil)
      end
    end
  end)
end)
