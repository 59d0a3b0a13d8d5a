-- What a policy may answer, and what it sees.
local ffi = require "ffi"
local policy_node = require "spec.support.policy_node"
local policy_text = require "spec.support.policy_text"
local C = require "spec.support.c"("base/log.h", "script/policy.h")
local MIB = policy_node.MIB
local policy, with_body = policy_text.policy, policy_text.with_body

describe("policy verdicts", function()
  local node, host

  setup(function() C.log_set_level(C.LOG_OFF) end)
  teardown(function() C.log_set_level(C.LOG_INFO) end)

  before_each(function()
    node = policy_node.new { devices = { {}, {} }, models = { {}, {}, {} } }
    host = node:host()
  end)

  after_each(function() host:delete() end)

  local function load(source)
    local ok, message = host:load("policies/tested.lua", source)
    assert(ok, message)
  end

  it("takes the verdict as a table, and devices and models by id", function()
    load(policy { dispatch = [[
      local job = table.remove(queue, 1)
      if not job then return nil end
      if job.id == 1 then return { job, 1, node.HOST } end
      if job.id == 2 then return { job = job, device = node.devices[2], source = node.HOST } end
      do return job, 1, node.HOST end
    ]], evict = "do return { 0, 9 } end" })
    for _ = 1, 3 do host:submit { models = { 0 } } end
    assert.same({ 1, 1, 1, 0 }, { host:dispatch() })
    assert.same({ 2, 1, 1, 0 }, { host:dispatch() })
    assert.same({ 3, 1, 1, 0 }, { host:dispatch() })
    node:put(0, 0)
    assert.same({ { 0, 9 } }, host:evict(0, MIB))
    assert.equal(0, host:faults())
  end)

  it("reads groups and pins of a model on a device, each device's own", function()
    load(with_body("evict", [[
      local model, other = node.models[1], node.devices[2]
      local on_one, on_other = node.groups(model, device), node.groups(model, other)
      if on_one ~= 3 or on_other ~= 5 then error("groups " .. on_one .. ", " .. on_other) end
      do return { model, node.pinned(model, device) } end
    ]]))
    node:put(1, 0, 3, 2)
    node:put(1, 1, 5, 1)
    assert.same({ { 1, 2 } }, host:evict(0, MIB), host:fault())
  end)

  it("takes a peer that has what the device lacks", function()
    node.devices[0].peer_rate = 1e9
    node:put(0, 1)
    load(policy { dispatch = [[
      do return table.remove(queue, 1), node.devices[1], node.PEER, node.devices[2] end
    ]] })
    host:submit { models = { 0 } }
    assert.same({ 1, 0, policy_node.PEER, 1 }, { host:dispatch() })
  end)

  it("takes a neighbour to borrow a link from, and none without a link to it", function()
    node.devices[0].peer_rate, node.devices[1].peer_rate = 1e9, 1e9
    load(policy { dispatch = [[
      do return table.remove(queue, 1), node.devices[1], node.RELAY, node.devices[2] end
    ]] })
    host:submit { models = { 0 } }
    host:submit { models = { 0 } }
    assert.same({ 1, 0, policy_node.RELAY, 1 }, { host:dispatch() })
    node.devices[1].peer_rate = 0
    host:dispatch()
    assert.matches("can give device 0 nothing", host:fault())
  end)

  it("shows rows that came and went", function()
    load(policy { more = [[
      function object:tick(now)
        local models = {}
        for id, model in pairs(node.models) do models[#models + 1] = id .. node.name(model) end
        table.sort(models)
        error(table.concat(models, " ") .. " of " .. #node.devices .. " at " .. now .. " " .. node.now)
      end
    ]] })
    node.models[1] = false
    node.devices[2] = ffi.new("struct view_device", { id = 2, idle = 1 })
    node:publish()
    node.view.now = 5
    host:tick()
    assert.matches("0model0 2model2 of 3 at 5 5", host:fault())
  end)

  it("asks whether to admit, when the policy wants to be asked", function()
    assert.is_true((host:admit()))
    load(policy { more = [[
      function object:admit(job)
        if job.priority > 0 then return true end
        return false, 25
      end
    ]] })
    assert.is_true((host:admit { priority = 1 }))
    assert.same({ false, 25 }, { host:admit() })
    load(with_body("admit", "return 1"))
    assert.same({ false, 25 }, { host:admit() })
    assert.matches("admit: returned a number", host:fault())
  end)
end)
