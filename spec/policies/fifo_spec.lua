local ffi = require "ffi"
local policy_node = require "spec.support.policy_node"
local RESIDENT, HOST, RELAY = policy_node.RESIDENT, policy_node.HOST, policy_node.RELAY
local MIB = policy_node.MIB

describe("policy fifo", function()
  local node, host

  local function set_up(options)
    node = policy_node.new(options)
    host = node:host "fifo"
  end

  after_each(function()
    host:delete()
  end)

  it("is what a host starts with", function()
    set_up {}
    assert.equal("fifo", host:name())
  end)

  it("dispatches in order of arrival", function()
    set_up { models = { {} } }
    for _ = 1, 5 do host:submit { models = { 0 } } end
    assert.same({ 1, 2, 3, 4, 5 }, host:drain())
    assert.is_nil(host:dispatch())
  end)

  it("takes an idle device that has the models, else the one with the most free memory", function()
    set_up { devices = { {}, { free_bytes = 2000 * MIB }, {} }, models = { {}, {} } }
    node:put(0, 2)
    host:submit { models = { 0 } }
    host:submit { models = { 0, 1 } }
    local _, first_device, first_source = host:dispatch()
    assert.equal(2, first_device)
    assert.equal(RESIDENT, first_source)
    local _, device, source = host:dispatch()
    assert.equal(1, device)
    assert.equal(HOST, source)
  end)

  it("borrows an idle neighbour's link for much, where one is of use", function()
    local function source_with(neighbour, bytes)
      neighbour.peer_rate = neighbour.peer_rate or 1e9
      set_up { devices = { { peer_rate = 1e9, switch_id = 0, free_bytes = 2000 * MIB }, neighbour },
        models = { { bytes = (bytes or 100) * MIB } } }
      local rates = ffi.new("double[4]", { 0, 1e9, 1e9, 0 })
      node.view.peer_rates = rates
      host:submit { models = { 0 } }
      local result = { host:dispatch() }
      host:delete()
      return unpack(result, 2)
    end
    assert.same({ 0, RELAY, 1 }, { source_with { switch_id = 1 } })
    assert.same({ 0, RELAY, 1 }, { source_with { switch_id = -1 } })
    assert.equal(HOST, select(2, source_with { switch_id = 0 }))
    assert.equal(HOST, select(2, source_with { switch_id = 1, idle = 0 }))
    assert.equal(HOST, select(2, source_with { switch_id = 1, loading = 1 }))
    assert.equal(HOST, select(2, source_with { switch_id = 1, free_bytes = 4 * MIB }))
    assert.equal(HOST, select(2, source_with({ switch_id = 1 }, 2)))
    set_up {}
  end)

  it("dispatches nothing while no device is idle", function()
    set_up { devices = { { idle = 0 } } }
    host:submit()
    assert.is_nil(host:dispatch())
    node.devices[0].idle = 1
    assert.equal(1, (host:dispatch()))
  end)

  it("lets a job that is bound to a busy device hold up nobody", function()
    set_up { devices = { {}, { idle = 0 } } }
    host:submit { bound_device = 1 }
    host:submit()
    assert.equal(2, (host:dispatch()))
    assert.is_nil(host:dispatch())
    node.devices[1].idle = 1
    local id, device = host:dispatch()
    assert.equal(1, id)
    assert.equal(1, device)
  end)

  it("forgets a job that was cancelled, and takes back one that was put back", function()
    set_up {}
    local first = host:submit()
    local second = host:submit()
    host:submit()
    host:done(first, 2)
    assert.equal(2, (host:dispatch()))
    host:requeue(second)
    assert.same({ 2, 3 }, host:drain())
  end)

  describe("looks ahead", function()
    it("to the first waiting job that lacks something on the busy device", function()
      set_up { devices = { { idle = 0 } }, models = { {}, {}, {} } }
      node:put(0, 0)
      node:put(1, 0, 4)
      host:submit { models = { 0 } }
      host:submit { models = { 0, 1 } }
      host:submit { models = { 2 } }
      assert.equal(1, host:prefetch(0))
      node:put(1, 0)
      assert.equal(2, host:prefetch(0))
      node:put(2, 0)
      assert.is_nil(host:prefetch(0))
    end)

    it("and shares the queue among devices in the order in which they will be free", function()
      set_up { devices = { { idle = 0, busy_until = 30 }, { idle = 0, busy_until = 10 },
        { idle = 0, busy_until = 20 } },
        models = { {}, {}, {}, {} } }
      for model = 0, 3 do host:submit { models = { model } } end
      assert.equal(0, host:prefetch(1))
      assert.equal(1, host:prefetch(2))
      assert.equal(2, host:prefetch(0))
    end)

    it("leaving out what runs elsewhere, but not what is bound to the device", function()
      set_up { devices = { { idle = 0 }, { idle = 0 } }, models = { {}, {}, {} } }
      node:put(0, 1)
      host:submit { models = { 0 } }
      host:submit { models = { 1 } }
      assert.equal(1, host:prefetch(0))
      host:submit { models = { 2 }, bound_device = 0 }
      assert.equal(2, host:prefetch(0))
    end)
  end)

  it("trims what is quickly brought back first, then the rest", function()
    set_up { models = { { used_at = 10, prefix_groups = 4 }, { used_at = 20, prefix_groups = 8 } } }
    node:put(0, 0)
    node:put(1, 0)
    assert.same({ { 0, 6 } }, host:evict(0, 6 * MIB))
    assert.same({ { 0, 4 }, { 1, 8 } }, host:evict(0, 16 * MIB))
    assert.same({ { 0, 1 }, { 1, 8 } }, host:evict(0, 20 * MIB))
  end)

  it("evicts what jobs wait for last", function()
    set_up { models = { { used_at = 10, jobs = 1 }, { used_at = 20 } } }
    node:put(0, 0)
    node:put(1, 0)
    assert.same({ { 1, 0 } }, host:evict(0, 19 * MIB))
  end)

  it("evicts what was used longest ago, and of the last only the tail", function()
    set_up { models = { { used_at = 30 }, { used_at = 10 }, { used_at = 20 }, { used_at = 5 } } }
    for model = 0, 2 do node:put(model, 0) end
    assert.same({ { 1, 0 }, { 2, 4 } }, host:evict(0, 30 * MIB))
    assert.same({ { 1, 0 }, { 2, 0 }, { 0, 0 } }, host:evict(0, 1000 * MIB))
  end)

  it("leaves alone what is pinned", function()
    set_up { models = { { used_at = 10 }, { used_at = 20 } } }
    node:put(0, 0, 10, 10)
    node:put(1, 0, 8, 3)
    assert.same({ { 1, 3 } }, host:evict(0, 100 * MIB))
  end)
end)
