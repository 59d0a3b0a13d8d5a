local policy_node = require "spec.support.policy_node"

describe("policy edf", function()
  local node, host

  before_each(function()
    node = policy_node.new { functions = { { slo_ns = 0 }, { slo_ns = 50e6 } } }
    host = node:host "edf"
  end)

  after_each(function()
    assert.equal(0, host:faults(), host:fault())
    host:delete()
  end)

  it("dispatches by deadline, those without one last and in order of arrival", function()
    host:submit()
    host:submit { deadline = 3e9 }
    host:submit { deadline = 2e9 }
    host:submit()
    host:submit { deadline = 2.5e9 }
    assert.same({ 3, 5, 2, 1, 4 }, host:drain())
  end)

  it("takes a function's objective for a deadline, if that is sooner", function()
    host:submit { fn = 1, arrived_at = 1e9, deadline = 9e9 }
    host:submit { fn = 1, arrived_at = 0.9e9 }
    host:submit { fn = 0, deadline = 1.01e9 }
    assert.same({ 2, 3, 1 }, host:drain())
  end)

  it("keeps its order while jobs are cancelled and put back", function()
    local jobs = {}
    for i = 1, 50 do jobs[i] = host:submit { deadline = 1e9 + (i * 37 % 50) * 1e6 } end
    for i = 1, 50, 3 do host:done(jobs[i]) end
    local first = host:dispatch()
    host:requeue(jobs[first])
    local last = 0
    for _, id in ipairs(host:drain()) do
      assert.is_true(tonumber(jobs[id].deadline) > last)
      last = tonumber(jobs[id].deadline)
    end
  end)
end)
