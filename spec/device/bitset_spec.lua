local ffi = require "ffi"
local C = require "spec.support.c"("device/bitset.h", "base/error.h")

local NONE = 2 ^ 64

local function number(value)
  return value == ffi.cast("uint64_t", -1) and NONE or tonumber(value)
end

describe("bitset", function()
  local set

  before_each(function()
    set = ffi.new "struct bitset"
  end)

  after_each(function()
    C.bitset_destroy(set)
  end)

  it("finds nothing in an empty set", function()
    assert.equal(0, C.bitset_create(set, 1000))
    assert.equal(NONE, number(C.bitset_next(set, 0)))
    assert.equal(NONE, number(C.bitset_next(set, 5000)))
    assert.equal(NONE, number(C.bitset_last(set)))
  end)

  for _, limit in ipairs { 1, 2, 64, 65, 4096, 4097, 300000 } do
    it("agrees with a plain table, for numbers below " .. limit, function()
      assert.equal(0, C.bitset_create(set, limit))
      math.randomseed(limit)
      local members, few = {}, math.min(limit, 40)
      local function expect_next(from)
        local best = NONE
        for member in pairs(members) do
          if member >= from and member < best then best = member end
        end
        return best
      end
      for _ = 1, 2000 do
        local pick = math.random(2) == 1 and math.random(0, limit - 1) or math.random(0, few - 1)
        if members[pick] or math.random(4) == 1 then
          C.bitset_remove(set, pick)
          members[pick] = nil
        else
          C.bitset_add(set, pick)
          members[pick] = true
        end
        local count = 0
        for member in pairs(members) do
          count = count + 1
          if count > 60 then
            C.bitset_remove(set, member)
            members[member] = nil
          end
        end
        local from = math.random(0, limit - 1)
        assert.equal(expect_next(from), number(C.bitset_next(set, from)))
        local last = -1
        for member in pairs(members) do last = math.max(last, member) end
        assert.equal(last == -1 and NONE or last, number(C.bitset_last(set)))
      end
    end)
  end
end)
