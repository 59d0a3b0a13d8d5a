local policy_node = require "spec.support.policy_node"
local MIB = policy_node.MIB
local RESIDENT, HOST, PEER = policy_node.RESIDENT, policy_node.HOST, policy_node.PEER

describe("policy tide", function()
  local node, host

  local function set_up(options, config)
    node = policy_node.new(options)
    host = node:host("tide", config)
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
      host:submit { models = { 0 }, deadline = 1.015e9 }
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

    it("from a peer, if that is faster than the host", function()
      set_up { devices = { { peer_rate = 50e9 }, { peer_rate = 50e9, idle = 0 } },
        models = { { run_ns = 1e6, load_ns = 50e6 }, { run_ns = 1e6, load_ns = 0.1e6 } } }
      node:put(0, 1)
      node:put(1, 1)
      host:submit { models = { 0 } }
      assert.same({ 1, 0, PEER, 1 }, { host:dispatch() })
      host:submit { models = { 1 } }
      assert.same({ 2, 0, HOST, 0 }, { host:dispatch() })
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
    local second = 1e9

    -- All used at the same time, but for what is said; 0 and 1 are light, 2 and 3 heavy.
    local function fill(used)
      set_up { devices = { {}, { peer_rate = 50e9 } }, now = 100 * second, models = {
        { run_ns = 20e6, load_ns = 10e6 }, { run_ns = 20e6, load_ns = 10e6 },
        { run_ns = 10e6, load_ns = 40e6 }, { run_ns = 10e6, load_ns = 20e6 },
      } }
      for model = 0, 3 do
        node:put(model, 0)
        node.models[model].used_at = (used[model] or 50) * second
      end
    end

    local function order()
      local list = {}
      for i, pair in ipairs(host:evict(0, 1000 * MIB)) do list[i] = pair[1] end
      return list
    end

    it("what a run hides first, then what is waited for least", function()
      fill {}
      assert.same({ 0, 1, 3, 2 }, order())
    end)

    it("of like models the one that was used longest ago", function()
      fill { [1] = 40 }
      assert.same({ 1, 0, 3, 2 }, order())
    end)

    it("a heavy model before a light one, if nobody asked for it for long enough", function()
      fill { [0] = 99.9, [1] = 99.9, [3] = 1 }
      assert.same({ 3, 2, 0, 1 }, order())
    end)

    it("a heavy model early, if a peer has it", function()
      fill {}
      node:put(2, 1)
      node.devices[0].peer_rate = 50e9
      assert.same({ 2, 0, 1, 3 }, order())
    end)

    it("of the last model only the tail", function()
      fill {}
      assert.same({ { 0, 0 }, { 1, 6 } }, host:evict(0, 26 * MIB))
    end)
  end)
end)
