-- Clients that we did not write: python3-msgpack over a plain socket, and lua-mpack's Session.
local client = require "tidepool.client"
local json = require "tidepool.json"
local node = require "spec.support.node"
local session = require "spec.support.mpack_session"

local ECHO = "return { handler = function(_, req) return req end }"

local function hex(bytes)
  return (bytes:gsub(".", function(char) return ("%02x"):format(char:byte()) end))
end

-- What stock.py prints: the decoded answer. Debian's Python, since that is whose msgpack it is.
local function python(address, method, params)
  local command = "/usr/bin/python3 spec/support/stock.py '%s' '%s' '%s' 2>&1"
  local handle = io.popen(command:format(address, method, params))
  local text = handle:read "*a"
  handle:close()
  local answer = json.decode(text)
  assert(type(answer) == "table", text)
  return answer
end

describe("a stock client", function()
  local running

  setup(function()
    running = node.start()
    local c = running:connect()
    assert(c:call("function.deploy", { name = "echo", source = ECHO, chunk = "echo.lua" }))
    c:close()
  end)

  teardown(function() running:stop() end)

  describe("in Python", function()
    it("says hello and asks for the methods, over TCP and a Unix socket", function()
      for _, address in ipairs { running.tcp, running.address } do
        assert.equal("tidepool", python(address, "hello", "[]").result.server)
        local names = {}
        for _, method in ipairs(python(address, "api_info", "[]").result.methods) do names[method.name] = true end
        assert.is_true(names.hello and names.invoke and names["function.deploy"])
      end
    end)

    it("invokes a function with values of every kind", function()
      local value = '{"text": "é", "list": [1, -2, 2.5, true, null], "bytes": {"bin": "00ff10"}, "big": 1099511627776}'
      local result = python(running.tcp, "invoke", '["echo", ' .. value .. ', {"timeout_us": 5000000}]').result
      assert.equal("é", result.text)
      assert.same({ 1, -2, 2.5, true }, { unpack(result.list, 1, 4) })
      assert.equal(2 ^ 40, result.big)
    end)

    it("gets errors as an array of code, message and details", function()
      local failure = python(running.tcp, "invoke", '["nobody", null]').error
      assert.equal(5, failure[1])
      assert.matches("^NOT_FOUND: ", failure[2])
      failure = python(running.tcp, "no.such.method", "[]").error
      assert.equal(12, failure[1])
      assert.matches("^UNIMPLEMENTED: .*no%.such%.method", failure[2])
    end)
  end)

  describe("that is lua-mpack's Session", function()
    local stock

    before_each(function() stock = session.open(running.tcp) end)

    after_each(function() stock:close() end)

    it("says hello, asks for the methods and invokes", function()
      local failure, hello = stock:call("hello", {})
      assert.equal(stock.NIL, failure)
      assert.equal("tidepool", hello.server)
      local _, info = stock:call("api_info", {})
      assert.is_true(#info.methods > 5)
      local wrong, result = stock:call("invoke", { "echo", { x = { 1, 2, "three" } } })
      assert.equal(stock.NIL, wrong)
      assert.same({ x = { 1, 2, "three" } }, result)
    end)

    it("gets errors", function()
      local failure, result = stock:call("invoke", { "nobody", 1 })
      assert.equal(stock.NIL, result)
      assert.equal(5, failure[1])
      assert.matches("^NOT_FOUND: ", failure[2])
    end)

    it("has many requests under way at once", function()
      for i = 1, 100 do stock:send(i, "invoke", { "echo", i }) end
      local seen = {}
      for _ = 1, 100 do
        local kind, tag, failure, result = stock:receive()
        assert.equal("response", kind)
        assert.equal(stock.NIL, failure)
        assert.equal(tag, result)
        seen[tag] = true
      end
      for i = 1, 100 do assert.is_true(seen[i]) end
    end)
  end)

  it("is served the same tensor as our own client", function()
    local tensor = client.tensor("FP32", { 2 }, { 1.5, -2 })
    local ours = running:connect()
    local answer = assert(ours:invoke("echo", tensor))
    ours:close()
    assert.same({ 1.5, -2 }, client.to_list(answer))
    local bytes = hex(tensor.data[1])
    local result = python(running.address, "invoke",
      ('["echo", {"datatype": "FP32", "shape": [2], "data": {"bin": "%s"}}]'):format(bytes)).result
    assert.equal("FP32", result.datatype)
    assert.same({ 2 }, result.shape)
  end)
end)
