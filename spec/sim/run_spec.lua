-- Whole runs: the same for a seed, nodes that know nothing of each other, and what counts as in time.
local files = require "spec.support.files"
package.preload["tidepool.native"] = package.preload["tidepool.native"]
  or function() return { embedded = files.find } end

local run = require "tidepool.sim.run"
local trace = require "tidepool.sim.trace"

local profile = require "tidepool.sim.profiles.v100"

local function simulate(policy, fields)
  local options = { profile = profile, rows = trace.constant(20, 1, 32), arrivals = "poisson", seed = 1,
    policy = { name = policy, source = files.find("policies/" .. policy .. ".lua") } }
  for key, value in pairs(fields or {}) do options[key] = value end
  return run.simulate(options)
end

describe("run", function()
  it("is the same for a seed, another for another", function()
    for _, policy in ipairs { "torpor", "tide", "random" } do
      local result, functions = simulate(policy)
      local again, functions_again = simulate(policy)
      assert.same(result, again)
      assert.same(functions, functions_again)
      assert.not_same(result, (simulate(policy, { seed = 2 })))
    end
  end)

  it("gives each node whole rounds of the models, and its functions' calls", function()
    local result, functions = simulate("fifo", { nodes = 3, devices = 1, rows = trace.constant(30, 1, 48) })
    assert.same({ 48, 3, 0 }, { result.functions, result.devices, result.left })
    assert.equal(result.calls, result.requests)
    for i, each in ipairs(functions) do
      assert.equal(math.floor((i - 1) / 8) % 3, each.node)
      assert.equal(each.calls, each.requests)
      assert.is_true(each.calls > 0)
    end
  end)

  it("counts refused calls, and those never answered, as not in time", function()
    local native = simulate("native", { devices = 1, native = true, memory = 4e9 })
    assert.same({ 2, 0 }, { native.compliant, native.left })
    local waiting = simulate("keepalive", { devices = 1, native = true, memory = 4e9 })
    assert.is_true(waiting.left > 0)
    assert.is_true(waiting.compliant <= 2)
    assert.is_true(waiting.requests < waiting.calls)
  end)

  it("takes no time for copies when told so", function()
    local swapped = simulate("fifo", { devices = 1, memory = 3e9, rows = trace.constant(2, 2, 32) })
    local free = simulate("fifo", { devices = 1, memory = 3e9, rows = trace.constant(2, 2, 32), free_copies = true })
    assert.is_true(swapped.busy > free.busy * 1.1)
    assert.near(free.floor, free.busy, 0.03)
  end)

  it("keeps what ran where, by the functions' own numbers", function()
    local _, functions, spans = simulate("fifo", { nodes = 2, devices = 1, spans = 50 })
    assert.is_true(#spans > 50)
    for _, span in ipairs(spans) do assert.equal(functions[span["function"]].node, span.node) end
  end)
end)
