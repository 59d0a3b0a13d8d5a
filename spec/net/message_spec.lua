local ffi = require "ffi"
local mpack = require "spec.support.mpack"
local msgpack = require "tidepool.msgpack"
local C = require "spec.support.c"("net/message.h", "base/error.h")

local REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2

local function unhex(s)
  return (s:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end))
end

-- Keeps the bytes that slices point into alive.
local kept = {}

local function slice(s)
  kept[#kept + 1] = s
  return ffi.new("struct slice", ffi.cast("const unsigned char *", s), #s)
end

local function text(piece) return ffi.string(piece.data, piece.bytes) end

local function decode(s)
  local message = ffi.new "struct message"
  return C.message_decode(slice(s), message), message
end

local function why() return ffi.string(C.error_last().message) end

local function refused(s, pattern)
  assert.equal(-1, (decode(s)))
  assert.equal(C.ERR_INVALID_ARGUMENT, C.error_last().code)
  assert.matches(pattern, why())
end

describe("message", function()
  it("reads a request", function()
    local status, message = decode(msgpack.encode { 0, 77, "invoke", { "f", { data = { 1, 2 } }, 2.5 } })
    assert.equal(0, status)
    assert.equal(REQUEST, tonumber(message.kind))
    assert.equal(77, message.id)
    assert.equal("invoke", text(message.method))
    assert.equal(3, message.param_count)
    assert.equal("f", (msgpack.decode(text(message.params[0]))))
    assert.same({ data = { 1, 2 } }, (msgpack.decode(text(message.params[1]))))
    assert.equal(2.5, (msgpack.decode(text(message.params[2]))))
  end)

  it("reads what lua-mpack's session sends", function()
    local session = mpack.Session()
    local status, message = decode(session:request() .. mpack.pack "hello" .. mpack.pack { "x" })
    assert.equal(0, status)
    assert.equal("hello", text(message.method))
    assert.equal(1, message.param_count)
  end)

  it("reads notifications and responses", function()
    local status, message = decode(msgpack.encode { 2, "cancel", { 5 } })
    assert.equal(0, status)
    assert.equal(NOTIFICATION, tonumber(message.kind))
    assert.equal("cancel", text(message.method))
    assert.equal(1, message.param_count)
    status, message = decode(msgpack.encode { 1, 9, msgpack.null, "ok" })
    assert.equal(0, status)
    assert.equal(RESPONSE, tonumber(message.kind))
    assert.equal(9, message.id)
    assert.equal("ok", (msgpack.decode(text(message.params[1]))))
  end)

  it("takes ids of all 32 bits and no more", function()
    local status, message = decode(msgpack.encode { 0, 2 ^ 32 - 1, "m", {} })
    assert.equal(0, status)
    assert.equal(2 ^ 32 - 1, message.id)
    refused(msgpack.encode { 0, 2 ^ 32, "m", {} }, "id.*2^32")
    refused(msgpack.encode { 0, -1, "m", {} }, "id.*negative")
  end)

  it("names what is wrong", function()
    refused(msgpack.encode "hello", "message: must be an array, is a string")
    refused(msgpack.encode {}, "empty array")
    refused(msgpack.encode { "0", 1, "m", {} }, "type.*integer")
    refused(msgpack.encode { 3, 1, "m", {} }, "type.*0, 1 or 2")
    refused(msgpack.encode { 0, 1, "m" }, "an array of 3, type 0 needs one of 4")
    refused(msgpack.encode { 2, "m", {}, 1 }, "type 2 needs one of 3")
    refused(msgpack.encode { 0, "x", "m", {} }, "id.*must be an integer, is a string")
    refused(msgpack.encode { 0, 1, 2, {} }, "method: must be a string, is an integer")
    refused(msgpack.encode { 0, 1, "m", "p" }, "params: must be an array, is a string")
    refused(msgpack.encode { 0, 1, "m", { 1, 2, 3, 4, 5, 6, 7, 8, 9 } }, "params: 9 given, at most 8")
    refused(msgpack.encode { 0, 1, "m", {} } .. "x", "after its end")
    refused("", "message")
  end)

  it("gives the id as far as it could be read", function()
    for _, value in ipairs { { 0, 5, 2, {} }, { 0, 5, "m" }, { 0, 5, "m", 1 } } do
      local status, message = decode(msgpack.encode(value))
      assert.equal(-1, status)
      assert.equal(5, message.id)
    end
    assert.equal(5, C.message_peek_id(slice(unhex "940005a1")))
    assert.equal(70000, C.message_peek_id(slice(unhex "9400ce00011170")))
    for _, start in ipairs { "", "94", "9400", "9400ce0001", "940105", "930005", "9400a161", "a0" } do
      assert.equal(0, C.message_peek_id(slice(unhex(start))))
    end
  end)

  it("refuses every prefix of a message", function()
    local bytes = msgpack.encode { 0, 300, "invoke", { "f", { a = 1, b = msgpack.bin "xyz" }, 2.5, -7 } }
    for length = 0, #bytes - 1 do
      assert.equal(-1, (decode(bytes:sub(1, length))))
    end
  end)

  it("survives random bytes in place of a message's", function()
    math.randomseed(11)
    local good = msgpack.encode { 0, 300, "invoke", { "f", { a = 1, b = { 1, 2, { 3 } } }, 2.5, -7 } }
    for _ = 1, 5000 do
      local at = math.random(#good)
      local bytes = good:sub(1, at - 1) .. string.char(math.random(0, 255)) .. good:sub(at + 1)
      local status, message = decode(bytes)
      if status == 0 then
        for i = 0, message.param_count - 1 do
          local param = message.params[i]
          assert.is_true(param.data + param.bytes <= ffi.cast("const unsigned char *", kept[#kept]) + #bytes)
        end
      end
    end
  end)
end)

describe("reader", function()
  local function reader(s)
    local r = ffi.new "struct reader"
    C.reader_create(r, slice(s))
    return r
  end

  it("reads values of each kind in turn", function()
    local s = msgpack.encode { msgpack.null, true, -5, 2 ^ 40, 0.5, "text", { 1 }, { k = 2 } }
    local r = reader(s)
    local count, boolean = ffi.new "uint32_t[1]", ffi.new "bool[1]"
    local int, uint = ffi.new "int64_t[1]", ffi.new "uint64_t[1]"
    local double, piece = ffi.new "double[1]", ffi.new "struct slice[1]"
    assert.equal(0, C.reader_array(r, "list", count))
    assert.equal(8, count[0])
    assert.is_true(C.reader_nil(r))
    assert.is_false(C.reader_nil(r))
    assert.equal(0, C.reader_bool(r, "b", boolean))
    assert.is_true(boolean[0])
    assert.equal(0, C.reader_int(r, "i", int))
    assert.equal(-5, tonumber(int[0]))
    assert.equal(0, C.reader_uint(r, "u", uint))
    assert.equal(2 ^ 40, tonumber(uint[0]))
    assert.equal(0, C.reader_double(r, "d", double))
    assert.equal(0.5, double[0])
    assert.equal(0, C.reader_string(r, "s", piece[0]))
    assert.equal("text", text(piece[0]))
    assert.equal(0, C.reader_any(r, piece[0]))
    assert.same({ 1 }, (msgpack.decode(text(piece[0]))))
    assert.equal(0, C.reader_map(r, "m", count))
    assert.equal(1, count[0])
    assert.is_false(C.reader_is_at_end(r))
  end)

  it("names the field of a value of the wrong kind, and stays before it", function()
    local r = reader(msgpack.encode "text")
    local double, int = ffi.new "double[1]", ffi.new "int64_t[1]"
    assert.equal(-1, C.reader_double(r, "options.timeout_us", double))
    assert.equal("options.timeout_us: must be a number, is a string", why())
    assert.equal(-1, C.reader_int(r, "id", int))
    local piece = ffi.new "struct slice"
    assert.equal(0, C.reader_string(r, "id", piece))
    assert.equal("text", text(piece))
  end)

  it("converts numbers only where nothing is lost", function()
    local int, uint, double = ffi.new "int64_t[1]", ffi.new "uint64_t[1]", ffi.new "double[1]"
    local function double_bytes(value) return "\xcb" .. ffi.string(ffi.new("double[1]", value), 8):reverse() end
    assert.equal(0, C.reader_int(reader(double_bytes(-3)), "x", int))
    assert.equal(-3, tonumber(int[0]))
    assert.equal(0, C.reader_uint(reader(double_bytes(2 ^ 63)), "x", uint))
    assert.is_true(uint[0] == 2 ^ 63)
    for _, value in ipairs { 0.5, 2 ^ 64, -2 ^ 65, 1 / 0, 0 / 0 } do
      assert.equal(-1, C.reader_int(reader(double_bytes(value)), "x", int))
    end
    assert.equal(-1, C.reader_int(reader(unhex "cfffffffffffffffff"), "x", int))
    assert.equal(-1, C.reader_uint(reader "\xff", "x", uint))
    assert.equal(0, C.reader_double(reader "\xff", "x", double))
    assert.equal(-1, double[0])
    assert.equal(0, C.reader_double(reader(unhex "ca3f000000"), "x", double))
    assert.equal(0.5, double[0])
  end)

  it("never reads past the end, whatever is announced", function()
    local count, piece = ffi.new "uint32_t[1]", ffi.new "struct slice"
    assert.equal(-1, C.reader_array(reader(unhex "ddffffffff01"), "x", count))
    assert.equal(-1, C.reader_map(reader(unhex "dfffffffff01"), "x", count))
    assert.equal(-1, C.reader_map(reader(unhex "8101"), "x", count))
    assert.equal(-1, C.reader_string(reader(unhex "dbffffffff61"), "x", piece))
    assert.equal(-1, C.reader_any(reader(unhex "c9ffffffff0161"), piece))
    assert.equal(-1, C.reader_any(reader(unhex "9301c1"), piece))
    assert.equal(-1, C.reader_any(reader(""), piece))
  end)
end)

describe("writer", function()
  local writer

  before_each(function()
    writer = ffi.new "struct writer"
    C.writer_create(writer)
  end)

  after_each(function() C.writer_destroy(writer) end)

  local function written()
    assert.equal(0, C.writer_finish(writer))
    return ffi.string(writer.data, writer.bytes)
  end

  it("writes what MessagePack readers read", function()
    C.writer_array(writer, 10)
    C.writer_nil(writer)
    C.writer_bool(writer, true)
    C.writer_int(writer, -300)
    C.writer_uint(writer, 2 ^ 40)
    C.writer_double(writer, 0.25)
    C.writer_string(writer, "text")
    C.writer_string(writer, nil)
    C.writer_bytes(writer, "bin", 3)
    C.writer_map(writer, 1)
    C.writer_text(writer, "key", 3)
    C.writer_raw(writer, "\x07", 1)
    ffi.copy(C.writer_bytes_space(writer, 2), "ab", 2)
    local null = msgpack.null
    assert.same({ null, true, -300, 2 ^ 40, 0.25, "text", null, "bin", { key = 7 }, "ab" }, (msgpack.decode(written())))
    assert.equal(10, #mpack.unpack(written()))
  end)

  it("grows over any number of writes", function()
    C.writer_array(writer, 5000)
    for i = 1, 5000 do C.writer_string(writer, ("x"):rep(i % 100)) end
    local list = msgpack.decode(written())
    assert.equal(5000, #list)
    assert.equal(("x"):rep(99), list[4999])
  end)

  it("writes replies, errors and notifications", function()
    C.writer_reply(writer, 9)
    C.writer_uint(writer, 1)
    assert.same({ 1, 9, msgpack.null, 1 }, (msgpack.decode(written())))
    C.writer_reset(writer, 1024)
    C.error_set_at("f", 1, C.ERR_NOT_FOUND, "function \"%s\"", "x")
    C.writer_error(writer, 10, C.error_last(), nil)
    assert.same({ 1, 10, { 5, 'NOT_FOUND: function "x"', msgpack.null }, msgpack.null }, (msgpack.decode(written())))
    C.writer_reset(writer, 0)
    C.writer_notification(writer, "event", 2)
    C.writer_uint(writer, 3)
    C.writer_nil(writer)
    assert.same({ 2, "event", { 3, msgpack.null } }, (msgpack.decode(written())))
  end)

  it("keeps what it had and fails as a whole when memory runs out", function()
    C.writer_uint(writer, 1)
    assert.is_true(C.writer_bytes_space(writer, 2 ^ 33) == nil)
    C.writer_uint(writer, 2)
    assert.equal(-1, C.writer_finish(writer))
    assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
  end)
end)
