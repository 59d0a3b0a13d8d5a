local ffi = require "ffi"
local C = require "spec.support.c"("device/device.h", "device/pool.h", "spec/support/pool_picture.h")

local UNIT = 2 * 2 ^ 20
local null = nil

describe("pool", function()
  local device, pool, picture, pieces, held

  local function open(units)
    local options = { memory_bytes = units * UNIT, switch_id = C.DEVICE_NO_SWITCH }
    device = C.device_open(C.DEVICE_KIND_HOST, ffi.new("struct device_options", options))
    pool = C.pool_new(device, units * UNIT)
    assert(pool ~= null, ffi.string(C.error_last().message))
  end

  local function owner(id)
    return ffi.cast("const void *", id)
  end

  local function alloc(bytes, id)
    local extent = C.pool_alloc(pool, bytes, owner(id or 1))
    if extent == null then return nil end
    held[#held + 1] = extent
    return extent
  end

  local function free(extent)
    for i, each in ipairs(held) do
      if each == extent then
        table.remove(held, i)
        break
      end
    end
    C.pool_free(pool, extent)
  end

  local function stats()
    local result = ffi.new "struct pool_stats"
    C.pool_stats(pool, result)
    return { used = tonumber(result.used) / UNIT, capacity = tonumber(result.capacity) / UNIT,
      largest = tonumber(result.largest_free) / UNIT, extents = result.extents }
  end

  -- The map as { units, owner, units, owner, … }; owner 0 is free.
  local function map()
    C.pool_picture_take(picture, pool)
    assert(picture.count <= picture.room)
    local list = {}
    for i = 0, picture.count - 1 do
      list[#list + 1] = tonumber(pieces[i].bytes) / UNIT
      list[#list + 1] = tonumber(ffi.cast("uintptr_t", pieces[i].owner))
    end
    return list
  end

  before_each(function()
    held = {}
    pieces = ffi.new "struct pool_piece[4096]"
    picture = ffi.new("struct pool_picture", { pieces = pieces, room = 4096 })
  end)

  after_each(function()
    for _, extent in ipairs(held) do C.pool_free(pool, extent) end
    C.pool_delete(pool)
    C.device_close(device)
  end)

  it("starts as one free run", function()
    open(10)
    assert.same({ used = 0, capacity = 10, largest = 10, extents = 0 }, stats())
    assert.same({ 10, 0 }, map())
  end)

  it("takes whole units and remembers what was asked for", function()
    open(10)
    local extent = alloc(UNIT + 1, 5)
    assert.equal(UNIT + 1, tonumber(extent.bytes))
    assert.equal(2 * UNIT, tonumber(extent.taken))
    alloc(0, 6)
    assert.same({ 2, 5, 1, 6, 7, 0 }, map())
    ffi.fill(extent.address, extent.bytes, 1)
  end)

  it("takes the run that fits best", function()
    open(20)
    local five = alloc(5 * UNIT)
    alloc(UNIT)
    local three = alloc(3 * UNIT)
    alloc(UNIT)
    free(five)
    free(three)
    assert.same({ 5, 0, 1, 1, 3, 0, 1, 1, 10, 0 }, map())
    alloc(3 * UNIT, 9)
    assert.same({ 5, 0, 1, 1, 3, 9, 1, 1, 10, 0 }, map())
    alloc(4 * UNIT, 8)
    assert.same({ 4, 8, 1, 0, 1, 1, 3, 9, 1, 1, 10, 0 }, map())
  end)

  it("merges a freed run with its neighbours", function()
    open(9)
    local a, b, c = alloc(3 * UNIT), alloc(3 * UNIT), alloc(3 * UNIT)
    free(a)
    free(c)
    assert.same({ 3, 0, 3, 1, 3, 0 }, map())
    free(b)
    assert.same({ 9, 0 }, map())
    assert.same({ used = 0, capacity = 9, largest = 9, extents = 0 }, stats())
  end)

  it("says how much is free and how long the longest run is when it refuses", function()
    open(9)
    local first = alloc(2 * UNIT)
    alloc(UNIT)
    free(first)
    assert.is_nil(alloc(7 * UNIT))
    assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
    assert.matches("14680064 bytes asked for, 16777216 are free, the longest run has 12582912",
      ffi.string(C.error_last().message))
    assert.is_nil(alloc(ffi.cast("size_t", -1)))
    assert.is_true(alloc(6 * UNIT) ~= nil)
    assert.is_true(alloc(2 * UNIT) ~= nil)
    assert.is_nil(alloc(1))
    assert.equal(0, stats().largest)
  end)

  it("is refused when it is smaller than a unit or larger than the device", function()
    open(4)
    assert.is_true(C.pool_new(device, UNIT - 1) == null)
    assert.equal(C.ERR_INVALID_ARGUMENT, C.error_last().code)
    assert.is_true(C.pool_new(device, 100 * UNIT) == null)
    assert.equal(C.ERR_RESOURCE_EXHAUSTED, C.error_last().code)
  end)

  it("gives out memory that does not overlap", function()
    open(12)
    local extents = {}
    for i = 1, 4 do
      extents[i] = alloc(2 * UNIT + i)
      ffi.fill(extents[i].address, extents[i].bytes, i)
    end
    for i = 1, 4 do
      local bytes = ffi.cast("uint8_t *", extents[i].address)
      assert.equal(i, bytes[0])
      assert.equal(i, bytes[2 * UNIT + i - 1])
      assert.equal(0, tonumber(ffi.cast("uintptr_t", bytes) % 64))
    end
  end)

  -- The pieces follow each other without a gap, no two free ones touch, and they add up to what the stats say.
  local function check_map(expected)
    C.pool_picture_take(picture, pool)
    local at, used, extents, largest, was_free, seen = 0, 0, 0, 0, false, {}
    for i = 0, picture.count - 1 do
      local piece = pieces[i]
      local units, id = tonumber(piece.bytes) / UNIT, tonumber(ffi.cast("uintptr_t", piece.owner))
      assert(tonumber(piece.offset) == at * UNIT and units >= 1)
      assert(not (id == 0 and was_free), "free runs side by side")
      was_free = id == 0
      if was_free then
        largest = math.max(largest, units)
      else
        used, extents, seen[id] = used + units, extents + 1, units
      end
      at = at + units
    end
    local now = stats()
    assert(at == now.capacity and used == now.used and extents == now.extents and largest == now.largest)
    for id, units in pairs(expected) do assert(seen[id] == units, "extent lost") end
    return largest
  end

  it("keeps its books through random allocations and frees", function()
    open(500)
    math.randomseed(7)
    local live, expected, next_id, refused = {}, {}, 1, 0
    for step = 1, 4000 do
      local grow = math.random() < (step % 1000 < 500 and 0.6 or 0.4)
      if grow or #live == 0 then
        local units = math.random(5) == 1 and math.random(1, 120) or math.random(1, 6)
        local largest = stats().largest
        local extent = C.pool_alloc(pool, units * UNIT - math.random(0, UNIT - 1), owner(next_id))
        assert((extent ~= null) == (units <= largest))
        if extent ~= null then
          live[#live + 1] = { extent = extent, id = next_id }
          expected[next_id] = units
        else
          refused = refused + 1
        end
        next_id = next_id + 1
      else
        local pick = table.remove(live, math.random(#live))
        expected[pick.id] = nil
        C.pool_free(pool, pick.extent)
      end
      if step % 5 == 0 then check_map(expected) end
    end
    for _, each in ipairs(live) do C.pool_free(pool, each.extent) end
    assert.same({ 500, 0 }, map())
    assert.is_true(refused > 50)
  end)
end)
