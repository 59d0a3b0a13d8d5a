--- What a node did between two looks at it: rates and shares, from the counters of node.status, function.list and
--- model.list.
local figures = {}

local methods = { "node.status", "function.list", "model.list" }

--- Ask the node for all its counters, in one round trip; nil, message, name when it does not answer.
function figures.look(connection)
  local pending, answers = {}, {}
  connection:batch(function()
    for index, method in ipairs(methods) do pending[index] = connection:send(method) end
  end)
  for index, each in ipairs(pending) do
    local answer, message, name = each:wait()
    if message then return nil, message, name end
    answers[index] = answer
  end
  return { node = answers[1], functions = answers[2], models = answers[3] }
end

local function by_name(list)
  local found = {}
  for _, each in ipairs(list) do found[each.name] = each end
  return found
end

-- How much the counter grew; one that shrank began anew.
local function growth(before, now, key)
  local old = before and before[key] or 0
  return now[key] >= old and now[key] - old or now[key]
end

-- A copy of `now` with NAME_per_s beside each of those counters.
local function with_rates(before, now, seconds, counters)
  local copy = {}
  for key, value in pairs(now) do copy[key] = value end
  for _, key in ipairs(counters) do copy[key .. "_per_s"] = growth(before, now, key) / seconds end
  return copy
end

local function device_between(before, now, seconds)
  local device = with_rates(before, now, seconds, { "jobs", "loads", "prefetches", "evictions" })
  for _, what in ipairs { "busy", "copying", "idle" } do
    device[what .. "_percent"] = math.min(100, growth(before, now, what .. "_us") / seconds / 1e4)
  end
  return device
end

local function model_between(before, now, seconds)
  local model = with_rates(before, now, seconds, { "runs" })
  model.device_bytes = 0
  for _, device in ipairs(now.devices) do model.device_bytes = model.device_bytes + device.bytes end
  return model
end

-- The sums of the functions' rates: the node's own counters have our looks in them.
local function add_totals(result)
  for _, key in ipairs { "requests_per_s", "errors_per_s", "refused_per_s" } do
    result[key] = 0
    for _, each in ipairs(result.functions) do result[key] = result[key] + each[key] end
  end
end

--- Two looks, or one and nil before it: then since the node's start. { seconds, node, devices, functions, models }:
--- what the node said, with rates (requests_per_s …) and shares (busy_percent …) of the time between; and beside these
--- the functions' rates in all.
function figures.between(before, now)
  -- Another process: it counts anew.
  if before and before.node.pid ~= now.node.pid then before = nil end
  before = before or { node = { uptime_ms = 0, devices = {} }, functions = {}, models = {} }
  local seconds = math.max(1, now.node.uptime_ms - before.node.uptime_ms) / 1000
  local result = { seconds = seconds, devices = {}, functions = {}, models = {} }
  result.node = with_rates(before.node, now.node, seconds, {})
  result.node.devices = nil
  for index, each in ipairs(now.node.devices) do
    result.devices[index] = device_between(before.node.devices[index], each, seconds)
  end
  local functions, models = by_name(before.functions), by_name(before.models)
  for index, each in ipairs(now.functions) do
    result.functions[index] = with_rates(functions[each.name], each, seconds, { "requests", "errors", "refused" })
  end
  for index, each in ipairs(now.models) do
    result.models[index] = model_between(models[each.name], each, seconds)
  end
  add_totals(result)
  return result
end

-- Percentage points that a function lacks of its objective; below 0 when it has more, least without one.
local function shortfall(each)
  return each.slo_ms > 0 and each.slo_percentile - each.in_time_percent or -100
end

local keys = {
  rate = function(each) return each.requests_per_s end,
  slo = shortfall,
}

--- The ways that functions are sorted.
figures.orders = { "rate", "slo" }

-- Largest first by those functions of an element, one after the other; names in order where all are equal.
local function sort(list, ...)
  local by = { ... }
  table.sort(list, function(a, b)
    for _, key in ipairs(by) do
      local of_a, of_b = key(a), key(b)
      if of_a ~= of_b then return of_a > of_b end
    end
    return a.name < b.name
  end)
end

--- Functions by rate or by what they lack of their objective; models by what devices hold of them.
function figures.sort(result, order)
  sort(result.functions, keys[order], keys.rate, function(each) return each.requests end)
  sort(result.models, function(each) return each.device_bytes end, function(each) return each.runs end)
end

return figures
