local ffi = require "ffi"
local policy_node = require "spec.support.policy_node"
local MIB = policy_node.MIB
local RESIDENT, HOST, PEER = policy_node.RESIDENT, policy_node.HOST, policy_node.PEER

describe("policy torpor", function()
  local node, host

  -- Rates of copies to each of four devices from each, bytes/s.
  local rates = ffi.new("double[16]")
  for to = 0, 3 do
    for from = 0, 3 do rates[4 * to + from] = to == from and 0 or to < 2 and 25e9 or 50e9 end
  end

  -- Two pairs of devices, each behind a switch, with links between them. Model 0 is heavy, model 1 light.
  local function set_up(config, functions)
    node = policy_node.new {
      devices = { { switch_id = 0, peer_rate = 25e9 }, { switch_id = 0, peer_rate = 25e9 },
        { switch_id = 1, peer_rate = 50e9 }, { switch_id = 1, peer_rate = 50e9 } },
      models = { { run_ns = 10e6, load_ns = 30e6 }, { run_ns = 30e6, load_ns = 10e6 },
        { run_ns = 10e6, load_ns = 30e6 }, { run_ns = 30e6, load_ns = 10e6 } },
      functions = functions,
    }
    node.view.peer_rates = rates
    host = node:host("torpor", config)
  end

  after_each(function()
    assert.equal(0, host:faults(), host:fault())
    host:delete()
  end)

  local function busy(...)
    for _, device in ipairs { ... } do node.devices[device].idle = 0 end
  end

  local function place(model)
    local job = host:submit { models = { model } }
    local _, device, source, peer = host:dispatch()
    host:done(job)
    return { device, source, source == PEER and peer or nil }
  end

  describe("places a job", function()
    it("where its model is", function()
      set_up()
      node:put(0, 2)
      assert.same({ 2, RESIDENT }, place(0))
    end)

    it("else where the fastest link to a device with the model ends", function()
      set_up()
      node:put(0, 1)
      busy(1)
      assert.same({ 2, PEER, 1 }, place(0))
      busy(2, 3)
      assert.same({ 0, PEER, 1 }, place(0))
    end)

    it("else where nobody behind the switch loads", function()
      set_up()
      assert.same({ 0, HOST }, place(0))
      busy(0)
      node.devices[0].loading = 1
      assert.same({ 2, HOST }, place(2))
    end)

    it("else beside a device that loads a light model", function()
      set_up()
      assert.same({ 0, HOST }, place(0))
      busy(0)
      node.devices[0].loading = 1
      assert.same({ 2, HOST }, place(1))
      busy(2)
      node.devices[2].loading = 1
      -- 0 loads a heavy model, 2 a light one.
      assert.same({ 3, HOST }, place(2))
    end)
  end)

  describe("queues", function()
    -- p = 0.5: a deficit is n - 2m. 0: 10 - 4 = 6; 1: 10 - 8 = 2; 2: none; 3: 10 - 0 = 10.
    local functions = {}
    for i, in_time in ipairs { 2, 4, 10, 0 } do
      functions[i] = { slo_percentile = 0.5, requests = 10, in_time = in_time, mean_ns = 1e9 }
    end

    local function order(config)
      set_up(config, functions)
      node.view.now = node.view.now + 2e9
      host:tick()
      for fn = 0, 3 do host:submit { fn = fn } end
      return host:drain()
    end

    it("by deficit, the largest first, while all are HIGH", function()
      assert.same({ 4, 1, 2, 3 }, order "{ alpha = 1 }")
    end)

    it("the largest deficits last, the smallest of them first, beyond alpha of the total", function()
      -- The total is 18; 2 and 2 + 6 are within half of it, 10 more is not.
      assert.same({ 1, 2, 3, 4 }, order "{ alpha = 0.5 }")
      host:delete()
      assert.same({ 3, 2, 1, 4 }, order "{ alpha = 0.01 }")
    end)

    it("with deficits times mean latency, unless told otherwise", function()
      functions[2].mean_ns = 100e9
      assert.same({ 2, 4, 1, 3 }, order "{ alpha = 1 }")
      host:delete()
      assert.same({ 4, 1, 2, 3 }, order "{ alpha = 1, by_latency = false }")
      functions[2].mean_ns = 1e9
    end)

    it("jobs that wait anew every two seconds", function()
      set_up("{ alpha = 1 }", functions)
      for fn = 0, 3 do host:submit { fn = fn } end
      node.view.now = node.view.now + 2e9
      host:tick()
      assert.same({ 4, 1, 2, 3 }, host:drain())
    end)

    it("by arrival when that part is taken away", function()
      assert.same({ 1, 2, 3, 4 }, order "{ queueing = 'fifo' }")
    end)

    it("with less in HIGH after the share of compliant functions fell, and hands that on", function()
      set_up("{ alpha = 1, adapt_ms = 40000 }", functions)
      for _, in_time in ipairs { 10, 0 } do
        for fn = 0, 3 do node.functions[fn].in_time = in_time end
        node.functions[3].in_time = 10
        node.view.now = node.view.now + 40e9
        host:tick()
      end
      -- alpha is 1/2 now: of three equal deficits the first is HIGH.
      assert.is_true(host:load("torpor.lua", (function()
        local length = require "ffi".new "size_t[1]"
        return require "ffi".string(require "ffi".C.policy_builtin("torpor", length), length[0])
      end)()))
      node.view.now = node.view.now + 2e9
      host:tick()
      for fn = 3, 0, -1 do host:submit { fn = fn } end
      -- Job 4 is function 0's, the one in HIGH; job 1 is function 3's, which has a surplus.
      assert.same({ 4, 1, 2, 3 }, host:drain())
    end)
  end)

  describe("evicts", function()
    it("replicas first, then light models, then heavy ones, each by last use", function()
      set_up()
      for model = 0, 3 do node:put(model, 0) end
      for model, used in pairs { [0] = 10, 30, 20, 40 } do node.models[model].used_at = used end
      node:put(2, 3)
      assert.same({ { 2, 0 }, { 1, 0 }, { 3, 0 }, { 0, 0 } }, host:evict(0, 80 * MIB))
      assert.same({ { 2, 0 } }, host:evict(0, MIB))
    end)

    it("by last use alone when that part is taken away", function()
      set_up "{ eviction = 'lru' }"
      for model = 0, 3 do node:put(model, 0) end
      for model, used in pairs { [0] = 10, 30, 20, 40 } do node.models[model].used_at = used end
      assert.same({ { 0, 0 }, { 2, 0 }, { 1, 0 }, { 3, 0 } }, host:evict(0, 80 * MIB))
    end)
  end)
end)
