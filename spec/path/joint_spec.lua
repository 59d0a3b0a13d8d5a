-- Batching on a real node: requests that run together answer as they would alone, and end as they would alone.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local onnx = require "spec.support.onnx"

local WIDTH = 64
-- Rounds of requests after which a number of rows must have its program.
local ROUNDS = 400

-- y[n, 4] = table[i[n]], a table of 16 rows: an index that it has not is an error.
local function lookup()
  local values = {}
  for i = 1, 64 do values[i] = i end
  return onnx.model { graph = {
    nodes = { onnx.node("Gather", { "table", "i" }, { "y" }) },
    initializers = { onnx.tensor { name = "table", dims = { 16, 4 }, raw = onnx.pack("float", values) } },
    inputs = { onnx.value("i", { "n" }, onnx.INT64) }, outputs = { onnx.value("y", { "n", 4 }) },
  } }
end

describe("batching", function()
  local running, c

  local function deploy(name, data, source, models)
    return c:call("function.deploy", { name = name, source = source,
      models = models or { net = { data = client.bin(data) } } })
  end

  setup(function()
    running = node.start()
    c = running:connect()
    local mlp = nets.mlp(1, WIDTH, 2)
    assert(deploy("alone", mlp, "return { models = { net = 'm.onnx' } }"))
    assert(deploy("joined", mlp, "return { models = { net = 'm.onnx' }, batch = { max = 4, window_ms = 30 } }"))
    assert(deploy("rows", lookup(), "return { models = { net = 'm.onnx' }, batch = { max = 8, window_ms = 30 } }"))
    assert(deploy("handled", mlp, [[
      local tide = require "tidepool"
      return {
        models = { net = "m.onnx" }, batch = { max = 4, window_ms = 30 }, limits = { concurrency = 16 },
        handler = function(ctx, req)
          local x = tide.tensor(req)
          local y = ctx.models.net(x)
          local p = y:softmax(-1)
          local sum = p:sum():get()
          return { sum = sum:item(), y = y:get(), again = (x + y):get() }
        end,
      }]]))
  end)

  teardown(function() assert.equal(0, running:stop()) end)

  local function stats(name) return assert(c:call("function.stats", name)).batch end

  local function row(seed) return client.tensor("FP32", { 1, WIDTH }, nets.row(seed, WIDTH)) end

  -- Ask for all values at once; what came, in their order.
  local function ask(name, values, options)
    local pending, answers = {}, {}
    c:batch(function()
      for i, value in ipairs(values) do pending[i] = c:send("invoke", name, value, options) end
    end)
    for i, each in ipairs(pending) do answers[i] = { each:wait() } end
    return answers
  end

  -- Ask until so many requests ran together, whose programs are compiled aside.
  local function ask_until(name, values, largest)
    for _ = 1, ROUNDS do
      local answers = ask(name, values)
      if stats(name).largest >= largest then return answers end
    end
    error(("%s: at most %d ran together"):format(name, stats(name).largest))
  end

  local function rows_of(first, count)
    local values = {}
    for i = 1, count do values[i] = row(first + i) end
    return values
  end

  local function assert_near(want, got)
    want, got = client.to_list(want), client.to_list(got)
    assert.equal(#want, #got)
    for i = 1, #want do assert.is_near(want[i], got[i], 1e-5) end
  end

  it("gives each request its own rows of a run", function()
    ask_until("joined", rows_of(0, 4), 4)
    local before = stats "joined"
    local alone, joined = ask("alone", rows_of(10, 16)), ask("joined", rows_of(10, 16))
    for i = 1, 16 do
      assert.same({ 1, WIDTH }, joined[i][1].y.shape)
      assert_near(alone[i][1].y, joined[i][1].y)
    end
    local after = stats "joined"
    assert.equal(4, after.largest)
    assert.is_true(after.requests >= before.requests + 8)
    assert.is_true(after.runs > before.runs)
    assert.equal(0, after.undone)
  end)

  it("puts requests of several rows together", function()
    local values = {}
    for i = 1, 3 do values[i] = client.tensor("INT64", { i }, ({ { 0 }, { 2, 15 }, { 3, 15, 0 } })[i]) end
    local answers = ask_until("rows", values, 3)
    assert.same({ 2, 4 }, answers[2][1].y.shape)
    assert.same({ 9, 10, 11, 12, 61, 62, 63, 64 }, client.to_list(answers[2][1].y))
    assert.same({ 13, 14, 15, 16, 61, 62, 63, 64, 1, 2, 3, 4 }, client.to_list(answers[3][1].y))
  end)

  it("lets an error be of the request that made it", function()
    local good, values = {}, {}
    for i = 1, 3 do good[i] = client.tensor("INT64", { 1 }, { i }) end
    ask_until("rows", good, 3)
    for i = 1, 3 do values[i] = client.tensor("INT64", { 1 }, { i == 2 and 99 or i }) end
    local before = stats "rows"
    local answers = ask("rows", values)
    assert.same({ 5, 6, 7, 8 }, client.to_list(assert(answers[1][1]).y))
    assert.is_nil(answers[2][1])
    assert.equal("OUT_OF_RANGE", answers[2][3])
    assert.same({ 13, 14, 15, 16 }, client.to_list(assert(answers[3][1]).y))
    assert.equal(before.undone + 1, stats("rows").undone)
  end)

  it("runs what a handler does with a model's outputs by itself", function()
    local answers = ask_until("handled", rows_of(0, 4), 4)
    for i = 1, 4 do
      local alone, x = ask("alone", { row(i) })[1][1].y, client.to_list(row(i))
      local got = assert(answers[i][1])
      assert.is_near(1, got.sum, 1e-5)
      assert_near(alone, got.y)
      local y, again = client.to_list(alone), client.to_list(got.again)
      for k = 1, WIDTH do assert.is_near(x[k] + y[k], again[k], 1e-5) end
    end
  end)

  it("does not wait for more once as many are there as may be", function()
    ask_until("joined", rows_of(0, 4), 4)
    assert(deploy("patient", nets.mlp(1, WIDTH, 2),
      "return { models = { net = 'm.onnx' }, batch = { max = 2, window_ms = 10000 }, slo = { ms = 300 } }"))
    -- Alone, it waits no longer than its objective leaves it.
    local from = os.time()
    for i = 1, 3 do assert(ask("patient", { row(i) })[1][1]) end
    ask_until("patient", rows_of(0, 2), 2)
    assert.is_true(os.time() - from < 9)
  end)

  it("lets a request that is over leave", function()
    ask_until("joined", rows_of(0, 4), 4)
    local late = c:send("invoke", "joined", row(1), { timeout_us = 4000 })
    local stays = c:send("invoke", "joined", row(2))
    local _, _, code = late:wait()
    -- A deadline that the window would break ends the wait; whichever came first, the other request is not harmed.
    assert.is_true(code == nil or code == "DEADLINE_EXCEEDED")
    assert_near(ask("alone", { row(2) })[1][1].y, assert(stays:wait()).y)
    local other = running:connect()
    for i = 1, 3 do other:send("invoke", "joined", row(i)) end
    other:close()
    assert.is_truthy(ask("joined", { row(3) })[1][1])
  end)

  it("is refused for a model whose first dimension is closed", function()
    local result, message, code = deploy("closed", nets.mlp(1, 16, 1, 1),
      "return { models = { net = 'm.onnx' }, batch = { max = 4 } }")
    assert.is_nil(result)
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("models.net: input 'x' has 1 as its first dimension: batch needs an open one", message)
  end)

  it("is checked as all that a function declares", function()
    local function why(batch)
      local _, message = deploy("wrong", nets.mlp(1, 16, 1), "return { models = { net = 'm.onnx' }, batch = " .. batch
        .. " }")
      return message
    end
    assert.matches("batch.max: must be a whole number from 2 to 32", why "{ max = 1 }")
    assert.matches("batch.max", why "{ window_ms = 3 }")
    assert.matches("batch.window_ms: must be a number from 0", why "{ max = 2, window_ms = -1 }")
    assert.matches("batch.size", why "{ max = 2, size = 3 }")
  end)
end)
