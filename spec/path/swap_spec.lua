-- Five models, a device that holds two: outputs are the same to the bit as with all of them resident.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"
local random = require "spec.support.random"
local is_sanitized = require "spec.support.sanitizer"

local MODELS, WIDTH, LAYERS = 5, 768, 4
local REQUESTS = is_sanitized and 50 or 150

local function serve(memory)
  local running = node.start { devices = { { kind = "host", memory = memory } } }
  local c = running:connect()
  for i = 1, MODELS do
    assert(c:call("function.deploy", {
      name = "m" .. i, source = "return { models = { net = 'm.onnx' } }",
      models = { net = { data = client.bin(nets.mlp(i, WIDTH, LAYERS)) } },
    }))
  end
  return running, c
end

local function ask(c, model, seed)
  return c:send("invoke", "m" .. model, client.tensor("FP32", { 1, WIDTH }, nets.row(seed, WIDTH)))
end

-- The outputs of REQUESTS requests over the models in a seeded order, `width` of them in flight.
local function outputs(c, width)
  local next_random = random(42)
  local results, window = {}, {}
  for i = 1, REQUESTS do
    window[#window + 1] = { i, ask(c, next_random(MODELS), i) }
    if #window == width or i == REQUESTS then
      for _, asked in ipairs(window) do results[asked[1]] = tostring(assert(asked[2]:wait()).y.data) end
      window = {}
    end
  end
  return results
end

local function resident_models(c)
  local count = 0
  for _, model in ipairs(assert(c:call "model.list")) do
    if model.devices[1].state == "resident" then count = count + 1 end
  end
  return count
end

describe("swapping", function()
  local expected

  setup(function()
    local running, c = serve "256M"
    expected = outputs(c, 1)
    assert.equal(MODELS, resident_models(c))
    assert.equal(0, running:stop())
  end)

  for _, width in ipairs { 1, 16 } do
    it("gives bit-identical outputs with room for two of five models, " .. width .. " in flight", function()
      -- 9 MiB of parameters each, in 2 MiB units, and room for a job's tensors.
      local running, c = serve "26M"
      assert.same(expected, outputs(c, width))
      assert.is_true(resident_models(c) <= 2)
      local device = assert(c:call "node.status").devices[1]
      assert.is_true(device.used_bytes <= device.memory_bytes)
      -- With jobs waiting, models are brought while others run.
      assert.equal(width > 1, device.prefetches > 0)
      assert.is_true(device.loads > device.prefetches)
      assert.equal(0, running:stop())
    end)
  end

  it("trims a model to a prefix on request, and brings the rest back", function()
    local running, c = serve "256M"
    local want = tostring(assert(ask(c, 1, 7):wait()).y.data)
    local function model()
      for _, each in ipairs(assert(c:call "model.list")) do
        if each.name == "m1/m" or each.name == "m1/net" then return each end
      end
    end
    local name, whole = model().name, model().devices[1].bytes
    local freed = assert(c:call("model.trim", { name = name, device = 0, keep = 1 }))
    assert.equal("partial", model().devices[1].state)
    assert.equal(1, model().devices[1].groups)
    assert.equal(whole, freed + model().devices[1].bytes)
    assert.equal(want, tostring(assert(ask(c, 1, 7):wait()).y.data))
    assert.equal("resident", model().devices[1].state)
    local _, message, code = c:call("model.trim", { name = name, device = 1 })
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("device", message)
    _, _, code = c:call("model.trim", { name = "nobody" })
    assert.equal("NOT_FOUND", code)
    assert.equal(0, running:stop())
  end)

  -- Tensors of requests lie in an extent that stays, and grows where there is room: here in the middle of the memory.
  it("moves the extent of requests' tensors out of a large model's way", function()
    local SMALL, LARGE, ROWS = 1100, 1800, 400
    local running = node.start { devices = { { kind = "host", memory = "18M" } } }
    local c = running:connect()
    for name, width in pairs { small = SMALL, large = LARGE } do
      assert(c:call("function.deploy", {
        name = name, source = "return { models = { net = 'm.onnx' } }",
        models = { net = { data = client.bin(nets.mlp(1, width, 1)) } },
      }))
    end
    local function invoke(name, rows, width)
      return c:invoke(name, client.tensor("FP32", { rows, width }, nets.row(1, width):rep(rows)))
    end
    local want = tostring(assert(invoke("large", 1, LARGE)).y.data)
    assert(invoke("small", 1, SMALL))
    assert(invoke("small", ROWS, SMALL))
    assert.equal(want, tostring(assert(invoke("large", 1, LARGE)).y.data))
    assert.equal(0, running:stop())
  end)

  it("says so when a model can never fit", function()
    local running, c = serve "6M"
    local result, message, code = ask(c, 1, 1):wait()
    assert.is_nil(result)
    assert.equal("RESOURCE_EXHAUSTED", code)
    assert.matches("no memory for the job", message)
    assert(c:call "node.status")
    assert.equal(0, running:stop())
  end)
end)
