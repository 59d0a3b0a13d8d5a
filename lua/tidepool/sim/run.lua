--- One simulated run: functions of a profile's models on nodes, their requests, and what became of them.
local arrivals = require "tidepool.sim.arrivals"
local core = require "tidepool.sim.core"
local ffi = require "ffi"
local random = require "tidepool.sim.random"

local MS = 1e6
local MINUTE_NS = 60e9
-- Requests that are late by this much when the trace ends are waited for no longer.
local SETTLE_NS = 120e9
-- Functions a second and device that are warmed, and how soon each is called again.
local WARM_RATE = 3
local AGAIN_NS = 500e6

local run = {}

local function flatten(matrix, size)
  local list = {}
  for to = 1, size do
    for from = 1, size do list[#list + 1] = matrix and matrix[to] and matrix[to][from] or 0 end
  end
  return list
end

-- options: see run.simulate.
local function open(options)
  local node = options.profile.node
  local devices = options.devices or node.devices
  return core.new({
    nodes = options.nodes or 1,
    devices = devices,
    devices_per_switch = node.devices_per_switch or 0,
    memory_bytes = options.memory or node.memory,
    link_rate = node.link_rate,
    switch_rate = node.switch_rate or 0,
    copy_latency_ns = (node.copy_latency_ms or 0) * MS,
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
      group_bytes = options.group_bytes or 0,
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
local function add_functions(simulation, models, options)
  local numbers, functions = add_models(simulation, models, options), {}
  for i = 1, #options.rows do
    local turn = (i - 1) % #models
    local model = models[turn + 1]
    local deadline = deadline_of(model, options)
    local node = (i - 1 - turn) / #models % (options.nodes or 1)
    simulation:add_function { node = node, model = numbers[turn + 1], slo_percentile = options.profile.percentile,
      slo_ns = deadline * MS, batch_max = options.batch and options.batch.max or 0,
      batch_window_ns = options.batch and options.batch.window_ms * MS or 0 }
    functions[i] = { model = model.name, deadline_ms = deadline, node = node }
  end
  return functions
end

local function add_up(result, functions, percentile)
  for _, each in ipairs(functions) do
    result.requests = result.requests + each.requests
    result.in_time = result.in_time + each.in_time
    result.refused = result.refused + each.refused
    result.errors = result.errors + each.errors
    result.batched = result.batched + each.batched
    result.total_ms = result.total_ms + each.mean_ms * (each.requests - each.refused)
    each.complies = each.in_time >= percentile * each.requests
    if each.complies then result.compliant = result.compliant + 1 end
  end
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

local function collect(simulation, functions, models, options)
  local percentile, devices = options.profile.percentile, options.devices or options.profile.node.devices
  for i, each in ipairs(functions) do
    local counts = simulation:counts(i - 1)
    each.requests, each.in_time = counts.requests, counts.in_time
    each.refused, each.errors = counts.refused, counts.errors - counts.refused
    each.batched = counts.batched
    each.mean_ms = counts.mean_ns / MS
    each.p98_ms = simulation:quantile(i - 1, percentile) / MS
  end
  local result = { policy = options.policy.name, functions = #functions, compliant = 0, requests = 0, in_time = 0,
    refused = 0, errors = 0, batched = 0, total_ms = 0, devices = (options.nodes or 1) * devices }
  add_up(result, functions, percentile)
  local served = math.max(result.requests - result.refused, 1)
  result.share = result.compliant / result.functions
  result.in_time_of_admitted = result.in_time / served
  result.mean_ms, result.total_ms = result.total_ms / served, nil
  for name, q in pairs { p50_ms = 0.5, p98_ms = 0.98, p99_ms = 0.99 } do
    result[name] = simulation:quantile_of_all(q) / MS
  end
  local busy, jobs, loads = 0, 0, 0
  for node = 0, (options.nodes or 1) - 1 do
    for device = 0, devices - 1 do
      local counts = simulation:device(node, device)
      busy, jobs, loads = busy + counts.busy_ns, jobs + counts.jobs, loads + counts.loads
    end
  end
  result.busy = busy / (#options.rows[1] * MINUTE_NS * result.devices)
  result.loads = loads / math.max(jobs, 1)
  result.floor = floor_of(models, options, result.devices)
  result.faults, result.fault = simulation:faults()
  return result
end

local function copy_spans(simulation)
  local count, first = simulation:spans()
  local spans = {}
  for i = 0, count - 1 do
    local span = first[i]
    spans[i + 1] = { node = span.node, device = span.device, ["function"] = span["function"] + 1, source = span.source,
      from_ms = span.from_ns / MS, to_ms = span.to_ns / MS }
  end
  return spans
end

-- The paper's functions are warm: each is called before the trace begins, one after the other, and a second time soon
-- after, so that its run without a load is known too. Nothing of that is counted. Returns when the trace begins.
local function warm_up(simulation, options)
  local count, devices = #options.rows, (options.nodes or 1) * (options.devices or options.profile.node.devices)
  local minutes = math.ceil(count / (WARM_RATE * devices * 60))
  local order, calls = {}, {}
  for i = 1, count do order[i] = i - 1 end
  random.new(options.seed, 4):shuffle(order, count)
  for i, index in ipairs(order) do
    local at = math.floor(minutes * MINUTE_NS * (i - 1) / count)
    calls[#calls + 1] = { at, index }
    calls[#calls + 1] = { at + AGAIN_NS, index }
  end
  table.sort(calls, function(a, b) return a[1] < b[1] end)
  local times, functions = ffi.new("double[?]", #calls), ffi.new("uint32_t[?]", #calls)
  for i, call in ipairs(calls) do times[i - 1], functions[i - 1] = call[1], call[2] end
  simulation:run({ count = #calls, times = times, functions = functions }, minutes * MINUTE_NS + AGAIN_NS)
  local start = (minutes + 1) * MINUTE_NS
  simulation:settle(start)
  simulation:forget()
  return start
end

--- Simulate. options:
---   profile    of tidepool.sim.profiles
---   rows       rates a minute, a row a function (tidepool.sim.trace)
---   policy     {name, source, config (text) or nil}
---   arrivals   "poisson" or "smooth"
---   seed       a number
---   cold       true: the trace begins with nothing on the devices
---   nodes, devices (of one node), memory (bytes of a device), models (names, in turn), group_bytes, spans (how many to
---   keep), batch ({max, window_ms}: the profile must have batch_ms), native (functions are processes of their own):
---   all of these may be left out
--- Returns the totals, a list with a table a function, and the spans.
function run.simulate(options)
  local simulation = open(options)
  local models = find_models(options.profile, options.models)
  local functions = add_functions(simulation, models, options)
  local start = options.cold and 0 or warm_up(simulation, options)
  local source = arrivals.new(options.arrivals, options.rows, options.seed, start)
  local minutes = #options.rows[1]
  for minute = 1, minutes do
    local batch = source:minute(minute)
    simulation:run(batch, math.max(start + minute * MINUTE_NS, source.last))
  end
  local left = simulation:settle(start + minutes * MINUTE_NS + SETTLE_NS)
  local result = collect(simulation, functions, models, options)
  result.left = left
  local spans = copy_spans(simulation)
  simulation:close()
  return result, functions, spans
end

return run
