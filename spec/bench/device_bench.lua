-- `spec-runner spec/bench/device_bench.lua [--json]`: what streams, events, copies, emulated links and the pool cost.
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path

local ffi = require "ffi"
local json = require "tidepool.json"
local C = require "spec.support.c"("device/device.h", "device/pool.h", "spec/support/stopwatch.h")
local new_rig = require "spec.support.rig"
local check = new_rig.check

local MIB = 2 ^ 20
local rows = {}

local function row(what, unit, values)
  rows[#rows + 1] = { what = what, unit = unit, values = values }
end

-- Median, 99th percentile and least of the first count entries, times scale.
local function spread(times, count, scale)
  local list = {}
  for i = 0, count - 1 do list[i + 1] = tonumber(times[i]) * scale end
  table.sort(list)
  return { p50 = list[math.ceil(count * 0.5)], p99 = list[math.ceil(count * 0.99)], min = list[1] }
end

local function streams()
  local rig = new_rig()
  local device = rig.open()
  local on, other, event = rig.stream(device), rig.stream(device), rig.event(device)
  local count = 2000
  local times = ffi.new("uint64_t[?]", count)
  check(C.stopwatch_run_now(on, count, times))
  row("run_now", "us", spread(times, count, 1e-3))
  check(C.stopwatch_round_trips(on, count, 0, times))
  row("put, run, notify: the thread looks", "us", spread(times, count, 1e-3))
  check(C.stopwatch_round_trips(on, 500, 300, times))
  row("put, run, notify: the thread sleeps", "us", spread(times, 500, 1e-3))
  local patient = rig.open { spin_ns = 500000, index = 1 }
  check(C.stopwatch_hand_overs(rig.stream(patient), rig.stream(patient), rig.event(patient), 500, 200, times))
  row("event to a stream that looks", "us", spread(times, 500, 1e-3))
  check(C.stopwatch_hand_overs(on, other, event, 500, 300, times))
  row("event to a stream that sleeps", "us", spread(times, 500, 1e-3))
  local put, run = ffi.new "double[1]", ffi.new "double[1]"
  local puts, runs, rounds = 0, 0, 200
  for _ = 1, rounds do
    check(C.stopwatch_puts(on, 100, put, run))
    puts, runs = puts + put[0], runs + run[0]
  end
  row("put of one launch of a hundred", "ns", { mean = puts / rounds })
  row("the same, carried out, with the way back to the caller", "ns", { mean = runs / rounds })
  check(C.stopwatch_marks(on, event, 200000, put))
  row("record and wait on one stream", "ns", { mean = put[0] })
  rig.close()
end

-- GB/s of several ways to copy, interleaved: the speed of a shared machine drifts.
local function copies()
  local rig = new_rig()
  local bytes = 256 * MIB
  local device = rig.open { memory_bytes = bytes }
  local on = rig.stream(device, C.STREAM_COPY_IN)
  local to = rig.reserve(device, bytes)
  local from = C.device_host_alloc(device, bytes)
  ffi.fill(to, bytes, 1)
  ffi.fill(from, bytes, 2)
  for _, size in ipairs { 2 * MIB, bytes } do
    local ns = ffi.new "uint64_t[1]"
    local best = { memcpy = 1e18, plain = 1e18, stream = 1e18 }
    for round = 0, 9 do
      local shift = round * size % bytes
      best.memcpy = math.min(best.memcpy, tonumber(C.stopwatch_memcpy(to + shift, from, size)))
      best.plain = math.min(best.plain, tonumber(C.stopwatch_host_copy(to + shift, from, size)))
      check(C.stopwatch_copy_in(on, to + shift, from, size, ns))
      best.stream = math.min(best.stream, tonumber(ns[0]))
    end
    local label = string.format("copy of %d MiB, ", size / MIB)
    row(label .. "memcpy", "GB/s", { best = size / best.memcpy })
    row(label .. "non-temporal, this thread", "GB/s", { best = size / best.plain })
    row(label .. "stream_copy_in", "GB/s", { best = size / best.stream })
  end
  C.device_host_free(device, from)
  rig.close()
end

local function link(rate)
  local rig = new_rig()
  local group, groups = 2 * MIB, 128
  local device = rig.open { memory_bytes = group * groups, link_rate = rate }
  local on, event = rig.stream(device, C.STREAM_COPY_IN), rig.event(device)
  local to = rig.reserve(device, group * groups)
  local from = C.device_host_alloc(device, group)
  ffi.fill(to, group * groups, 1)
  ffi.fill(from, group, 2)
  local times, ns = ffi.new "uint64_t[9]", ffi.new "uint64_t[1]"
  for round = 0, 8 do
    check(C.stopwatch_groups(on, event, to, from, group, groups, ns))
    times[round] = ns[0]
  end
  local found = spread(times, 9, 1 / (group * groups / rate * 1e9))
  row(string.format("link of %d GB/s, 256 MiB in groups: time over nominal", rate / 1e9), "x",
    { p50 = found.p50, min = found.min, p99 = found.p99 })
  C.device_host_free(device, from)
  rig.close()
end

-- Groups of a model of about that many bytes: 2 MiB, and a parameter of its own kind of size now and then.
local function cut(bytes)
  local groups, left = {}, bytes
  while left > 0 do
    local size = math.random(8) == 1 and math.random(2, 60) * MIB or 2 * MIB
    groups[#groups + 1] = math.min(size, left)
    left = left - groups[#groups]
  end
  return groups
end

-- 40 models of 5 MB to 1.4 GB share a quarter of what they take together; each cycle wants one at random.
local function pool(cycles)
  math.randomseed(1)
  local models, total = {}, 0
  for i = 1, 40 do
    local bytes = math.floor(5e6 * (1400 / 5) ^ ((i - 1) / 39))
    models[i] = { id = ffi.cast("const void *", i), groups = cut(bytes), used = 0 }
    total = total + bytes
  end
  local rig = new_rig()
  local device = rig.open { memory_bytes = total }
  local it = C.pool_new(device, total / 4)
  local times, frees, refused, fragmented, ns = {}, {}, 0, 0, ffi.new "uint64_t[1]"
  local stats = ffi.new "struct pool_stats"

  local function drop(model)
    for _, extent in ipairs(model.extents) do
      C.stopwatch_pool_free(it, extent, ns)
      frees[#frees + 1] = tonumber(ns[0])
    end
    model.extents = nil
  end

  local function evict(except)
    local oldest
    for _, each in ipairs(models) do
      if each ~= except and each.extents and (not oldest or each.used < oldest.used) then oldest = each end
    end
    drop(oldest)
  end

  local function load(model)
    model.extents = {}
    for _, bytes in ipairs(model.groups) do
      local extent = C.stopwatch_pool_alloc(it, bytes, model.id, ns)
      times[#times + 1] = tonumber(ns[0])
      while extent == nil do
        C.pool_stats(it, stats)
        refused = refused + 1
        if tonumber(stats.capacity - stats.used) >= bytes then fragmented = fragmented + 1 end
        evict(model)
        extent = C.stopwatch_pool_alloc(it, bytes, model.id, ns)
      end
      model.extents[#model.extents + 1] = extent
    end
  end

  for cycle = 1, cycles do
    local model = models[math.random(40)]
    model.used = cycle
    if not model.extents then load(model) end
  end
  for _, each in ipairs(models) do
    if each.extents then drop(each) end
  end
  for name, list in pairs { pool_alloc = times, pool_free = frees } do
    local array = ffi.new("uint64_t[?]", #list)
    for i, each in ipairs(list) do array[i - 1] = each end
    local found = spread(array, #list, 1e-3)
    found.calls = #list
    row(name .. " under churn", "us", found)
  end
  row("refusals for want of memory, and though enough was free in all", "", { all = refused, fragmented = fragmented })
  C.pool_delete(it)
  rig.close()
end

streams()
copies()
link(12e9)
link(3e9)
pool(10000)

if arg[1] == "--json" then
  print(json.encode(rows))
else
  for _, each in ipairs(rows) do
    local cells = {}
    for _, name in ipairs { "mean", "best", "min", "p50", "p99", "calls", "all", "fragmented" } do
      local value = each.values[name]
      if value then
        cells[#cells + 1] = string.format(value % 1 == 0 and "%s %d" or "%s %.3f", name, value)
      end
    end
    print(string.format("%-64s %-5s %s", each.what, each.unit, table.concat(cells, "  ")))
  end
end
