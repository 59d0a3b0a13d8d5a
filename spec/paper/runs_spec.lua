-- The paper's runs: what is known is not done again, and one that fails hides no other.
local files = require "spec.support.files"
package.preload["tidepool.native"] = package.preload["tidepool.native"]
  or function() return { embedded = files.find } end

local runs = require "tidepool.paper.runs"

local STAMP = { program = "p", trace = "", seed = 1 }
local GOOD = { functions = 16, policy = "torpor", arrivals = "smooth", rates = 10, minutes = 1 }
local BAD = { functions = 16, policy = "nowhere", arrivals = "smooth", rates = 10, minutes = 1 }

describe("runs", function()
  local path, told, context
  before_each(function()
    path, told = os.tmpname(), {}
    context = { profile = require "tidepool.sim.profiles.v100", seed = 1 }
  end)
  after_each(function() os.remove(path) end)

  local function fill(memory, specs)
    local by_key = {}
    for _, spec in ipairs(specs) do by_key[runs.key(spec)] = spec end
    memory:fill(by_key, context, 2, function(text) told[#told + 1] = text end)
    return memory
  end

  it("are told apart by what they are of", function()
    assert.equal(runs.key { policy = "a", functions = 1 }, runs.key { functions = 1, policy = "a" })
    assert.not_equal(runs.key { policy = "a" }, runs.key { policy = "a", seed = 2 })
  end)

  it("are kept, and one that fails hides no other", function()
    local memory = fill(runs.remember(path, STAMP), { GOOD, BAD })
    assert.equal(2, #told)
    assert.equal(16, memory:get(runs.key(GOOD)).compliant)
    assert.is_string(memory:get(runs.key(BAD)).failed)
    local again = fill(runs.remember(path, STAMP), { GOOD })
    assert.equal(2, #told)
    assert.same(memory:get(runs.key(GOOD)), again:get(runs.key(GOOD)))
  end)

  it("count for the program, trace and seed that they were found with", function()
    fill(runs.remember(path, STAMP), { GOOD })
    local key = runs.key(GOOD)
    for name, value in pairs { program = "q", trace = "t", seed = 2 } do
      local other = { program = "p", trace = "", seed = 1 }
      other[name] = value
      assert.is_nil(runs.remember(path, other):get(key), name)
      assert.equal(name == "program", runs.remember(path, other, true):get(key) ~= nil)
    end
  end)
end)
