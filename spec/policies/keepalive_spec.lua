local policy_node = require "spec.support.policy_node"
local MIB = policy_node.MIB
local RESIDENT, HOST = policy_node.RESIDENT, policy_node.HOST

describe("policy keepalive", function()
  local node, host

  before_each(function()
    node = policy_node.new {
      devices = { { free_bytes = 30 * MIB }, { free_bytes = 35 * MIB } },
      models = { {}, {}, {} }, functions = { {}, {}, {} },
    }
    host = node:host("keepalive", "{ keep_ms = 1000 }")
  end)

  after_each(function()
    assert.equal(0, host:faults(), host:fault())
    host:delete()
  end)

  -- Dispatch the next job and be done with it, its model loaded.
  local function run(job, model)
    local id, device, source = host:dispatch()
    if not id then return nil end
    node:put(model, device)
    node.models[model].used_at = node.view.now
    host:done(job)
    return device, source
  end

  it("keeps a function on the device that it was loaded on", function()
    assert.same({ 1, HOST }, { run(host:submit { fn = 0, models = { 0 } }, 0) })
    assert.same({ 1, RESIDENT }, { run(host:submit { fn = 0, models = { 0 } }, 0) })
    host:submit { fn = 0, models = { 0 } }
    node.devices[1].idle = 0
    assert.is_nil(host:dispatch())
  end)

  it("lets a function wait until somebody's time is over, then evicts that one", function()
    run(host:submit { fn = 0, models = { 0 } }, 0)
    run(host:submit { fn = 1, models = { 1 } }, 1)
    host:submit { fn = 2, models = { 2 } }
    assert.is_nil(host:dispatch())
    node.view.now = node.view.now + 2e9
    node.models[0].used_at = node.view.now
    local _, device = host:dispatch()
    assert.equal(0, device)
    assert.same({ { 1, 0 } }, host:evict(0, 10 * MIB))
  end)

  it("looks for a new device once the models are gone", function()
    run(host:submit { fn = 0, models = { 0 } }, 0)
    node:put(0, 1, 0)
    node.devices[1].free_bytes = 0
    local _, device, source = host:dispatch(host:submit { fn = 0, models = { 0 } })
    assert.same({ 0, HOST }, { device, source })
  end)
end)
