-- Where models stand: disk, host, loading, partial, resident, failed; shown, counted and told to who watches.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"

local MODELS, WIDTH, LAYERS = 3, 768, 4
-- An image of 9 MiB.
local IMAGE = LAYERS * WIDTH * WIDTH * 4

describe("a model", function()
  local running, c

  local function serve(config)
    running = node.start(config)
    c = running:connect()
    for i = 1, MODELS do
      assert(c:call("function.deploy", {
        name = "m" .. i, source = "return { models = { net = 'm.onnx' } }",
        models = { net = { data = client.bin(nets.mlp(i, WIDTH, LAYERS)) } },
      }))
    end
  end

  after_each(function() assert.equal(0, running:stop()) end)

  local function ask(model)
    return c:call("invoke", "m" .. model, client.tensor("FP32", { 1, WIDTH }, nets.row(model, WIDTH)))
  end

  local function describe_model(name)
    for _, model in ipairs(assert(c:call "model.list")) do
      if model.name == name .. "/net" then return model.devices[1] end
    end
  end

  local function wait_until_kept()
    for _ = 1, 600 do
      local writing = false
      for _, model in ipairs(assert(c:call "model.list")) do writing = writing or model.image == "writing" end
      if not writing then return end
      os.execute "sleep 0.05"
    end
    error "the images are not on disk"
  end

  local function state(name) return describe_model(name).state end

  -- Details of the residency events that a connection gets, by model.
  local function watch()
    local watching, seen = running:connect(), {}
    watching:on("event", function(event)
      if event.kind ~= "residency" then return end
      seen[event.name] = seen[event.name] or {}
      table.insert(seen[event.name], (event.detail:gsub("^device 0: ", "")))
    end)
    assert(watching:call("watch", { residency = true }))
    return watching, seen
  end

  it("starts in memory when it was just packed, and on disk after that", function()
    serve { devices = { { kind = "host", memory = "64M" } } }
    assert.equal("host", state "m1")
    assert.equal(0, running:stop())
    running:restart()
    c = running:connect()
    assert.equal("disk", state "m1")
  end)

  it("goes from disk to the device by way of host memory, and is told about", function()
    serve { devices = { { kind = "host", memory = "64M" } } }
    assert.equal(0, running:stop())
    running:restart()
    c = running:connect()
    local watching, seen = watch()
    assert.equal("disk", state "m1")
    assert(ask(1))
    assert.equal("resident", state "m1")
    assert(c:call("model.trim", { name = "m1/net", keep = 1 }))
    assert.equal("partial", state "m1")
    assert(c:call("model.trim", { name = "m1/net", keep = 0 }))
    assert.equal("host", state "m1")
    assert(watching:call "node.status")
    local told = table.concat(seen["m1/net"], ", ")
    assert.equal("disk -> loading, loading -> resident, resident -> partial, partial -> host", told)
    local counts = assert(c:call "node.status").residency
    assert.equal(1, counts.resident)
    assert.equal(1, counts.partial)
    watching:close()
  end)

  it("leaves host memory when the store is full, and comes back from disk with the same answers", function()
    serve { store = 2 * IMAGE + 4096, devices = { { kind = "host", memory = "16M" } } }
    wait_until_kept()
    local want = {}
    for i = 1, MODELS do want[i] = tostring(assert(ask(i)).y.data) end
    assert.equal("disk", state "m1")
    assert.equal("host", state "m2")
    for _ = 1, 3 do
      for i = 1, MODELS do assert.equal(want[i], tostring(assert(ask(i)).y.data)) end
    end
    local store = assert(c:call "node.status").store
    assert.is_true(store.used_bytes <= store.budget_bytes)
    assert.is_true(store.drops >= 7 and store.reads >= 9)
  end)

  it("says why it failed, and is loaded again", function()
    serve { devices = { { kind = "host", memory = "64M", faults = true } } }
    local want = tostring(assert(ask(1)).y.data)
    assert(c:call("model.trim", { name = "m1/net", keep = 0 }))
    -- The input is copied too: groups come first.
    assert(c:call("device.fault", { device = 0, fail_copy = 1 }))
    local _, message = ask(1)
    assert.is_truthy(message)
    local failed = describe_model "m1"
    assert.equal("failed", failed.state)
    assert.is_string(failed.reason)
    assert.equal(want, tostring(assert(ask(1)).y.data))
    assert.equal("resident", state "m1")
    assert.is_nil(describe_model("m1").reason)
  end)
end)
