local policy_node = require "spec.support.policy_node"

describe("policies/README.md", function()
  it("has an example that works", function()
    local file = assert(io.open "policies/README.md")
    local source = file:read("*a"):match "```lua\n(.-)```"
    file:close()
    local node = policy_node.new { models = { { run_ns = 20e6 }, { run_ns = 1e6 } } }
    local host = node:host()
    local ok, message = host:load("short.lua", source, "{ weight = 50 }")
    assert(ok, message)
    host:submit { models = { 0 } }
    host:submit { models = { 1 } }
    host:submit { models = { 0 }, arrived_at = node.view.now - 2e9 }
    node:put(0, 0)
    assert.same({ { 0, 8 } }, host:evict(0, 1))
    assert.same({ 3, 2, 1 }, host:drain())
    assert.equal(0, host:faults(), host:fault())
    host:delete()
  end)
end)
