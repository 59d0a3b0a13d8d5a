local policy_node = require "spec.support.policy_node"
local MIB = policy_node.MIB

describe("policy native", function()
  local node, host

  before_each(function()
    node = policy_node.new {
      devices = { { capacity = 50 * MIB }, { capacity = 30 * MIB } },
      models = { {}, {}, {}, {} }, functions = { {}, {}, {}, {} },
    }
  end)

  after_each(function()
    assert.equal(0, host:faults(), host:fault())
    host:delete()
  end)

  it("gives functions to devices while there is room, and refuses the others", function()
    host = node:host "native"
    for fn = 0, 2 do assert.is_true((host:admit { fn = fn, models = { fn } })) end
    assert.is_false((host:admit { fn = 3, models = { 3 } }))
  end)

  it("runs each function on its own device only", function()
    host = node:host "native"
    for fn = 0, 2 do host:submit { fn = fn, models = { fn } } end
    node.devices[0].idle = 0
    local id, device = host:dispatch()
    assert.same({ 3, 1 }, { id, device })
    assert.is_nil(host:dispatch())
    node.devices[0].idle = 1
    assert.same({ 1, 2 }, host:drain())
  end)

  it("counts a runtime for each function", function()
    host = node:host("native", "{ overhead_bytes = 20 * 2^20, refuse = true }")
    assert.is_true((host:admit { fn = 0, models = { 0 } }))
    assert.is_false((host:admit { fn = 1, models = { 1 } }))
  end)

  it("evicts nothing", function()
    host = node:host "native"
    node:put(0, 0)
    assert.same({}, host:evict(0, MIB))
  end)
end)
