-- Management methods over the real binary: who may call them, and what they tell.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"

local SUM = "return { models = { net = 'sum.onnx' } }"

local function sum_model() return { net = { data = client.bin(nets.sum()) } } end

describe("methods", function()
  local running, c

  setup(function()
    running = node.start()
    c = running:connect()
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  it("tell what the node offers", function()
    local info = assert(c:call "api_info")
    local methods = {}
    for _, method in ipairs(info.methods) do methods[method.name] = method.help end
    for _, name in ipairs {
      "hello", "api_info", "invoke", "cancel", "function.deploy", "function.remove", "function.list", "function.stats",
      "function.logs", "model.load", "model.unload", "model.list", "policy.load", "policy.list", "policy.current",
      "node.status", "watch",
    } do
      assert.is_true(#methods[name] > 10, name)
    end
    assert.equal(8, info.errors.RESOURCE_EXHAUSTED)
  end)

  it("load, list and unload models that functions name", function()
    local model = assert(c:call("model.load", { name = "shared", data = client.bin(nets.mlp(5, 16, 1)) }))
    assert.equal("shared", model.name)
    assert.same({ -1, 16 }, model.inputs[1].shape)
    assert(c:call("function.deploy", { name = "user", source = "return { models = { net = 'shared' } }" }))
    local _, message, code = c:call("model.unload", "shared")
    assert.equal("FAILED_PRECONDITION", code)
    assert.matches("1 functions use it", message)
    assert(c:invoke("user", client.tensor("FP32", { 1, 16 }, nets.row(1, 16))))
    assert(c:call("function.remove", "user"))
    assert.is_true(c:call("model.unload", "shared"))
    assert.same({}, c:call "model.list")
  end)

  it("share one import between functions that bring the same file", function()
    for i = 1, 3 do assert(c:call("function.deploy", { name = "s" .. i, source = SUM, models = sum_model() })) end
    local list = c:call "model.list"
    assert.equal(1, #list)
    assert.equal(3, list[1].users)
    for i = 1, 3 do assert(c:call("function.remove", "s" .. i)) end
  end)

  it("count a function's requests, errors and time", function()
    assert(c:call("function.deploy", {
      name = "f",
      source = "return { slo = { percentile = 98, ms = 50 }, handler = function(_, x) assert(x) return x end }",
    }))
    for _ = 1, 5 do assert(c:invoke("f", true)) end
    assert.is_nil((c:invoke("f", false)))
    local stats = assert(c:call("function.stats", "f"))
    assert.equal(6, stats.requests)
    assert.equal(1, stats.errors)
    assert.equal(98, stats.slo_percentile)
    assert.equal(50, stats.slo_ms)
    assert.is_true(stats.p50_ms > 0 and stats.p98_ms >= stats.p50_ms)
    assert.equal(stats.in_time / 6 * 100, stats.in_time_percent)
    assert.is_true(stats.in_time <= 5 and not stats.complies)
    assert.equal(0, stats.refused)
  end)

  it("keep what handlers log", function()
    assert(c:call("function.deploy", {
      name = "logs", source = "return { handler = function(_, x) print('seen', x) return x end }",
    }))
    assert(c:invoke("logs", 7))
    local lines = assert(c:call("function.logs", "logs"))
    assert.matches("seen%s+7", lines[#lines])
  end)

  it("notify those who watch", function()
    local watcher, events = running:connect(), {}
    watcher:on("event", function(event) events[#events + 1] = event end)
    assert.is_true(watcher:call "watch")
    assert(c:call("function.deploy", { name = "w", source = "return { handler = function() end }" }))
    for _ = 1, 50 do
      if #events > 0 then break end
      watcher:poll(0.1)
    end
    assert.equal("function_deployed", events[1].kind)
    assert.equal("w", events[1].name)
    watcher:close()
  end)
end)

describe("a node with a token", function()
  local running

  setup(function() running = node.start { token = "secret" } end)

  teardown(function() assert.equal(0, running:stop()) end)

  it("answers TCP clients that present it, and no others", function()
    local stranger = client.connect(running.tcp)
    if stranger then
      local _, message, code = stranger:call "node.status"
      assert.equal("UNAUTHENTICATED", code)
      assert.matches("hello", message)
      _, _, code = stranger:call("hello", { token = "wrong" })
      assert.equal("UNAUTHENTICATED", code)
      stranger:close()
    end
    local known = assert(client.connect(running.tcp, { token = "secret" }))
    assert(known:call "node.status")
    known:close()
  end)

  it("trusts who may open its Unix socket", function() assert(running:connect():call "node.status") end)
end)
