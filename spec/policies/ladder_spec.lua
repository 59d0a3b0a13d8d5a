-- What keeps a policy's jobs in order, against a list that is sorted each time: heap and ladder, plain Lua both.
local random = require "spec.support.random"

local function load_helper(name) return assert(loadfile("policies/" .. name .. ".lua"))() end

-- Apply `count` random pushes and removals to the order and to a list; f(order, list) after each.
local function exercise(order, count, f)
  local next_random, list, last_id = random(11), {}, 0
  local free = {}
  for slot = 1, 2000 do free[slot] = slot end
  for _ = 1, count do
    if #list > 0 and next_random(3) == 1 then
      local entry = table.remove(list, next_random(#list))
      assert.is_true(order:remove(entry.job))
      assert.is_false(order:remove(entry.job))
      free[#free + 1] = entry.job.slot
    elseif #free > 0 then
      last_id = last_id + 1
      local job = { id = last_id, slot = table.remove(free) }
      local entry = { job = job, key = next_random(50), weight = next_random(9) }
      list[#list + 1] = entry
      order:push(entry.job, entry.key, entry.weight)
    end
    f(order, list)
  end
end

local function sorted(list)
  local copy = { unpack(list) }
  table.sort(copy, function(a, b)
    if a.key ~= b.key then return a.key < b.key end
    return a.job.id < b.job.id
  end)
  return copy
end

for _, name in ipairs { "heap", "ladder" } do
  describe(name, function()
    it("has jobs by key, equal ones in order of arrival", function()
      local into = {}
      exercise(load_helper(name).new(), 700, function(order, list)
        local want = sorted(list)
        assert.equal(want[1] and want[1].job, (order:peek()))
        local count = order:first(20, into)
        assert.equal(math.min(20, #want), count)
        for i = 1, count do assert.equal(want[i].job, into[i]) end
      end)
    end)
  end)
end

describe("ladder", function()
  it("sums the weights before a key", function()
    local at = 0
    exercise(load_helper("ladder").new(), 1500, function(order, list)
      at = at + 1
      local key, want = at % 53, 0
      for _, entry in ipairs(list) do
        if entry.key <= key then want = want + entry.weight end
      end
      assert.equal(want, order:weight_before(key))
    end)
  end)
end)
