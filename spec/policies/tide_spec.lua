local ffi = require "ffi"

local policy_node = require "spec.support.policy_node"
local MIB = policy_node.MIB
local RESIDENT, HOST, PEER = policy_node.RESIDENT, policy_node.HOST, policy_node.PEER

describe("policy tide", function()
  local node, host

  -- Predictions are taken as they are unless config says otherwise.
  local function set_up(options, config)
    node = policy_node.new(options)
    host = node:host("tide", config or "{ margin = 1 }")
  end

  -- Rates of copies from peer to device of two, bytes/s.
  local rates = ffi.new("double[4]")
  local function link_peers(rate)
    rates[1], rates[2] = rate, rate
    node.view.peer_rates = rates
  end

  after_each(function()
    assert.equal(0, host:faults(), host:fault())
    host:delete()
  end)

  describe("orders", function()
    it("by the latest start that is still in time", function()
      set_up { models = { { run_ns = 10e6 }, { run_ns = 10e6 } }, functions = { { slo_ns = 0 } } }
      node:put(0, 0)
      node:put(1, 0)
      host:submit { models = { 1 } }
      host:submit { models = { 1 }, deadline = 1.2e9 }
      host:submit { models = { 0 }, deadline = 1.15e9 }
      assert.same({ 3, 2, 1 }, host:drain())
    end)

    it("what is resident first, if nobody is late for it", function()
      set_up { models = { { run_ns = 10e6, load_ns = 50e6 }, { run_ns = 10e6, load_ns = 50e6 } },
        functions = { { slo_ns = 0 } } }
      node:put(1, 0)
      host:submit { models = { 0 }, deadline = 1.1e9 }
      host:submit { models = { 1 }, deadline = 1.2e9 }
      assert.equal(2, (host:dispatch()))
    end)

    it("what is urgent first, if it would be late otherwise", function()
      set_up { models = { { run_ns = 10e6, load_ns = 50e6 }, { run_ns = 10e6, load_ns = 50e6 } },
        functions = { { slo_ns = 0 } } }
      node:put(1, 0)
      host:submit { models = { 0 }, deadline = 1.06e9 }
      host:submit { models = { 1 }, deadline = 1.2e9 }
      assert.equal(1, (host:dispatch()))
    end)
  end)

  describe("places a job", function()
    it("where it costs least: resident, then in part, then from the host", function()
      set_up { devices = { {}, {}, {} }, models = { { run_ns = 10e6, load_ns = 50e6 } } }
      node:put(0, 1, 5)
      node:put(0, 2)
      local function place()
        local job = host:submit { models = { 0 } }
        local _, device, source = host:dispatch()
        host:done(job)
        node.devices[device].idle = 0
        return { device, source }
      end
      assert.same({ 2, RESIDENT }, place())
      assert.same({ 1, HOST }, place())
      assert.same({ 0, HOST }, place())
    end)

    it("from a peer what that has in part, if that is faster than the host", function()
      set_up { devices = { { peer_rate = 50e9 }, { peer_rate = 50e9, idle = 0 } },
        models = { { run_ns = 1e6, load_ns = 50e6 } } }
      link_peers(50e9)
      node:put(0, 1, 7)
      host:submit { models = { 0 } }
      assert.same({ 1, 0, PEER, 1 }, { host:dispatch() })
    end)

    it("from a peer, if that is faster than the host", function()
      set_up { devices = { { peer_rate = 50e9 }, { peer_rate = 50e9, idle = 0 } },
        models = { { run_ns = 1e6, load_ns = 50e6 }, { run_ns = 1e6, load_ns = 0.1e6 } } }
      link_peers(50e9)
      node:put(0, 1)
      node:put(1, 1)
      host:submit { models = { 0 } }
      assert.same({ 1, 0, PEER, 1 }, { host:dispatch() })
      host:submit { models = { 1 } }
      assert.same({ 2, 0, HOST, 0 }, { host:dispatch() })
    end)

    it("from no peer that still waits for it itself", function()
      set_up { devices = { { peer_rate = 50e9 }, { peer_rate = 50e9, idle = 0 } },
        models = { { run_ns = 1e6, load_ns = 50e6 } } }
      link_peers(50e9)
      node:put(0, 1)
      node.residency[1].arrived = 0
      host:submit { models = { 0 } }
      assert.same({ 1, 0, HOST, 0 }, { host:dispatch() })
    end)

    it("where there is room", function()
      set_up { devices = { { free_bytes = 0 }, {} }, models = { { run_ns = 10e6, load_ns = 50e6 },
        { run_ns = 10e6, load_ns = 50e6 } } }
      node:put(1, 0)
      node.devices[0].free_bytes = 0
      -- What eviction takes here no run hides.
      host:evict(0, 20 * MIB)
      host:submit { models = { 0 } }
      local _, device = host:dispatch()
      assert.equal(1, device)
    end)

    it("away from a switch that is loading", function()
      set_up { devices = { { switch_id = 0 }, { switch_id = 0, idle = 0, loading = 1 }, { switch_id = 1 } },
        models = { { run_ns = 10e6, load_ns = 50e6 } } }
      host:submit { models = { 0 } }
      local _, device = host:dispatch()
      assert.equal(2, device)
    end)
  end)

  describe("admits", function()
    local options = { models = { { run_ns = 10e6, load_ns = 5e6 } }, functions = { { slo_ns = 50e6 } } }

    it("what can be in time, and refuses the rest with the time that it lacks", function()
      set_up(options)
      node:put(0, 0)
      for _ = 1, 4 do
        assert.is_true((host:admit { models = { 0 } }))
        host:submit { models = { 0 } }
      end
      local admitted = host:admit { models = { 0 } }
      host:submit { models = { 0 } }
      local refused, retry_after_ms = host:admit { models = { 0 } }
      assert.is_true(admitted)
      assert.is_false(refused)
      assert.is_near(10, retry_after_ms, 0.001)
      assert.is_true((host:admit { models = { 0 }, arrived_at = 2e9 }))
    end)

    it("with what runs now counted", function()
      set_up(options)
      node:put(0, 0)
      node.devices[0].busy_until = 1.02e9
      assert.is_true((host:admit { models = { 0 }, arrived_at = 0.981e9 }))
      assert.is_false((host:admit { models = { 0 }, arrived_at = 0.979e9 }))
    end)

    it("less, the more of what it took was late", function()
      set_up(options, "{ margin = 1, strictness = 4096 }")
      node:put(0, 0)
      node.devices[0].busy_until = 1.02e9
      assert.is_true((host:admit { models = { 0 } }))
      host:done(host:submit { models = { 0 } })
      assert.is_true((host:admit { models = { 0 } }))
      -- One late job: what takes 30 ms counts for 60.
      host:done(host:submit { models = { 0 }, arrived_at = 0.9e9 })
      assert.is_false((host:admit { models = { 0 } }))
    end)

    it("what is late already, with a device free and nobody before it", function()
      set_up(options)
      assert.is_true((host:admit { models = { 0 }, arrived_at = 0 }))
    end)

    it("everything when told to, and what has no deadline", function()
      set_up(options, "{ admission = false }")
      assert.is_true((host:admit { models = { 0 }, arrived_at = 0 }))
    end)
  end)

  describe("evicts", function()
    -- Of ten groups, a run hides 1 and 10 (0.7 runs: 0 and 7) of models 0 and 1; 2 hides 5.
    local function fill(used, config)
      set_up({ devices = { {}, {} }, models = {
        { run_ns = 4e6, load_ns = 40e6 }, { run_ns = 40e6, load_ns = 40e6 }, { run_ns = 20e6, load_ns = 40e6 },
      } }, config or "{ levels = { 1, 2 } }")
      for model = 0, 2 do
        node:put(model, 0)
        node.models[model].used_at = used[model + 1]
      end
    end

    it("first what another device has too", function()
      fill { 30, 20, 10 }
      node:put(0, 1)
      assert.same({ { 0, 0 } }, host:evict(0, 18 * MIB))
    end)

    it("then what runs hide, the model that was used longest ago first, and keep a group", function()
      fill { 10, 20, 30 }
      assert.same({ { 0, 9 }, { 1, 1 } }, host:evict(0, 18 * MIB))
    end)

    it("then a little more of all, before much of any", function()
      fill { 10, 20, 30 }
      -- One, nine and five groups are hidden; then one more of model 0 and four more of model 2.
      assert.same({ { 0, 8 }, { 1, 1 }, { 2, 1 } }, host:evict(0, 38 * MIB))
    end)

    it("all of everything in the end, but what is pinned", function()
      fill { 10, 20, 30 }
      node:put(2, 0, 10, 4)
      assert.same({ { 0, 0 }, { 1, 0 }, { 2, 4 } }, host:evict(0, 1000 * MIB))
    end)
  end)

  describe("is fair", function()
    local function order_of(first, second, config)
      set_up({ models = { { run_ns = 10e6 } }, functions = {
        { slo_ns = 80e6, requests = 100, in_time = 100 - first },
        { slo_ns = 80e6, requests = 100, in_time = 100 - second },
      } }, config)
      node:put(0, 0)
      host:submit { models = { 0 }, fn = 0 }
      host:submit { models = { 0 }, fn = 1, arrived_at = 1e9 + 1 }
      return (host:dispatch())
    end

    it("to a function that has missed more than its objective leaves it", function()
      assert.equal(1, order_of(2, 2))
      host:delete()
      assert.equal(2, order_of(2, 4))
      host:delete()
      assert.equal(1, order_of(2, 4, "{ favour_ms = 0 }"))
    end)

    it("but not at the price of others when it is lost", function()
      assert.equal(1, order_of(3, 9))
      host:delete()
      assert.equal(2, order_of(3, 9, "{ give_up = 10 }"))
    end)
  end)
end)
