local ffi = require "ffi"
local C = require "spec.support.c"("script/pages.h", "base/error.h")

describe("pages", function()
  local pages, offset

  before_each(function()
    pages, offset = ffi.new "struct pages", ffi.new "size_t[1]"
    C.pages_create(pages, 64 * C.PAGES_UNIT)
  end)

  after_each(function() C.pages_destroy(pages) end)

  local function alloc(units)
    if C.pages_alloc(pages, units * C.PAGES_UNIT, offset) ~= 0 then return nil end
    return tonumber(offset[0]) / C.PAGES_UNIT
  end

  local function free(unit) return C.pages_free(pages, unit * C.PAGES_UNIT) end

  it("gives out distinct runs from the start, and all of it", function()
    for i = 0, 31 do assert.equal(i * 2, alloc(2)) end
    assert.is_nil(alloc(1))
    assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
    assert.equal(64 * C.PAGES_UNIT, tonumber(C.pages_used(pages)))
  end)

  it("gives a unit for nothing, and refuses more than there is", function()
    assert.equal(0, C.pages_alloc(pages, 0, offset))
    assert.equal(-1, C.pages_alloc(pages, 2 ^ 52, offset))
    assert.is_nil(alloc(64))
  end)

  it("joins what is freed, in any order", function()
    for _, order in ipairs { { 0, 8, 16, 24 }, { 24, 16, 8, 0 }, { 8, 24, 0, 16 }, { 16, 0, 24, 8 } } do
      for i = 0, 3 do assert.equal(i * 8, alloc(8)) end
      assert.equal(32, alloc(32))
      for _, at in ipairs(order) do assert.equal(0, free(at)) end
      assert.equal(0, alloc(32))
      assert.equal(0, free(0))
      assert.equal(0, free(32))
      assert.equal(0, alloc(64))
      assert.equal(0, free(0))
    end
  end)

  it("frees only what it gave out", function()
    assert.equal(-1, free(0))
    assert.equal(0, alloc(4))
    for _, at in ipairs { 1, 2, 3, 4, 63, 64, 2 ^ 40 } do assert.equal(-1, free(at)) end
    assert.equal(-1, C.pages_free(pages, 100))
    assert.equal(0, free(0))
    assert.equal(-1, free(0))
  end)

  it("keeps its books through a long random life", function()
    local live, owner = {}, {}
    math.randomseed(3)
    for _ = 1, 20000 do
      if math.random() < 0.55 then
        local units = math.random(1, 6)
        local at = alloc(units)
        if at then
          for unit = at, at + units - 1 do
            assert.is_nil(owner[unit])
            owner[unit] = at
          end
          live[#live + 1] = { at, units }
        end
      elseif #live > 0 then
        local run = table.remove(live, math.random(#live))
        assert.equal(0, free(run[1]))
        for unit = run[1], run[1] + run[2] - 1 do owner[unit] = nil end
      end
    end
    for _, run in ipairs(live) do assert.equal(0, free(run[1])) end
    assert.equal(0, tonumber(C.pages_used(pages)))
    assert.equal(0, alloc(64))
  end)
end)
