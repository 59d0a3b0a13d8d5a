-- Forty models of 5 MB to 1.4 GB on a device that holds a quarter of them, loaded and trimmed at random while some are
-- pinned, as running jobs do: what fits beside the pins is always found room for, and nothing grows.
-- TIDEPOOL_CHURN_CYCLES says how many cycles (10,000 in full).
local ffi = require "ffi"
local C = require "spec.support.c"("model/residency.h", "base/clock.h")
local new_rig = require "spec.support.rig"
local random = require "spec.support.random"

local is_sanitized = require "spec.support.sanitizer"
local CYCLES = tonumber(os.getenv "TIDEPOOL_CHURN_CYCLES") or is_sanitized and 100 or 1000
-- Two are pinned at a time, as on a device: one that runs, and one that is being brought for the next job.
local MODELS, PINS, UNIT = 40, 2, 2 * 2 ^ 20

describe("residency under churn", function()
  local rig, device, pool, models, pick, needed

  -- Groups of one unit, and now and then one large parameter.
  local function image(bytes)
    local sizes, left = {}, bytes
    while left > 0 do
      local size = pick(8) == 1 and (1 + pick(59)) * UNIT / 2 or UNIT
      sizes[#sizes + 1] = math.min(size, left)
      left = left - sizes[#sizes]
    end
    local groups, offset = rig.keep(ffi.new("struct image_group[?]", #sizes)), 0
    for i, size in ipairs(sizes) do
      groups[i - 1] = { offset = offset, bytes = size }
      offset = offset + size
    end
    return rig.keep(ffi.new("struct image", { bytes = bytes, group_count = #sizes, groups = groups }))
  end

  setup(function()
    rig, pick, needed = new_rig(), random(3), ffi.new "uint64_t[1]"
    models = {}
    local total = 0
    for i = 1, MODELS do
      local bytes = math.floor(5e6 * (1400 / 5) ^ ((i - 1) / (MODELS - 1)) / 64) * 64
      models[i] = { image = image(bytes), used = 0, pins = {} }
      total = total + bytes
    end
    device = rig.open { memory_bytes = total }
    pool = C.pool_new(device, total / 4)
    for _, model in ipairs(models) do model.residency = C.residency_new(pool, device, model.image, model.image) end
  end)

  local pinned = {}

  local function unpin(model)
    C.residency_unpin(model.residency, table.remove(model.pins, 1))
  end

  teardown(function()
    while #pinned > 0 do unpin(table.remove(pinned)) end
    for _, model in ipairs(models) do C.residency_delete(model.residency) end
    C.pool_delete(pool)
    rig.close()
  end)

  local function stats()
    local now = ffi.new "struct pool_stats"
    C.pool_stats(pool, now)
    return now
  end

  -- Trim the model that was used longest ago and has something unpinned; false: there is none.
  local function evict()
    local oldest
    for _, model in ipairs(models) do
      local loose = C.residency_groups(model.residency) > C.residency_pinned(model.residency)
      if loose and (not oldest or model.used < oldest.used) then oldest = model end
    end
    return oldest and C.residency_trim(oldest.residency, 0) > 0 or false
  end

  local function pin(model)
    local groups = C.residency_groups(model.residency)
    C.residency_pin(model.residency, groups)
    model.pins[#model.pins + 1] = groups
    pinned[#pinned + 1] = model
    if #pinned > PINS then unpin(table.remove(pinned, 1)) end
  end

  -- Bytes that could be had beside what is pinned now.
  local function reachable()
    local held = 0
    for _, model in ipairs(models) do
      local last = C.residency_pinned(model.residency)
      for group = 0, last - 1 do held = held + math.ceil(tonumber(model.image.groups[group].bytes) / UNIT) * UNIT end
    end
    return tonumber(stats().capacity) - held
  end

  -- What is missing of the model, in units of the pool.
  local function wanted(model)
    return tonumber(C.residency_missing_bytes(model.residency))
  end

  -- True when the whole model is there, and what a group of it took, ns; nil when it cannot be.
  local function load(model)
    local count = model.image.group_count
    local groups = C.residency_groups(model.residency)
    C.residency_pin(model.residency, groups)
    local started, begun
    repeat
      started = C.clock_now()
      begun = C.residency_begin_load(model.residency, count, needed)
    until begun ~= nil or not evict()
    local taken = tonumber(C.clock_now() - started)
    C.residency_unpin(model.residency, groups)
    if begun == nil then return nil end
    -- Nothing is copied: what counts here is memory.
    C.residency_finish_load(begun, nil)
    return true, taken / (count - groups)
  end

  local function resident_bytes()
    local file = assert(io.open "/proc/self/statm")
    local pages = tonumber(file:read "*a":match "^%d+ (%d+)")
    file:close()
    return pages * 4096
  end

  it(("finds room in each of %d cycles while there is enough"):format(CYCLES), function()
    local short, failed, times, memory = 0, 0, {}, 0
    for cycle = 1, CYCLES do
      local model = models[pick(MODELS)]
      model.used = cycle
      if C.residency_groups(model.residency) < model.image.group_count then
        local could = wanted(model) <= reachable()
        local loaded, ns = load(model)
        if loaded then
          times[#times + 1] = ns
        elseif could then
          failed = failed + 1
        else
          short = short + 1
        end
      end
      pin(model)
      if pick(4) == 1 then
        local victim = models[pick(MODELS)]
        C.residency_trim(victim.residency, pick(victim.image.group_count) - 1)
      end
      if cycle == math.floor(CYCLES / 4) then memory = resident_bytes() end
    end
    local growth = resident_bytes() - memory
    table.sort(times)
    local p99 = times[math.ceil(#times * 0.99)]
    if os.getenv "TIDEPOOL_CHURN_CYCLES" then
      print(("%d loads; a group's extent and event: p50 %.0f ns, p99 %.0f ns; %d refused for want of memory, %d "
        .. "though it was there"):format(#times, times[math.ceil(#times / 2)], p99, short, failed))
    end
    assert.equal(0, failed)
    assert.is_true(#times > CYCLES / 10)
    if not is_sanitized then assert.is_true(p99 < 10000, p99 .. " ns") end
    while #pinned > 0 do unpin(table.remove(pinned)) end
    for _, model in ipairs(models) do C.residency_trim(model.residency, 0) end
    assert.equal(0, tonumber(stats().used))
    assert.equal(tonumber(stats().capacity), tonumber(stats().largest_free))
    -- Most of it the list of times.
    assert.is_true(growth < 4 * 2 ^ 20, growth .. " bytes more")
  end)
end)
