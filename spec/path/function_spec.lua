-- Functions with handlers, over the real binary.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"

local HANDLERS = {
  echo = "return { handler = function(_, req) return req end }",
  fail = "return { handler = function() error 'this is wrong' end }",
  spin = "return { limits = { timeout_ms = 300 }, handler = function() while true do end end }",
  hang = "return { handler = function() print 'hangs' while true do end end }",
  net = [[
    local tide = require "tidepool"
    return {
      models = { net = "mlp.onnx" },
      handler = function(ctx, req)
        local x = tide.tensor("FP32", { 1, 16 }, req.x)
        local y = ctx.models.net(x)
        local p = y:softmax(-1)
        return { y = y:get():totable(), p = p:get():totable() }
      end,
    }]],
  wrong_shape = [[
    local tide = require "tidepool"
    return {
      models = { net = "mlp.onnx" },
      handler = function(ctx)
        local y = ctx.models.net(tide.tensor("FP32", { 1, 3 }, { 1, 2, 3 }))
        local ok, message = pcall(function() return y:get() end)
        return { ok = ok, message = tostring(message) }
      end,
    }]],
}

describe("a function with a handler", function()
  local running, c

  local function deploy(name, source, models)
    return c:call("function.deploy", { name = name, source = source, chunk = name .. ".lua", models = models })
  end

  setup(function()
    running = node.start()
    c = running:connect()
    local mlp = { net = { data = client.bin(nets.mlp(1, 16, 2)) } }
    for name, source in pairs(HANDLERS) do
      assert(deploy(name, source, source:find "mlp.onnx" and mlp or nil))
    end
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  it("gets what the client sent and answers with what it returns", function()
    for _, value in ipairs { 1, "text", true, 1.5, { 1, 2, 3 }, { a = { b = "c" } } } do
      assert.same(value, (c:invoke("echo", value)))
    end
  end)

  it("runs its model and operators on the device, the same as the core alone", function()
    local mlp = { net = { data = client.bin(nets.mlp(1, 16, 2)) } }
    assert(deploy("bare", "return { models = { net = 'mlp.onnx' } }", mlp))
    local row = client.to_list(client.tensor("FP32", { 16 }, nets.row(5, 16)))
    local bare = client.to_list(assert(c:invoke("bare", client.tensor("FP32", { 1, 16 }, row))).y)
    local result = assert(c:invoke("net", { x = row }))
    local got = type(result.y[1]) == "table" and result.y[1] or result.y
    assert.same(bare, got)
    local sum, p = 0, type(result.p[1]) == "table" and result.p[1] or result.p
    for _, share in ipairs(p) do sum = sum + share end
    assert.is_true(math.abs(sum - 1) < 1e-5)
  end)

  it("runs operators whose shapes come from values, in chains", function()
    assert(deploy("ops", [[
      local tide = require "tidepool"
      return { handler = function()
        local x = tide.tensor("FP32", { 2, 3 }, { 1, 2, 3, 4, 5, 6 })
        return {
          flat = x:reshape({ 3, -1 }):get():totable(),
          second = x:slice({ 1 }, { 2 }):get():totable(),
          sums = x:sum(1):get():totable(),
          turned = x:transpose({ 1, 0 }):reshape({ 6 }):get():totable(),
          product = x:matmul(x:transpose({ 1, 0 })):get():totable(),
          scaled = (x * 2 + 1):reshape({ 6 }):get():totable(),
        }
      end }]]))
    local result = assert(c:invoke("ops", nil))
    local function flat(value, into)
      into = into or {}
      if type(value) ~= "table" then into[#into + 1] = value return into end
      for _, item in ipairs(value) do flat(item, into) end
      return into
    end
    assert.same({ 1, 2, 3, 4, 5, 6 }, flat(result.flat))
    assert.same({ 4, 5, 6 }, flat(result.second))
    assert.same({ 6, 15 }, flat(result.sums))
    assert.same({ 1, 4, 2, 5, 3, 6 }, flat(result.turned))
    assert.same({ 14, 32, 32, 77 }, flat(result.product))
    assert.same({ 3, 5, 7, 9, 11, 13 }, flat(result.scaled))
  end)

  it("reads every NaN of a client's as a number", function()
    assert(deploy("nans", [[
      local tide = require "tidepool"
      return { handler = function(_, req)
        local t = tide.tensor("FP32", { 2 }, req):get()
        return { type(t[1]), t[1] ~= t[1], t[2] }
      end }]]))
    assert.same({ "number", true, 1.5 }, (c:invoke("nans", client.bin "\255\255\255\255\0\0\192\63")))
  end)

  it("can catch the error of a call", function()
    local result = assert(c:invoke("wrong_shape", nil))
    assert.is_false(result.ok)
    assert.matches("x", result.message)
  end)

  it("that raises gives the client its error, with file and line", function()
    local result, message = c:invoke("fail", nil)
    assert.is_nil(result)
    assert.matches("fail.lua:1: this is wrong", message)
  end)

  it("that does not end is ended, and its neighbours are served", function()
    local spinning = c:send("invoke", "spin", client.null)
    for i = 1, 20 do assert.equal(i, (c:invoke("echo", i))) end
    local result, message, code = spinning:wait()
    assert.is_nil(result)
    assert.equal("DEADLINE_EXCEEDED", code)
    assert.matches("spin", message)
    assert.equal("still here", (c:invoke("echo", "still here")))
  end)

  it("whose worker is killed fails that request, says so, and serves the next", function()
    local pending = c:send("invoke", "hang", client.null)
    local runs
    for _ = 1, 100 do
      os.execute "sleep 0.01"
      runs = c:call("function.logs", "hang")[1]
      if runs then break end
    end
    assert.equal("hangs", runs)
    -- Of the node's child, the zygote's keeper, the child is the zygote, and the newest of its children is this worker.
    os.execute(("pkill -9 -n -P $(pgrep -P $(pgrep -P %d))"):format(running.pid))
    local result, message, code = pending:wait()
    assert.is_nil(result)
    assert.equal("UNAVAILABLE", code)
    assert.matches("killed by signal 9", message)
    assert.equal("next", (c:invoke("echo", "next")))
  end)

  it("is served again when the zygote's keeper was killed, and everything below it", function()
    local function keeper()
      local pipe = io.popen(("pgrep -P %d tidepool-keeper"):format(running.pid))
      local text = pipe:read "*a"
      pipe:close()
      return text:match "%d+"
    end
    for round = 1, 2 do
      local killed = keeper()
      os.execute("kill -9 " .. killed)
      -- What was below it may answer until it is gone too.
      for _ = 1, 200 do
        local now = keeper()
        if now and now ~= killed then break end
        os.execute "sleep 0.05"
      end
      local answer, message
      for _ = 1, 100 do
        answer, message = c:invoke("echo", round)
        if answer then break end
        assert.matches("^UNAVAILABLE", message)
        os.execute "sleep 0.05"
      end
      assert.equal(round, answer, message)
    end
    -- In the same namespaces, behind the same filter.
    if not c:call("node.status").isolation:find "sanitizer" then
      assert.matches("seccomp", c:call("node.status").isolation)
    end
  end)

  it("is replaced, and a script that cannot be is refused with its place", function()
    assert.equal(1, assert(deploy("v", "return { handler = function() return 1 end }")).generation)
    assert.equal(1, (c:invoke "v"))
    assert.equal(2, assert(deploy("v", "return { handler = function() return 2 end }")).generation)
    assert.equal(2, (c:invoke "v"))
    local result, message, code = deploy("v", "return {\n  handler = function( return 3 end }")
    assert.is_nil(result)
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("v.lua:2:", message)
    assert.equal(2, (c:invoke "v"))
    result, message = deploy("v", "return { handler = 3 }")
    assert.is_nil(result)
    assert.matches("handler", message)
    assert.equal(2, (c:invoke "v"))
  end)

  it("is removed", function()
    assert(deploy("gone", "return { handler = function() return 1 end }"))
    assert.is_true(c:call("function.remove", "gone"))
    local _, _, code = c:invoke "gone"
    assert.equal("NOT_FOUND", code)
    _, _, code = c:call("function.remove", "gone")
    assert.equal("NOT_FOUND", code)
  end)

  it("names the model or file that did not come along", function()
    local result, message = deploy("m", "return { models = { net = 'x.onnx' }, handler = function() end }")
    assert.is_nil(result)
    assert.matches("models.net: 'x.onnx'", message)
    result, message = deploy("m", "return { files = { labels = 'l.txt' }, handler = function() end }")
    assert.is_nil(result)
    assert.matches("files.labels: 'l.txt'", message)
  end)

  it("obeys a deadline and a cancel", function()
    local result, _, code = c:invoke("spin", nil, { timeout_us = 20000 })
    assert.is_nil(result)
    assert.equal("DEADLINE_EXCEEDED", code)
    local pending = c:send("invoke", "spin", client.null)
    assert.is_true(c:call("cancel", pending.id))
    result, _, code = pending:wait()
    assert.is_nil(result)
    assert.equal("CANCELLED", code)
  end)
end)
