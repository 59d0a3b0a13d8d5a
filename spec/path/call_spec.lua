-- Functions that call functions, over the real binary.
local client = require "tidepool.client"
local node = require "spec.support.node"

describe("ctx.call", function()
  local running, c

  local function deploy(name, source)
    return assert(c:call("function.deploy", { name = name, source = source, chunk = name .. ".lua" }))
  end

  local function handler(name, body, limits)
    return deploy(name, ("return { limits = { %s }, handler = function(ctx, req) %s end }"):format(limits or "", body))
  end

  setup(function()
    running = node.start()
    c = running:connect()
    handler("inc", "return req + 1")
    handler("sleep", "local till = os.clock() + 5 while os.clock() < till do end return 'slept'")
    handler("fails", "require('tidepool').error('NOT_FOUND', 'no ' .. req)")
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  it("answers, now or as part of the reply, however many there are", function()
    handler("several", [[
      local calls, sum = {}, 0
      for i = 1, req do calls[i] = ctx.call("inc", i) end
      for i = 1, req do sum = sum + calls[i]:get() end
      return { sum = sum, part = ctx.call("inc", 41), done = calls[1]:done(), none = ctx.call("none") }
    ]])
    handler("none", "return nil")
    local result = assert(c:invoke("several", 200))
    assert.same({ 20300, 42, true }, { result.sum, result.part, result.done })
    assert.is_true(result.none == client.null or result.none == nil)
  end)

  it("passes large values both ways", function()
    handler("size", "return { #req, req }")
    handler("large", "local r = ctx.call('size', ('x'):rep(req)):get() return r[1] + #r[2]")
    assert.equal(2 * 3000000, (c:invoke("large", 3000000)))
  end)

  it("raises the callee's error where it is waited for", function()
    handler("catches", [[
      local ok, problem = pcall(function() return ctx.call("fails", req):get() end)
      return { ok, problem.code, problem.message }
    ]])
    assert.same({ false, "NOT_FOUND", "no x" }, (c:invoke("catches", "x")))
    handler("passes", "return ctx.call('fails', req):get()")
    local _, message, code = c:invoke("passes", "y")
    assert.same({ "NOT_FOUND", "NOT_FOUND: no y" }, { code, message })
    handler("forgets", "ctx.call('fails', req) return 1")
    assert.equal("NOT_FOUND", select(3, c:invoke("forgets", "z")))
    handler("nobody", "return ctx.call('nowhere', 1):get()")
    assert.matches("NOT_FOUND: function 'nowhere': not deployed", select(2, c:invoke("nobody", 1)))
  end)

  it("does not keep clients waiting: another function's calls, however many, are one of several lanes", function()
    handler("counts", [[
      counted = (counted or 0) + 1
      local till = os.clock() + 0.003
      while os.clock() < till do end
      return counted
    ]], "workers_max = 1")
    handler("storm", [[
      local calls = {}
      for i = 1, 250 do calls[i] = ctx.call("counts", i) end
      ctx.call("counts", 0):get()
      for i = 1, 250 do calls[i]:get() end
      return "over"
    ]], "timeout_ms = 60000")
    assert(c:invoke("counts", 1))
    local storm = c:send("invoke", "storm", 1)
    local first = c:invoke("counts", 1)
    while first < 10 do first = c:invoke("counts", 1) end
    for _ = 1, 5 do
      local second = c:invoke("counts", 1)
      assert.is_false(storm.done)
      -- Four were before it on the ring; some more came while this client got round to ask again.
      assert.is_true(second - first <= 16, ("%d calls came before a client's"):format(second - first))
      first = second
    end
    assert.equal("over", (storm:wait(60)))
  end)

  it("says what is wrong with its parameters", function()
    handler("wrong", "local call = ctx.call(req, 1) return call")
    assert.matches("wrong.lua:1: ctx.call: function: must be a name, is 5", select(2, c:invoke("wrong", 5)))
    handler("wrong_time", "return ctx.call('inc', 1, { timeout_ms = -1 })")
    assert.matches("ctx.call: timeout_ms: must be a positive number, is %-1", select(2, c:invoke("wrong_time", 5)))
    handler("stolen", "kept = kept or ctx.call('inc', 1) return kept:get()")
    assert.equal(2, (c:invoke("stolen", 1)))
    assert.matches("belongs to another request", select(2, c:invoke("stolen", 1)))
  end)

  it("in a circle ends in an error that names the chain", function()
    handler("ping", "return ctx.call('pong', req):get()", "concurrency = 1, workers_max = 1")
    handler("pong", "return ctx.call('ping', req):get()", "concurrency = 1, workers_max = 1")
    local _, message, code = c:invoke("ping", 1)
    assert.equal("FAILED_PRECONDITION", code)
    assert.matches("more than 16 functions deep: ping → pong → ping → pong", message)
    handler("self", "return req == 0 and 'bottom' or ctx.call('self', req - 1):get()", "concurrency = 1")
    assert.equal("bottom", (c:invoke("self", 15)))
    assert.matches("more than 16", select(2, c:invoke("self", 16)))
  end)

  it("holds no place while it waits: many callers, one place each, and no deadlock", function()
    handler("a", "return req == 0 and 0 or ctx.call('b', req - 1):get() + 1", "concurrency = 1, workers_max = 1")
    handler("b", "return req == 0 and 0 or ctx.call('a', req - 1):get() + 1", "concurrency = 1, workers_max = 1")
    local requests = {}
    for i = 1, 100 do requests[i] = c:send("invoke", i % 2 == 0 and "a" or "b", 8) end
    for i = 1, 100 do assert.equal(8, assert(requests[i]:wait())) end
  end)

  it("a flood of calls is an error, not the node's end", function()
    handler("flood", "for i = 1, 1000 do ctx.call('inc', i) end return 1")
    assert.matches("more than 255 calls at once", select(2, c:invoke("flood", 1)))
    handler("tree", "local a, b = ctx.call('tree', 1), ctx.call('tree', 2) return { a:get(), b:get() }",
      "timeout_ms = 10000, concurrency = 100")
    local _, _, code = c:invoke("tree", 1, { timeout_us = 1000000 })
    assert.is_truthy(({ FAILED_PRECONDITION = true, RESOURCE_EXHAUSTED = true, DEADLINE_EXCEEDED = true })[code], code)
    assert.equal(2, (c:invoke("inc", 1)))
  end)

  it("ends with the caller's deadline, its own time, or the caller", function()
    handler("waits", "return ctx.call('sleep', 1, { timeout_ms = req }):get()")
    local _, _, code = c:invoke("waits", 100)
    assert.equal("DEADLINE_EXCEEDED", code)
    _, _, code = c:invoke("waits", 60000, { timeout_us = 100000 })
    assert.equal("DEADLINE_EXCEEDED", code)
    local pending = c:send("invoke", "waits", 60000)
    assert.is_true(pending:cancel())
    assert.equal("CANCELLED", select(3, pending:wait()))
    -- What they had called is stopped as well.
    local stats
    for _ = 1, 200 do
      stats = c:call("function.stats", "sleep")
      if stats.requests_in_workers == 0 then break end
      os.execute "sleep 0.02"
    end
    assert.equal(0, stats.requests_in_workers)
    assert.equal(2, (c:invoke("inc", 1)))
  end)

  it("counts in the callee's figures", function()
    handler("counted", "return 1")
    handler("counts", "return ctx.call('counted', 1):get()")
    for _ = 1, 3 do c:invoke("counts", 1) end
    assert.equal(3, c:call("function.stats", "counted").requests)
  end)
end)

describe("a caller that holds memory of a device", function()
  local running, c

  setup(function()
    running = node.start { devices = { { kind = "host", memory = "16M" } } }
    c = running:connect()
    local make = "local x = tide.zeros('FP32', { req.megabytes * 262144 }) local y = tide.tensor(x) + 1 "
    for name, body in pairs {
      callee = make .. "return y:get()[1]",
      caller = make .. "y:slice({ 0 }, { 1 }):get() return ctx.call('callee', { megabytes = req.callee }):get()",
    } do
      local source = "local tide = require 'tidepool' return { handler = function(ctx, req) " .. body .. " end }"
      assert(c:call("function.deploy", { name = name, chunk = name .. ".lua", source = source }))
    end
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  it("does not wait for a callee that waits for it", function()
    assert.equal(1, (c:invoke("caller", { megabytes = 1, callee = 1 })))
    local _, message, code = c:invoke("caller", { megabytes = 4, callee = 4 }, { timeout_us = 10000000 })
    assert.equal("RESOURCE_EXHAUSTED", code, message)
    assert.equal(1, (c:invoke("caller", { megabytes = 1, callee = 1 })))
  end)

  it("cannot have the node hold more than its own limit", function()
    assert(c:call("function.deploy", { name = "hoards", chunk = "hoards.lua", source = [[
      return { limits = { memory_mb = 64 }, handler = function(ctx)
        local big = ("x"):rep(2 ^ 23)
        for _ = 1, 20 do ctx.call("callee", big) end
      end }]] }))
    assert.equal("RESOURCE_EXHAUSTED", select(3, c:invoke("hoards", 1)))
  end)
end)

describe("a handler's time", function()
  local running, c

  setup(function()
    running = node.start()
    c = running:connect()
    assert(c:call("function.deploy", { name = "time", chunk = "time.lua", source = [[
      local tide = require "tidepool"
      return { limits = { timeout_ms = 5000 }, handler = function(ctx, req)
        return { ctx:remaining(), (ctx.deadline - tide.now()) * 1000 }
      end }]] }))
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  it("is its limit, or the client's deadline where that is sooner", function()
    for _, case in ipairs { { nil, 5000 }, { { timeout_us = 2000000 }, 2000 }, { { timeout_us = 60000000 }, 5000 } } do
      local result = assert(c:invoke("time", 1, case[1]))
      for i = 1, 2 do assert.is_true(result[i] > case[2] - 1500 and result[i] <= case[2], tostring(result[i])) end
    end
  end)
end)
