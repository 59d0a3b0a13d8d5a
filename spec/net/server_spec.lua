local ffi = require "ffi"
local echo = require "spec.support.echo"
local msgpack = require "tidepool.msgpack"
local socket = require "tidepool.client.socket"
local temporary = require "spec.support.temporary"

-- A connection that speaks bytes: send(), next() for one decoded message, nil and why at the end.
local Raw = {}
Raw.__index = Raw

local function connect(server)
  local raw = assert(socket.connect(server.address, 5))
  return setmetatable({ socket = raw, bytes = "" }, Raw)
end

function Raw:send(bytes) return self.socket:send(bytes, #bytes, socket.now() + 5) end

function Raw:request(id, method, ...) return self:send(msgpack.encode { 0, id, method, msgpack.array { ... } }) end

function Raw:next(timeout)
  local buffer = ffi.new "char[65536]"
  local deadline = socket.now() + (timeout or 5)
  while true do
    local ok, message, after = pcall(msgpack.decode, self.bytes)
    if ok then
      self.bytes = self.bytes:sub(after + 1)
      return message
    end
    local got, why, name = self.socket:receive(buffer, 65536, deadline)
    if not got then return nil, why, name end
    self.bytes = self.bytes .. ffi.string(buffer, got)
  end
end

-- Wait until condition() holds, for 5 seconds at most.
local function eventually(condition)
  local deadline = socket.now() + 5
  while socket.now() < deadline do
    if condition() then return true end
    os.execute "sleep 0.01"
  end
  return false
end

local function exists(path)
  local handle = io.popen("test -e " .. path .. " && echo yes")
  local answer = handle:read "*a"
  handle:close()
  return answer ~= ""
end

describe("server", function()
  local server

  local function start(options)
    server = assert(echo.start(options))
    return server
  end

  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  for _, address in ipairs { "127.0.0.1:0", "[::1]:0", "localhost:0", "unix:" .. temporary.path() } do
    it("answers on " .. address, function()
      local raw = connect(start { address = address })
      raw:request(1, "hi", 1, "two", { 3 })
      assert.same({ 1, 1, msgpack.null, { 1, "two", { 3 } } }, raw:next())
      raw.socket:close()
      assert.is_true(eventually(function() return server:counts().closed == 1 end))
    end)
  end

  it("takes frames cut at every byte", function()
    local raw = connect(start())
    local frame = msgpack.encode { 0, 3, "hi", { "abc", { k = 1.5 } } }
    for cut = 1, #frame - 1 do
      raw:send(frame:sub(1, cut))
      os.execute "sleep 0.002"
      raw:send(frame:sub(cut + 1))
      assert.same({ 1, 3, msgpack.null, { "abc", { k = 1.5 } } }, raw:next())
    end
  end)

  it("takes many frames of one read as one batch and answers in one write", function()
    local raw = connect(start())
    local frames = {}
    for id = 1, 500 do frames[id] = msgpack.encode { 0, id, "hi", { id } } end
    raw:send(table.concat(frames))
    for id = 1, 500 do assert.same({ 1, id, msgpack.null, { id } }, raw:next()) end
    local counts = server:counts()
    assert.equal(500, counts.frames)
    assert.is_true(counts.batches < 20)
  end)

  it("takes frames larger than a buffer, both ways", function()
    local raw = connect(start())
    for _, bytes in ipairs { 65530, 65536, 200000, 5000000 } do
      local text = ("x"):rep(bytes)
      raw:request(bytes, "hi", text, text)
      local answer = raw:next()
      assert.equal(bytes, answer[2])
      assert.is_true(answer[4][1] == text and answer[4][2] == text)
    end
  end)

  it("keeps a held frame in place while more comes in", function()
    local raw = connect(start())
    for id = 1, 50 do
      raw:request(id, "later", ("%03d"):format(id):rep(1000))
      raw:request(1000 + id, "hi", ("y"):rep(9000))
    end
    local answers = {}
    for _ = 1, 100 do
      local answer = raw:next()
      answers[answer[2]] = answer[4][1]
    end
    for id = 1, 50 do
      assert.equal(("%03d"):format(id):rep(1000), answers[id])
      assert.equal(("y"):rep(9000), answers[1000 + id])
    end
  end)

  it("outlives a peer that goes while requests are held", function()
    start()
    for _ = 1, 20 do
      local raw = connect(server)
      raw:request(1, "later", "x")
      raw:request(2, "never")
      raw.socket:close()
    end
    assert.is_true(eventually(function() return server:counts().closed == 20 end))
    local raw = connect(server)
    raw:request(1, "hi")
    assert.equal(1, raw:next()[2])
  end)

  it("can stop while requests are held and replies unsent", function()
    local raw = connect(start())
    for id = 1, 20 do raw:request(id, "later", "x") end
    raw:request(21, "bytes", 20000000)
    assert.is_true(eventually(function() return server:counts().frames == 21 end))
  end)

  describe("refuses", function()
    local function refused(bytes, pattern, id)
      local raw = connect(server)
      raw:send(bytes)
      local answer = assert(raw:next())
      assert.equal(1, answer[1])
      assert.equal(id or 0, answer[2])
      assert.equal(3, answer[3][1])
      assert.matches("^INVALID_ARGUMENT: ", answer[3][2])
      assert.matches(pattern, answer[3][2])
      local rest, _, name = raw:next()
      assert.is_nil(rest)
      assert.equal("UNAVAILABLE", name)
      raw.socket:close()
    end

    it("bytes that are no MessagePack, and says so before it closes", function()
      start()
      refused("\xc1", "0xc1")
      refused(("\xc1"):rep(100000), "0xc1")
      refused("\x94\x00\x07\xc1", "0xc1", 7)
    end)

    it("what is no array, with one error for all of it", function()
      start()
      refused("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "begins with byte 0x47, a message is a MessagePack array")
      refused(("\x00"):rep(100000), "begins with byte 0x00")
    end)

    it("frames over the limit of bytes or depth", function()
      start { frame_bytes = 1000, depth = 4 }
      refused("\x91\xc6\x00\x0f\x00\x00", "limit of 1000 bytes")
      refused(msgpack.encode { 0, 9, "hi", { ("x"):rep(1000) } }, "limit of 1000 bytes", 9)
      refused(("\x91"):rep(10), "nested deeper than the limit of 4")
    end)

    it("what follows a bad frame, but answers what came before it", function()
      local raw = connect(start())
      raw:send(msgpack.encode { 0, 1, "hi", { 1 } } .. "\xc1" .. msgpack.encode { 0, 2, "hi", { 2 } })
      assert.same({ 1, 1, msgpack.null, { 1 } }, raw:next())
      assert.matches("0xc1", raw:next()[3][2])
      assert.is_nil(raw:next())
      assert.equal(1, server:counts().frames)
    end)

    it("connections over the limit", function()
      start { connections = 2 }
      local first, second = connect(server), connect(server)
      first:request(1, "hi")
      second:request(1, "hi")
      assert.is_truthy(first:next() and second:next())
      local third = connect(server)
      local answer = third:next()
      assert.matches("^RESOURCE_EXHAUSTED: connections: the limit of 2", answer[3][2])
      assert.is_nil(third:next())
      first.socket:close()
      assert.is_true(eventually(function()
        local again = connect(server)
        again:request(5, "hi")
        local reply = again:next()
        again.socket:close()
        return reply and reply[2] == 5
      end))
    end)
  end)

  it("survives a flood of random bytes on many connections", function()
    start()
    math.randomseed(3)
    for _ = 1, 200 do
      local raw = connect(server)
      local bytes = {}
      for i = 1, math.random(1, 400) do bytes[i] = string.char(math.random(0, 255)) end
      raw:send(table.concat(bytes))
      raw.socket:close()
    end
    local raw = connect(server)
    raw:request(1, "hi")
    assert.equal(1, raw:next()[2])
  end)

  it("stops reading at the limit of requests in flight and goes on below it", function()
    local raw = connect(start { in_flight = 4 })
    local frames = {}
    for id = 1, 40 do frames[id] = msgpack.encode { 0, id, "later", { id } } end
    raw:send(table.concat(frames))
    local seen = {}
    for _ = 1, 40 do seen[#seen + 1] = raw:next()[2] end
    table.sort(seen)
    for id = 1, 40 do assert.equal(id, seen[id]) end
    assert.equal(4, server:counts().in_flight_max)
  end)

  it("stops reading from a peer that takes no replies, and loses none", function()
    local raw = connect(start { unsent_bytes = 100000 })
    local count = 300
    for id = 1, count do raw:request(id, "bytes", 100000) end
    os.execute "sleep 0.2"
    assert.is_true(server:counts().frames < count)
    for id = 1, count do
      local answer = raw:next()
      assert.equal(id, answer[2])
      assert.equal(100000, #answer[4])
    end
    assert.equal(count, server:counts().frames)
  end)

  it("closes idle connections, but not those that wait for an answer", function()
    start { idle_ms = 100 }
    local idle, waiting = connect(server), connect(server)
    waiting:request(1, "never")
    local answer, _, name = idle:next(2)
    assert.is_nil(answer)
    assert.equal("UNAVAILABLE", name)
    answer, _, name = waiting:next(0.3)
    assert.is_nil(answer)
    assert.equal("DEADLINE_EXCEEDED", name)
  end)

  it("sends replies of all sizes whole and in order", function()
    local raw = connect(start())
    local sizes = {}
    for id = 1, 60 do sizes[id] = ({ 10, 3000000, 60000, 70000, 0, 65536, 200 })[id % 7 + 1] end
    for id, size in ipairs(sizes) do raw:request(id, "bytes", size) end
    for id, size in ipairs(sizes) do
      local answer = raw:next()
      assert.equal(id, answer[2])
      assert.equal(size, #answer[4])
    end
  end)

  it("takes a request of megabytes in turns, whole", function()
    local raw = connect(start())
    local text = ("0123456789abcdef"):rep(2 ^ 18)
    for id = 1, 3 do raw:request(id, "hi", text) end
    for id = 1, 3 do
      local answer = raw:next()
      assert.equal(id, answer[2])
      assert.is_true(answer[4][1] == text)
    end
  end)

  it("sends what is unsent before it closes", function()
    local raw = connect(start())
    raw:request(1, "bytes", 8000000)
    raw:request(2, "close", "bye")
    raw:request(3, "hi")
    assert.equal(8000000, #raw:next()[4])
    assert.same({ "bye" }, raw:next()[4])
    assert.is_nil(raw:next())
    assert.equal(2, server:counts().frames)
    raw.socket:close()
    assert.is_true(eventually(function() return server:counts().closed == 1 end))
  end)

  it("closes a connection whose peer never closes its side", function()
    local raw = connect(start())
    raw:request(1, "close")
    assert.equal(1, raw:next()[2])
    assert.is_true(eventually(function() return server:counts().closed == 1 end))
    raw.socket:close()
  end)

  describe("listening", function()
    local function fails(options, code, pattern)
      local other, message, name = echo.start(options)
      if other then other:stop() end
      assert.is_nil(other)
      assert.equal(code, name)
      assert.matches(pattern, message)
    end

    it("says that an address is in use", function()
      start()
      fails({ address = server.address }, "FAILED_PRECONDITION", "127.0.0.1:%d+: address already in use")
    end)

    it("names what is wrong with an address", function()
      fails({ address = "127.0.0.1" }, "INVALID_ARGUMENT", "neither HOST:PORT nor a path")
      fails({ address = "127.0.0.1:70000" }, "INVALID_ARGUMENT", "port \"70000\"")
      fails({ address = "127.0.0.1:-1" }, "INVALID_ARGUMENT", "port \"%-1\"")
      fails({ address = "example.org:80" }, "INVALID_ARGUMENT", "\"example.org\" is no IP address")
      fails({ address = "192.0.2.1:0" }, "INVALID_ARGUMENT", "192.0.2.1:0: address not available")
      fails({ address = "/nonexistent/x.sock" }, "NOT_FOUND", "/nonexistent/x.sock: folder: No such file")
      fails({ address = "/tmp/" .. ("x"):rep(120) }, "INVALID_ARGUMENT", "path of 125 bytes")
    end)

    it("names a limit that makes no sense", function()
      fails({ depth = 1000 }, "INVALID_ARGUMENT", "limits.depth: 1000")
      fails({ in_flight = 0 }, "INVALID_ARGUMENT", "limits")
    end)

    it("gives a Unix socket to its owner only, and removes it at the end", function()
      local path = temporary.path()
      start { address = path }
      local handle = io.popen("stat -c %a " .. path)
      assert.equal("600", handle:read "*l")
      handle:close()
      server:stop()
      assert.is_false(exists(path))
    end)

    it("replaces a stale Unix socket, but neither a live one nor a file", function()
      local path = temporary.path()
      -- A process that ends without removing its socket's file.
      os.execute(("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"%s\")'"):format(path))
      assert.is_true(exists(path))
      start { address = path }
      local raw = connect(server)
      raw:request(1, "hi")
      assert.equal(1, raw:next()[2])
      fails({ address = path }, "FAILED_PRECONDITION", "already in use")
      raw:request(2, "hi")
      assert.equal(2, raw:next()[2])
      server:stop()
      local file = assert(io.open(path, "w"))
      file:write "precious"
      file:close()
      fails({ address = path }, "FAILED_PRECONDITION", "not a socket")
      assert.is_true(exists(path))
      os.remove(path)
    end)
  end)
end)
