-- Bytes that no client should send, and models that no exporter writes: a clear error each, and the node goes on.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local random = require "spec.support.random"
local socket = require "tidepool.client.socket"

describe("hostile input", function()
  local running, c

  setup(function()
    running = node.start()
    c = running:connect()
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  local function serves() assert.equal("tidepool", assert(c:call("hello", {})).server) end

  local function send(bytes)
    local s = assert(socket.connect(running.address))
    s:send(bytes)
    s:close()
  end

  it("on the socket ends that connection only", function()
    send "\193"
    send(("\145"):rep(5000))
    send "\198\255\255\255\255"
    send "GET / HTTP/1.1\r\n\r\n"
    local next_random = random(1)
    for _ = 1, 200 do
      local bytes = {}
      for i = 1, next_random(64) do bytes[i] = string.char(next_random(256) - 1) end
      send(table.concat(bytes))
    end
    serves()
  end)

  it("as an ONNX file is refused with a reason", function()
    local good = nets.mlp(1, 16, 2)
    for length = 0, #good - 1, 97 do
      local result, message = c:call("model.load", { name = "cut", data = client.bin(good:sub(1, length)) })
      assert.is_nil(result)
      assert.is_true(#message > 10)
    end
    local next_random = random(7)
    for _ = 1, 60 do
      local at = next_random(#good)
      local bad = good:sub(1, at - 1) .. string.char(next_random(256) - 1) .. good:sub(at + 1)
      if c:call("model.load", { name = "bent", data = client.bin(bad) }) then c:call("model.unload", "bent") end
    end
    serves()
  end)

  it("as parameters is refused with the field's name", function()
    for _, case in ipairs {
      { "function.deploy", {}, "source" },
      { "function.deploy", { source = 3 }, "source" },
      { "function.deploy", { source = "return { handler = function() end }", name = "../up" }, "name" },
      { "function.deploy", { source = "return {}", name = "x", extra = 1 }, "extra" },
      { "function.deploy", "text", "function.deploy" },
      { "model.load", { name = "m" }, "path, data" },
      { "model.load", { name = "m", path = "relative.onnx" }, "not absolute" },
      { "model.load", { name = "m", path = "/nowhere.onnx" }, "/nowhere.onnx" },
      { "model.unload", "none", "none" },
      { "policy.load", { name = "p" }, "source" },
      { "cancel", "x", "id" },
    } do
      local result, message = c:call(case[1], case[2])
      assert.is_nil(result)
      assert.is_truthy(message:find(case[3], 1, true), message)
    end
    serves()
  end)
end)
