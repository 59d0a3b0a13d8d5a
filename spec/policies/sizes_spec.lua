-- Devices of different sizes: no policy sends a job where its models can never be.
local policy_node = require "spec.support.policy_node"
local MIB = policy_node.MIB

-- native gives a function a device for good, and refuses what has no place (native_spec).
for _, name in ipairs { "fifo", "edf", "random", "torpor", "tide", "keepalive" } do
  describe("policy " .. name .. " on devices of different sizes", function()
    local node, host

    before_each(function()
      node = policy_node.new {
        devices = { { capacity = 3 * MIB, free_bytes = 3 * MIB }, { capacity = 64 * MIB, free_bytes = 30 * MIB } },
        models = { { bytes = 20 * MIB }, { bytes = 2 * MIB }, { bytes = 100 * MIB } },
        functions = { { slo_ns = 80e6 }, { slo_ns = 80e6 }, { slo_ns = 80e6 } },
      }
      host = node:host(name)
    end)

    after_each(function()
      assert.equal(0, host:faults())
      host:delete()
    end)

    it("sends a job where its models fit", function()
      for _ = 1, 5 do
        local job = host:submit { models = { 0 }, fn = 0 }
        assert.equal(1, select(2, host:dispatch()))
        host:done(job, 0)
      end
    end)

    it("lets a job that must wait for its device hold up nobody", function()
      -- Functions without a device get one in order of arrival, so that small ones do not keep a large one waiting.
      if name == "keepalive" then return end
      node.devices[1].idle = 0
      host:submit { models = { 0 }, fn = 0 }
      host:submit { models = { 1 }, fn = 1 }
      local id, device = host:dispatch()
      assert.same({ 2, 0 }, { id, device })
      assert.is_nil(host:dispatch())
      node.devices[1].idle = 1
      id, device = host:dispatch()
      assert.same({ 1, 1 }, { id, device })
    end)

    it("does not keep a job for ever that fits nowhere", function()
      host:submit { models = { 2 }, fn = 2 }
      assert.equal(1, (host:dispatch()))
    end)
  end)
end
