-- Models that come to a device over its own link and over a neighbour's: right to the bit, whatever happens to either,
-- and over the own link alone where the other is of no use.
local client = require "tidepool.client"
local nets = require "spec.support.nets"
local node = require "spec.support.node"

local WIDTH, LAYERS, MODELS = 512, 5, 2

-- Jobs run on device 0, or on the neighbour while that is busy, and borrow each other's links.
local POLICY = [[
local lru = require "lru"
local queue = require "queue"
local policy = {}
policy.__index = policy
local function new(node, config)
  return setmetatable({ node = node, neighbour = config.neighbour, waiting = queue.new(node),
    lru = lru.new(node, false) }, policy)
end
function policy:submit(job) self.waiting:push(job, job.id) end
function policy:dispatch()
  local job, devices = self.waiting:peek(), self.node.devices
  local device = devices[devices[1].idle == 1 and 1 or self.neighbour + 1]
  if not job or device.idle == 0 then return nil end
  self.waiting:remove(job)
  return job, device, self.node.SOURCE, self.neighbour - device.id
end
function policy:evict(device, bytes) return self.lru:evict(device, bytes, {}) end
function policy:done(job) self.waiting:remove(job) end
return { name = "borrows", new = new }
]]

describe("a neighbour's link", function()
  local running, c, expected

  local function serve(options)
    options.log = "error"
    for _, device in ipairs(options.devices) do
      for key, value in pairs { kind = "host", memory = "64M", threads = 1, faults = true, peer_rate = "8G" } do
        if device[key] == nil then device[key] = value end
      end
    end
    running = node.start(options)
    c = running:connect()
    for i = 1, MODELS do
      assert(c:call("function.deploy", {
        name = "m" .. i, source = "return { models = { net = 'm.onnx' } }",
        models = { net = { data = client.bin(nets.mlp(i, WIDTH, LAYERS)) } },
      }))
    end
  end

  -- Device 0's jobs use that device's link too; source: another one than RELAY.
  local function use(neighbour, source)
    assert(c:call("policy.load", { name = "borrows", source = (POLICY:gsub("SOURCE", source or "RELAY")),
      config = ("{ neighbour = %d }"):format(neighbour) }))
  end

  local function send(model)
    return c:send("invoke", "m" .. model, client.tensor("FP32", { 1, WIDTH }, nets.row(3, WIDTH)))
  end

  local function ask(model)
    local result, message = send(model):wait()
    return result and tostring(result.y.data), message
  end

  local function device(id) return assert(c:call "node.status").devices[id + 1] end

  -- A call of the model after it was taken from everywhere.
  local function miss(model)
    for _, each in ipairs(assert(c:call "model.list")) do
      if each.name:find("m" .. model, 1, true) == 1 then
        for id = 0, #each.devices - 1 do c:call("model.trim", { name = each.name, device = id, keep = 0 }) end
      end
    end
    return ask(model)
  end

  describe("on a node with neighbours of several kinds", function()
    local GOOD, SHARED, SMALL, UNKNOWN = 1, 2, 3, 4

    setup(function()
      serve { devices = { { link_rate = "2G", switch = 0 }, { link_rate = "2G" }, { link_rate = "2G", switch = 0 },
        { link_rate = "2G", memory = "4M" }, {} } }
      expected = {}
      for model = 1, MODELS do expected[model] = assert(ask(model)) end
    end)

    teardown(function() running:stop() end)

    it("is borrowed for part of a load, and given back", function()
      use(GOOD)
      assert.equal(expected[1], miss(1))
      assert.equal(expected[2], miss(2))
      local used = device(GOOD).used_bytes
      for _ = 1, 5 do
        for model = 1, MODELS do assert.equal(expected[model], miss(model)) end
      end
      assert.equal(12, device(GOOD).loans)
      assert.equal(used, device(GOOD).used_bytes)
      for reason, count in pairs(device(0).relays_refused) do assert.equal(0, count, reason) end
    end)

    for reason, neighbour in pairs { shared = SHARED, full = SMALL, unmeasured = UNKNOWN } do
      it("is left alone when it is of no use: " .. reason, function()
        use(neighbour)
        assert.equal(expected[1], miss(1))
        assert.equal(0, device(neighbour).loans)
        assert.equal(1, device(0).relays_refused[reason])
      end)
    end

    it("that fails is an error of the job alone, and the next one comes right", function()
      use(GOOD)
      for _, on in ipairs { 0, GOOD } do
        assert(c:call("device.fault", { device = on, fail_copy = 1 }))
        local output, message = miss(1)
        assert.is_nil(output)
        assert.matches("injected", message)
        assert.equal(expected[1], ask(1))
      end
    end)

    it("that is lost under way costs no answer", function()
      use(GOOD)
      local lost = device(0).relays_refused.lost
      assert(c:call("device.fault", { device = GOOD, lose_after = 2 }))
      assert.equal(expected[1], miss(1))
      assert.equal("lost", device(GOOD).state)
      assert.equal(lost + 1, device(0).relays_refused.lost)
      assert.equal(expected[1], miss(1))
    end)
  end)

  describe("that is slow", function()
    setup(function() serve { devices = { { link_rate = "40M" }, { link_rate = "40M" } } } end)
    teardown(function() running:stop() end)

    it("makes a load faster all the same", function()
      -- 5 MB: 130 ms over one link, half of that over two.
      local function loading(source)
        use(1, source)
        assert(miss(1))
        local before = device(0).copying_us
        assert.equal(expected[1], miss(1))
        return device(0).copying_us - before
      end
      local without, with = loading "HOST", loading "RELAY"
      assert.is_true(with < 0.75 * without, ("%d us with, %d us without"):format(with, without))
    end)

    it("is not borrowed while the neighbour's own load uses it, and both come right", function()
      use(1)
      assert(miss(2))
      assert(miss(1))
      local loans = device(1).loans
      for _, each in ipairs(assert(c:call "model.list")) do
        c:call("model.trim", { name = each.name, device = 0, keep = 0 })
      end
      local first, second = send(1), send(2)
      assert.equal(expected[1], tostring(assert(first:wait()).y.data))
      assert.equal(expected[2], tostring(assert(second:wait()).y.data))
      -- The first borrows the link; the second runs on the neighbour and would borrow the first one's, which is in use.
      assert.equal(loans + 1, device(1).loans)
      assert.equal(0, device(0).loans)
      assert.equal(1, device(1).relays_refused.busy)
    end)
  end)

  describe("that has no link to the device", function()
    setup(function() serve { devices = { { link_rate = "2G" }, { link_rate = "2G", peer_rate = 0 } } } end)
    teardown(function() running:stop() end)

    it("gives nothing, whatever the policy says, and the answer is right", function()
      local first, second = send(1), send(1)
      local output = tostring(assert(first:wait()).y.data)
      assert.equal(output, tostring(assert(second:wait()).y.data))
      -- fifo runs it where it is not, with the model there: from the host, since it cannot come from there.
      assert(c:call("model.trim", { name = "m1/net", device = 0, keep = 0 }))
      first, second = send(1), send(1)
      assert.equal(output, tostring(assert(first:wait()).y.data))
      assert.equal(output, tostring(assert(second:wait()).y.data))
      assert(c:call("model.trim", { name = "m1/net", device = 0, keep = 0 }))
      use(1, "PEER")
      assert.equal(output, ask(1))
      assert.equal("borrows", c:call("policy.current").name)
    end)
  end)

  describe("with narrow parameters", function()
    setup(function() serve { devices = { { link_rate = "2G" }, { link_rate = "2G" } }, parameters = "fp16" } end)
    teardown(function() running:stop() end)

    it("is not borrowed", function()
      use(1)
      assert(ask(1))
      assert.equal(1, device(0).relays_refused.narrow)
    end)
  end)
end)
