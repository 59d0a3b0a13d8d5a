local ffi = require "ffi"
local random = require "spec.support.random"
local C = require "spec.support.c"("base/error.h", "model/cut.h")

local MIB = 2 ^ 20
local UNIT = 2 * MIB

-- Sizes in MiB of the groups that parameters of such sizes are cut into.
local function cut(sizes, target)
  local bytes, ends = ffi.new("uint64_t[?]", #sizes + 1), ffi.new("uint32_t[?]", #sizes + 1)
  for i, size in ipairs(sizes) do bytes[i - 1] = size * MIB end
  local groups, first = {}, 0
  for g = 0, C.cut_groups(bytes, #sizes, target or UNIT, ends) - 1 do
    groups[g + 1] = 0
    for i = first, ends[g] - 1 do groups[g + 1] = groups[g + 1] + tonumber(bytes[i]) / MIB end
    first = ends[g]
  end
  assert.equal(#sizes, first)
  return groups
end

local function waste(groups)
  local taken, used = 0, 0
  for _, size in ipairs(groups) do
    taken, used = taken + math.ceil(size / 2) * 2, used + size
  end
  return taken / used - 1
end

describe("cutting into groups", function()
  it("fills units with what is smaller", function()
    assert.same({ 2, 2, 1 }, cut { 1, 1, 0.5, 0.5, 0.5, 0.5, 1 })
    assert.same({}, cut {})
    assert.same({ 0.25 }, cut { 0.25 })
  end)

  it("never leaves a parameter of a few bytes in a unit of its own", function()
    local bias = 2 ^ -8
    for _, size in ipairs(cut { 4, bias, 4, bias, 9, bias, 4, bias }) do assert.is_true(size > 1) end
  end)

  it("puts together what shares a unit, though it exceeds the target", function()
    assert.same({ 3.25 }, cut { 1, 2.25 })
    assert.same({ 4 }, cut { 1.5, 2.5 })
  end)

  it("splits no parameter", function()
    assert.same({ 89.5, 2 }, cut { 89.5, 2 })
  end)

  it("wastes little of a ResNet's third stage, a transformer's blocks and sizes by chance", function()
    local bias = 2 ^ -10
    local resnet, transformer, chance = {}, {}, {}
    for _ = 1, 30 do
      for _, size in ipairs { 1, bias, 2.25, bias, 1, 4 * bias } do resnet[#resnet + 1] = size end
      for _, size in ipairs { 6.75, bias, 2.25, bias, 9, bias, 9, bias } do transformer[#transformer + 1] = size end
    end
    local next_random = random(7)
    for i = 1, 200 do chance[i] = next_random(1000) / 250 end
    assert.is_true(waste(cut(resnet)) < 0.12, waste(cut(resnet)))
    assert.is_true(waste(cut(transformer)) < 0.12, waste(cut(transformer)))
    assert.is_true(waste(cut(chance)) < 0.12, waste(cut(chance)))
  end)

  it("heeds a larger target, and one that is less than a unit", function()
    assert.is_true(#cut({ 2, 2, 2, 2, 2, 2, 2, 2 }, 8 * MIB) <= 3)
    assert.equal(8, #cut { 2, 2, 2, 2, 2, 2, 2, 2 })
    assert.same({ 0.5, 0.25, 1 }, cut({ 0.25, 0.25, 0.25, 1 }, MIB / 2))
  end)
end)
