local policy_node = require "spec.support.policy_node"

describe("policy random", function()
  local function placements(seed)
    local node = policy_node.new { devices = { {}, {}, {}, {} }, models = { {} } }
    local host = node:host("random", ("{ seed = %d }"):format(seed))
    local list, used = {}, {}
    for i = 1, 60 do
      host:submit { models = { 0 } }
      local id, device = host:dispatch()
      assert.equal(i, id)
      list[i], used[device] = device, true
    end
    assert.equal(0, host:faults(), host:fault())
    host:delete()
    return list, used
  end

  it("uses every device, the same for the same seed", function()
    local first, used = placements(7)
    for device = 0, 3 do assert.is_true(used[device]) end
    assert.same(first, (placements(7)))
    assert.are_not.same(first, (placements(8)))
  end)

  it("evicts any model, whole", function()
    local node = policy_node.new { models = { {}, {}, {}, {} } }
    local host = node:host "random"
    local seen = {}
    for model = 0, 3 do node:put(model, 0) end
    for _ = 1, 60 do
      local list = host:evict(0, 1)
      assert.equal(1, #list)
      assert.equal(0, list[1][2])
      seen[list[1][1]] = true
    end
    for model = 0, 3 do assert.is_true(seen[model]) end
    host:delete()
  end)
end)
