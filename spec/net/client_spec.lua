local ffi = require "ffi"
local client = require "tidepool.client"
local echo = require "spec.support.echo"
local msgpack = require "tidepool.msgpack"
local socket = require "tidepool.client.socket"
local temporary = require "spec.support.temporary"

local function shell(format, ...)
  local handle = io.popen(format:format(...) .. " 2>&1; echo status=$?")
  local text = handle:read "*a"
  handle:close()
  return text:match "status=0\n$" ~= nil, text
end

describe("client", function()
  local server, c

  local function start(limits, options)
    server = assert(echo.start(limits))
    c = assert(client.connect(server.address, options or { timeout = 10 }))
  end

  after_each(function()
    if c then c:close() end
    if server then server:stop() end
    c, server = nil, nil
  end)

  local path = temporary.path()
  for _, address in ipairs { "127.0.0.1:0", "[::1]:0", "unix:" .. path, path } do
    it("calls over " .. address, function()
      start { address = address }
      assert.same({ 1, "two", { three = 3 } }, c:call("hi", 1, "two", { three = 3 }))
    end)
  end

  it("connects to localhost by name", function()
    start()
    local other = assert(client.connect("localhost:" .. server.port))
    assert.same({ 1 }, other:call("hi", 1))
    other:close()
  end)

  it("keeps nils among the parameters in place", function()
    start()
    assert.same({ msgpack.null, 2, msgpack.null }, c:call("hi", nil, 2, nil))
  end)

  it("returns errors by name, with their message and details", function()
    start()
    local result, message, name, details = c:call "fail"
    assert.is_nil(result)
    assert.equal('NOT_FOUND: function "f": not deployed', message)
    assert.equal("NOT_FOUND", name)
    assert.equal(42, details)
    assert.same({}, c:call "hi")
  end)

  it("takes answers in any order", function()
    start()
    local slow = c:send("later", "slow")
    local quick = c:send("hi", "quick")
    assert.same({ "quick" }, quick:wait())
    assert.is_false(slow.done)
    assert.same({ "slow" }, slow:wait())
    assert.same({ "slow" }, slow:wait())
  end)

  it("sends the requests of a batch together", function()
    start()
    local pending = {}
    c:batch(function()
      for i = 1, 200 do pending[i] = c:send("hi", i) end
    end)
    for i = 200, 1, -1 do assert.same({ i }, pending[i]:wait()) end
    assert.is_true(server:counts().batches <= 3)
  end)

  it("sends what a batch held when its function raises", function()
    start()
    local pending
    assert.error_matches(function()
      c:batch(function()
        pending = c:send("hi", 1)
        error "oops"
      end)
    end, "oops")
    assert.same({ 1 }, pending:wait())
  end)

  it("is at the service of coroutines", function()
    start()
    local results = {}
    local threads = {}
    for i = 1, 10 do
      threads[i] = coroutine.create(function()
        local pending = c:send(i % 2 == 0 and "hi" or "later", i)
        coroutine.yield()
        results[i] = pending:wait()[1]
      end)
    end
    for _ = 1, 2 do
      for i = 1, 10 do assert(coroutine.resume(threads[i])) end
    end
    for i = 1, 10 do assert.equal(i, results[i]) end
  end)

  it("gives up waiting in time, and drops an answer that comes too late", function()
    start()
    c.timeout = 0.01
    local began = socket.now()
    local result, message, name = c:call("later", "x")
    assert.is_nil(result)
    assert.equal("DEADLINE_EXCEEDED", name)
    assert.matches("no answer in time", message)
    assert.is_true(socket.now() - began < 1)
    c.timeout = 10
    assert.same({ "y" }, c:call("later", "y"))
  end)

  it("can wait again for an answer that was not there in time", function()
    start()
    local pending = c:send("later", "x")
    local _, _, name = pending:wait(0.001)
    assert.equal("DEADLINE_EXCEEDED", name)
    assert.same({ "x" }, pending:wait(5))
  end)

  it("hands notifications to their functions, while it waits and when it polls", function()
    start()
    local seen = {}
    c:on("event", function(value) seen[#seen + 1] = value end)
    assert.same({ "a" }, c:call("push", "a"))
    assert.same({ "a" }, seen)
    c:send("push", "b")
    assert.equal(2, c:poll(5))
    assert.same({ "a", "b" }, seen)
    assert.equal(0, c:poll(0))
    c:on("event", nil)
    c:call("push", "c")
    assert.equal(2, #seen)
  end)

  it("sends notifications", function()
    start()
    assert.is_true(c:notify("cancel", 1))
    assert.same({}, c:call "hi")
    assert.equal(2, server:counts().frames)
  end)

  it("does not wait for a node that waits for it", function()
    start { in_flight = 8, unsent_bytes = 100000 }
    local text = ("x"):rep(1000000)
    local pending = {}
    for i = 1, 60 do pending[i] = c:send("hi", i, text) end
    for i = 1, 60 do
      local result = pending[i]:wait()
      assert.equal(i, result[1])
      assert.is_true(result[2] == text)
    end
  end)

  it("takes messages larger than its buffer, after and before small ones", function()
    start()
    for _, bytes in ipairs { 10, 65000, 65536, 70000, 3000000, 5 } do
      local pending = { c:send("bytes", bytes), c:send("hi", bytes), c:send("bytes", bytes) }
      assert.equal(bytes, #pending[1]:wait())
      assert.same({ bytes }, pending[2]:wait())
      assert.equal(bytes, #pending[3]:wait())
    end
  end)

  it("refuses messages over its limit", function()
    start({}, { timeout = 10, message_bytes = 1000 })
    assert.equal(900, #c:call("bytes", 900))
    local _, message, name = c:call("bytes", 1000)
    assert.equal("DATA_LOSS", name)
    assert.matches("over 1000 bytes", message)
    _, _, name = c:call "hi"
    assert.equal("DATA_LOSS", name)
  end)

  it("tells all who wait that the connection was closed, and all who come later", function()
    start()
    local never = c:send "never"
    local last = c:send("close", "bye")
    assert.same({ "bye" }, last:wait())
    local _, message, name = never:wait()
    assert.equal("UNAVAILABLE", name)
    assert.matches("the node closed the connection", message)
    _, _, name = c:call "hi"
    assert.equal("UNAVAILABLE", name)
    _, _, name = c:notify "hi"
    assert.equal("UNAVAILABLE", name)
    _, _, name = c:poll(0)
    assert.equal("UNAVAILABLE", name)
  end)

  it("can be closed with requests under way", function()
    start()
    local never = c:send "never"
    c:close()
    c:close()
    local _, _, name = never:wait()
    assert.equal("UNAVAILABLE", name)
  end)

  it("names what is wrong with an address", function()
    local function fails(address, name, pattern)
      local other, message, code = client.connect(address, { timeout = 1 })
      assert.is_nil(other)
      assert.equal(name, code)
      assert.matches(pattern, message)
    end
    fails("127.0.0.1:1", "UNAVAILABLE", "connect to 127.0.0.1:1: Connection refused")
    fails("/nonexistent", "UNAVAILABLE", "connect to /nonexistent: No such file")
    fails("nonsense", "INVALID_ARGUMENT", "nonsense: neither HOST:PORT nor a path")
    fails("/" .. ("x"):rep(200), "INVALID_ARGUMENT", "107 bytes")
  end)

  describe("with a peer that is no node", function()
    -- A process that answers the first bytes it gets on a Unix socket with these, and ends.
    local function speak(bytes)
      local address = temporary.path()
      local script = os.tmpname()
      local file = assert(io.open(script, "w"))
      file:write(([[
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(%q)
listener.listen()
print("ready", flush=True)
peer, _ = listener.accept()
peer.recv(1000)
peer.sendall(bytes.fromhex(%q))
peer.shutdown(socket.SHUT_WR)
peer.recv(1000)
]]):format(address, (bytes:gsub(".", function(char) return ("%02x"):format(char:byte()) end))))
      file:close()
      local process = io.popen("python3 " .. script)
      assert.equal("ready", process:read "*l")
      c = assert(client.connect(address, { timeout = 5 }))
      local result, message, name = c:call "hi"
      c:close()
      process:close()
      os.remove(script)
      os.remove(address)
      return result, message, name
    end

    it("says that bytes have no meaning", function()
      local result, message, name = speak "\xc1"
      assert.is_nil(result)
      assert.equal("DATA_LOSS", name)
      assert.matches("0xc1", message)
    end)

    it("skips messages that it cannot place", function()
      local noise = msgpack.encode "x" .. msgpack.encode { 9 } .. msgpack.encode { 1, 99, msgpack.null, 1 }
        .. msgpack.encode { 2, "unknown", {} } .. msgpack.encode { 2, "event", 5 }
      assert.equal("ok", (speak(noise .. msgpack.encode { 1, 1, msgpack.null, "ok" })))
    end)

    it("bears errors of any shape", function()
      local _, message, name = speak(msgpack.encode { 1, 1, "just text", msgpack.null })
      assert.equal("UNKNOWN", name)
      assert.equal("UNKNOWN: just text", message)
      _, message, name = speak(msgpack.encode { 1, 1, { 7, "no name here" }, msgpack.null })
      assert.equal("UNKNOWN", name)
      assert.equal("no name here", message)
    end)

    it("passes on an error that belongs to no request", function()
      local _, message, name = speak(msgpack.encode { 1, 0, { 8, "RESOURCE_EXHAUSTED: connections" }, msgpack.null })
      assert.equal("RESOURCE_EXHAUSTED", name)
      assert.equal("RESOURCE_EXHAUSTED: connections", message)
    end)

    it("says that it ended within a message", function()
      local _, message, name = speak(msgpack.encode({ 1, 1, msgpack.null, "cut" }):sub(1, -2))
      assert.equal("UNAVAILABLE", name)
      assert.matches("closed the connection", message)
    end)
  end)

  describe("tensors", function()
    it("of every datatype travel and come back", function()
      start()
      local values = {
        BOOL = { true, false, true }, UINT8 = { 0, 1, 255 }, UINT16 = { 0, 1, 65535 }, UINT32 = { 0, 1, 2 ^ 32 - 1 },
        INT8 = { -128, 0, 127 }, INT16 = { -32768, 0, 32767 }, INT32 = { -2 ^ 31, 0, 2 ^ 31 - 1 },
        FP16 = { 0.5, -65504, 2 ^ -24 }, BF16 = { 0.5, -1, 2 ^ 100 }, FP32 = { 0.5, -1, 2 ^ -126 },
        FP64 = { 0.1, -1, 1e300 },
      }
      for datatype, list in pairs(values) do
        local answer = c:call("hi", client.tensor(datatype, { 3 }, list))[1]
        assert.equal(datatype, answer.datatype)
        assert.same({ 3 }, answer.shape)
        assert.same(list, client.to_list(answer))
      end
      for _, datatype in ipairs { "INT64", "UINT64" } do
        local list = client.to_list(c:call("hi", client.tensor(datatype, { 2 }, { 1ULL, 2 ^ 40 }))[1])
        assert.is_true(list[1] == 1 and list[2] == 2 ^ 40)
      end
    end)

    it("are made of nested tables, bytes and FFI arrays alike", function()
      local array = ffi.new("float[4]", { 1, 2, 3, 4 })
      local nested = client.tensor("FP32", { 2, 2 }, { { 1, 2 }, { 3, 4 } })
      assert.same(nested, client.tensor("FP32", { 2, 2 }, { 1, 2, 3, 4 }))
      assert.same(nested, client.tensor("FP32", { 2, 2 }, ffi.string(array, 16)))
      assert.same(nested, client.tensor("FP32", { 2, 2 }, array))
      assert.same({ 7 }, client.to_list(client.tensor("INT32", {}, { 7 })))
      assert.same({}, client.to_list(client.tensor("INT32", { 0, 5 }, {})))
      local back, count = client.to_array(nested)
      assert.equal(4, count)
      assert.equal(3, back[2])
    end)

    it("round to half precision as IEEE 754 says", function()
      local function half(value) return client.tensor("FP16", { 1 }, { value }).data[1]:reverse() end
      local function bytes(number) return string.char(math.floor(number / 256), number % 256) end
      local known = {
        { 1, 0x3c00 }, { -2, 0xc000 }, { 65504, 0x7bff }, { 65519.99, 0x7bff }, { 65520, 0x7c00 }, { 1 / 0, 0x7c00 },
        { -1 / 0, 0xfc00 }, { 2 ^ -14, 0x0400 }, { 2 ^ -24, 0x0001 }, { 2 ^ -25, 0x0000 }, { 2 ^ -25 * 1.01, 0x0001 },
        { 1 + 2 ^ -11, 0x3c00 }, { 1 + 3 * 2 ^ -11, 0x3c02 }, { 2 - 2 ^ -12, 0x4000 }, { -0.0, 0x8000 },
        { 2 ^ -14 - 2 ^ -26, 0x0400 },
      }
      for _, pair in ipairs(known) do assert.equal(bytes(pair[2]), half(pair[1]), tostring(pair[1])) end
      assert.equal("\x7e\0", half(0 / 0))
      local function brain(value) return client.tensor("BF16", { 1 }, { value }).data[1]:reverse() end
      assert.equal("\x3f\x80", brain(1 + 2 ^ -8))
      assert.equal("\x3f\x82", brain(1 + 3 * 2 ^ -8))
      assert.equal("\x7f\x80", brain(3.4e38))
      assert.equal("\x7f\xc0", brain(0 / 0))
    end)

    it("are refused when they do not add up", function()
      local function refused(pattern, f, ...)
        local ok, message = pcall(f, ...)
        assert.is_false(ok)
        assert.matches(pattern, message)
      end
      refused("datatype FP31 is none of BF16, BOOL", client.tensor, "FP31", { 1 }, { 1 })
      refused("only 1 elements, its shape says 2", client.tensor, "FP32", { 2 }, { 1 })
      refused("more than 2 elements", client.tensor, "FP32", { 2 }, { 1, 2, 3 })
      refused("7 bytes.*say 8", client.tensor, "FP32", { 2 }, "1234567")
      refused("shape%[1%] is %-1", client.tensor, "FP32", { -1 }, {})
      refused("data is a number", client.tensor, "FP32", { 1 }, 5)
      refused("4 bytes.*say 8", client.to_list, { datatype = "FP32", shape = { 2 }, data = "1234" })
      refused("not a map", client.to_list, { 1 })
    end)
  end)

  it("installs by its rockspec without a network, and loads under plain LuaJIT", function()
    start()
    local tree = temporary.path()
    local installed, text = shell(
      "env http_proxy=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1 luarocks --lua-version=5.1 --tree %s make "
        .. "rockspec/tidepool-scm-1.rockspec", tree)
    assert.is_true(installed, text)
    local share = tree .. "/share/lua/5.1/"
    local program = 'local c = assert(require("tidepool.client").connect(arg[1])) print(c:call("hi", "installed")[1])'
    local script = os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write(program)
    file:close()
    local worked, output = shell(
      "cd / && LUA_PATH='%s?.lua;%s?/init.lua' luajit %s %s", share, share, script, server.address)
    os.remove(script)
    assert.is_true(worked, output)
    assert.matches("^installed\n", output)
    shell("rm -rf %s", tree)
  end)
end)
