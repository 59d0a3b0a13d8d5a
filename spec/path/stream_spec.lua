-- Answers in parts, over the real binary.
local client = require "tidepool.client"
local node = require "spec.support.node"
local socket = require "tidepool.client.socket"

describe("ctx:send", function()
  local running, c

  local function handler(name, body, limits)
    local source = ("return { limits = { %s }, handler = function(ctx, req) %s end }"):format(limits or "", body)
    return assert(c:call("function.deploy", { name = name, source = source, chunk = name .. ".lua" }))
  end

  setup(function()
    running = node.start { limits = { unsent = "64K" } }
    c = running:connect()
    handler("count", "for i = 1, req do ctx:send(i) end return 'done'")
    handler("endless", "local i = 0 while true do i = i + 1 ctx:send(('x'):rep(1000)) end")
    handler("echo", "return req")
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  it("brings parts in order, then the result", function()
    local stream, got = c:stream("count", 1000), {}
    for part in stream do got[#got + 1] = part end
    assert.equal("done", (stream:result()))
    assert.equal(1000, #got)
    for i = 1, 1000 do assert.equal(i, got[i]) end
  end)

  it("several at once on one connection, each with its own", function()
    local streams = {}
    for i = 1, 8 do streams[i] = c:stream("count", 100 * i) end
    for i = 1, 8 do
      local count = 0
      for _ in streams[i] do count = count + 1 end
      assert.equal(100 * i, count)
      assert.equal("done", (streams[i]:result()))
    end
  end)

  it("is a plain notification, which clients that know nothing of it skip", function()
    local seen = {}
    c:on("stream", function(id, value) seen[#seen + 1] = { type(id), value } end)
    assert.equal("done", (c:invoke("count", 2)))
    assert.same({ { "number", 1 }, { "number", 2 } }, seen)
    c:on("stream", nil)
    assert.equal("done", (c:invoke("count", 2)))
  end)

  it("carries tables, bytes, nil and tensors", function()
    handler("kinds", [[
      local tide = require "tidepool"
      ctx:send { a = { 1, 2 } }
      ctx:send(tide.bin "bytes")
      ctx:send(nil)
      ctx:send { t = tide.tensor("FP32", { 2 }, { 1, 2 }) }
      return 1]])
    local stream, got = c:stream("kinds", 1), {}
    for part in stream do got[#got + 1] = part end
    assert.same({ a = { 1, 2 } }, got[1])
    assert.equal("bytes", got[2])
    assert.is_true(got[3] == client.null)
    assert.same({ 1, 2 }, client.to_list(got[4].t))
  end)

  it("waits for a client that does not read", function()
    local slow = running:connect()
    local stream = slow:stream("endless", 1)
    assert.equal(1000, #stream())
    local function parts_sent() return assert(c:call("function.stats", "endless")).requests_in_workers end
    os.execute "sleep 0.3"
    assert.equal(1, parts_sent())
    local status = io.open(("/proc/%d/status"):format(running.pid)):read "*a"
    local before = tonumber(status:match "VmRSS:%s+(%d+)")
    os.execute "sleep 0.3"
    status = io.open(("/proc/%d/status"):format(running.pid)):read "*a"
    assert.is_true(tonumber(status:match "VmRSS:%s+(%d+)") - before < 4096)
    -- It goes on as soon as there is room: far more than what was held back comes through.
    for _ = 1, 20000 do assert.equal(1000, #stream()) end
    assert.is_true(stream:cancel())
    slow:close()
    assert.equal("still", (c:invoke("echo", "still")))
  end)

  it("stops when the client cancels, or goes", function()
    local stream = c:stream("endless", 1)
    assert.equal(1000, #stream())
    assert.is_true(stream:cancel())
    assert.equal("CANCELLED", select(3, stream:result()))
    local leaving = running:connect()
    assert.equal(1000, #leaving:stream("endless", 1)())
    leaving:close()
    local deadline = socket.now() + 10
    repeat
      os.execute "sleep 0.02"
      local left = assert(c:call("function.stats", "endless")).requests_in_workers
    until left == 0 or socket.now() > deadline
    assert.equal(0, assert(c:call("function.stats", "endless")).requests_in_workers)
  end)

  it("is refused where nobody takes it, and where a part is too long", function()
    handler("inner", "ctx:send(1) return 1")
    handler("outer", "return ctx.call('inner', 1):get()")
    assert.matches("FAILED_PRECONDITION: ctx:send: whoever called takes no stream", select(2, c:invoke("outer", 1)))
    handler("long", "ctx:send(('x'):rep(5000)) return 1", "reply_kb = 4")
    assert.matches("RESOURCE_EXHAUSTED: .*a part has 5003 bytes, the limit is 4096", select(2, c:invoke("long", 1)))
  end)
end)
