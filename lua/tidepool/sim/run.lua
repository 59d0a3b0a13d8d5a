--- One simulated run: functions of a profile's models on nodes, their requests, and what became of them.
---
--- Nodes have functions of their own and know nothing of each other, so they are simulated one after the other: as
--- long as one alone takes memory, and its books stay in the caches.
local calls = require "tidepool.sim.calls"
local core = require "tidepool.sim.core"
local ffi = require "ffi"

local MS = 1e6
local MINUTE_NS = 60e9
-- Requests that are late by this much when the trace ends are waited for no longer.
local SETTLE_NS = 120e9
-- Bytes/s of a link over which a copy takes no time that matters.
local FREE_RATE = 1e15

local run = {}

local function flatten(matrix, size)
  local list = {}
  for to = 1, size do
    for from = 1, size do list[#list + 1] = matrix and matrix[to] and matrix[to][from] or 0 end
  end
  return list
end

local function devices_of(options)
  return options.devices or options.profile.node.devices
end

-- One node. options: see run.simulate.
local function open(options)
  local node, devices = options.profile.node, devices_of(options)
  return core.new({
    nodes = 1,
    devices = devices,
    devices_per_switch = node.devices_per_switch or 0,
    memory_bytes = options.memory or node.memory,
    link_rate = options.free_copies and FREE_RATE or node.link_rate,
    switch_rate = options.free_copies and FREE_RATE or node.switch_rate or 0,
    copy_latency_ns = options.free_copies and 0 or (node.copy_latency_ms or 0) * MS,
    policy_name = options.policy.name,
    policy_source = options.policy.source,
    policy_config = options.policy.config,
    policy_folder = options.policy.folder,
    span_room = options.spans or 0,
  }, flatten(node.peers, devices))
end

local function find_models(profile, names)
  if not names then return profile.models end
  local found = {}
  for _, name in ipairs(names) do
    local model
    for _, each in ipairs(profile.models) do
      if each.name == name then model = each end
    end
    if not model then error(("profile %s has no model '%s'"):format(profile.name, name), 0) end
    found[#found + 1] = model
  end
  return found
end

-- ns of runs of 2 to `most` requests at once: between those that the profile has, in a straight line; beyond them, on
-- with the last two's. nil when the profile has no more than one's.
local function batch_times(model, most)
  local known = { { 1, model.resident_ms } }
  for count, ms in pairs(model.batch_ms or {}) do known[#known + 1] = { count, ms } end
  if #known == 1 or most < 2 then return nil end
  table.sort(known, function(a, b) return a[1] < b[1] end)
  local times, at = ffi.new("uint64_t[?]", most - 1), 2
  for count = 2, most do
    while at < #known and known[at][1] < count do at = at + 1 end
    local from, to = known[at - 1], known[at]
    times[count - 2] = (from[2] + (to[2] - from[2]) * (count - from[1]) / (to[1] - from[1])) * MS
  end
  return times
end

local function add_models(simulation, models, options)
  local numbers = {}
  local most = options.batch and options.batch.max or 1
  for i, model in ipairs(models) do
    local times = batch_times(model, most)
    if most > 1 and not times then
      error(("profile %s has no batch_ms of model '%s'"):format(options.profile.name, model.name), 0)
    end
    numbers[i] = simulation:add_model {
      name = model.name,
      bytes = options.native and options.profile.native_bytes or model.bytes,
      group_bytes = options.group_bytes or model.group_bytes or 0,
      run_ns = (options.native and model.native_ms or model.resident_ms) * MS,
      batch_count = most - 1,
      batch_ns = times,
    }
  end
  return numbers
end

local function deadline_of(model, options)
  local key = (options.nodes or 1) > 1 and "cluster_deadline_ms" or "deadline_ms"
  return model[key] or options.profile[key] or options.profile.deadline_ms
end

-- Models in turn; a node gets a whole round of them before the next one does.
local function plan_functions(models, options)
  local functions, nodes, counts = {}, options.nodes or 1, {}
  for i = 1, #options.rows do
    local turn = (i - 1) % #models
    local node = (i - 1 - turn) / #models % nodes
    local index = counts[node] or 0
    counts[node] = index + 1
    local model = models[turn + 1]
    functions[i] = { model = model.name, turn = turn + 1, deadline_ms = deadline_of(model, options), node = node,
      index = index }
  end
  return functions
end

-- Of each node, from 0: its functions, in order.
local function by_node(functions, nodes)
  local lists = {}
  for node = 0, nodes - 1 do lists[node] = {} end
  for i, fn in ipairs(functions) do
    local list = lists[fn.node]
    list[#list + 1] = i
  end
  return lists
end

-- A device's time and loads, into the totals.
local function add_devices(simulation, devices, totals)
  for device = 0, devices - 1 do
    local counts = simulation:device(0, device)
    totals.busy_ns, totals.jobs = totals.busy_ns + counts.busy_ns, totals.jobs + counts.jobs
    totals.loads = totals.loads + counts.loads
  end
end

local function add_faults(simulation, totals)
  local faults, fault = simulation:faults()
  totals.faults, totals.fault = totals.faults + faults, fault or totals.fault
end

local function copy_spans(simulation, functions, own, spans)
  local count, first = simulation:spans()
  for i = 0, count - 1 do
    local span, index = first[i], own[first[i]["function"] + 1]
    spans[#spans + 1] = { node = functions[index].node, device = span.device, ["function"] = index,
      source = span.source, from_ms = span.from_ns / MS, to_ms = span.to_ns / MS }
  end
end

local function collect_functions(simulation, functions, own, percentile)
  for _, index in ipairs(own) do
    local fn = functions[index]
    local counts = simulation:counts(fn.index)
    fn.requests, fn.in_time, fn.refused = counts.requests, counts.in_time, counts.refused
    fn.errors, fn.batched = counts.errors - counts.refused, counts.batched
    fn.mean_ms = counts.mean_ns / MS
    fn.p98_ms = simulation:quantile(fn.index, percentile) / MS
    fn.complies = fn.in_time >= percentile * fn.calls
  end
end

-- Simulate one node and add what it did to plan.totals and plan.spans. own: its functions' indices in plan.functions.
local function simulate_node(plan, node, own, options)
  local simulation = open(options)
  local numbers = add_models(simulation, plan.models, options)
  for _, index in ipairs(own) do
    local fn = plan.functions[index]
    simulation:add_function { node = 0, model = numbers[fn.turn], slo_percentile = options.profile.percentile,
      slo_ns = fn.deadline_ms * MS, batch_max = options.batch and options.batch.max or 0,
      batch_window_ns = options.batch and options.batch.window_ms * MS or 0 }
  end
  if plan.warm then
    simulation:run(plan.warm[node], plan.warm_until)
    simulation:settle(plan.start)
    simulation:forget()
  end
  simulation:run(plan.trace[node], plan.trace_until)
  plan.totals.left = plan.totals.left + simulation:settle(plan.trace_until + SETTLE_NS)
  collect_functions(simulation, plan.functions, own, options.profile.percentile)
  add_devices(simulation, devices_of(options), plan.totals)
  add_faults(simulation, plan.totals)
  copy_spans(simulation, plan.functions, own, plan.spans)
  plan.totals.latencies = simulation:add_latencies(plan.totals.latencies)
  simulation:close()
end

-- Who is called when, warm-up included.
local function plan_run(options)
  local nodes, models = options.nodes or 1, find_models(options.profile, options.models)
  local plan = { models = models, functions = plan_functions(models, options), start = 0, spans = {},
    totals = { busy_ns = 0, jobs = 0, loads = 0, faults = 0, left = 0 } }
  if not options.cold then
    plan.warm, plan.warm_until, plan.start = calls.warm_up(plan.functions, nodes, devices_of(options), options.seed)
  end
  plan.trace, plan.trace_until = calls.of_trace(plan.functions, nodes, options.rows, options.arrivals, options.seed,
    plan.start)
  return plan
end

-- The least share of the devices' time that any policy needs: nothing but the runs.
local function floor_of(models, options, devices)
  local work = 0
  for i, row in ipairs(options.rows) do
    local model = models[(i - 1) % #models + 1]
    for _, rate in ipairs(row) do work = work + rate * (options.native and model.native_ms or model.resident_ms) end
  end
  return work / (#options.rows[1] * MINUTE_NS / MS * devices)
end

local SUMMED = { "calls", "requests", "in_time", "refused", "errors", "batched" }

local function add_up(plan, result)
  local total_ms = 0
  for _, key in ipairs(SUMMED) do result[key] = 0 end
  for _, fn in ipairs(plan.functions) do
    for _, key in ipairs(SUMMED) do result[key] = result[key] + fn[key] end
    total_ms = total_ms + fn.mean_ms * (fn.requests - fn.refused)
    if fn.complies then result.compliant = result.compliant + 1 end
  end
  local served = math.max(result.requests - result.refused, 1)
  result.share = result.compliant / result.functions
  result.in_time_of_admitted = result.in_time / math.max(result.calls - result.refused, 1)
  result.mean_ms = total_ms / served
end

local function summarize(plan, options)
  local totals, devices = plan.totals, (options.nodes or 1) * devices_of(options)
  local result = { policy = options.policy.name, functions = #plan.functions, compliant = 0, devices = devices,
    left = totals.left, faults = totals.faults, fault = totals.fault }
  add_up(plan, result)
  for name, q in pairs { p50_ms = 0.5, p98_ms = 0.98, p99_ms = 0.99 } do
    result[name] = core.quantile_of(totals.latencies, q) / MS
  end
  result.busy = totals.busy_ns / (#options.rows[1] * MINUTE_NS * devices)
  result.loads = totals.loads / math.max(totals.jobs, 1)
  result.floor = floor_of(plan.models, options, devices)
  return result
end

--- Simulate. options:
---   profile    of tidepool.sim.profiles
---   rows       rates a minute, a row a function (tidepool.sim.trace)
---   policy     {name, source, config (text) or nil}
---   arrivals   "poisson" or "smooth"
---   seed       a number
---   cold       true: the trace begins with nothing on the devices
---   free_copies  true: links so fast that nothing but queueing is left between a request and its run
---   nodes, devices (of one node), memory (bytes of a device), models (names, in turn), group_bytes, spans (how many to
---   keep of a node), batch ({max, window_ms}: the profile must have batch_ms), native (functions are processes of
---   their own): all of these may be left out
--- Returns the totals, a list with a table a function, and the spans. A function complies when its percentile of all
--- its calls was answered in time: refused ones and those never answered were not.
function run.simulate(options)
  local plan = plan_run(options)
  local nodes = options.nodes or 1
  local owned = by_node(plan.functions, nodes)
  for node = 0, nodes - 1 do simulate_node(plan, node, owned[node], options) end
  return summarize(plan, options), plan.functions, plan.spans
end

return run
