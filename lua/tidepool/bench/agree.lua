--- Whether the simulator is right: the same requests at the same times, served by a real node and simulated from the
--- profile that was just measured of that node, policy by policy. The node's devices are host ones whose links and
--- compute are emulated, so that a small machine carries several: what they compute and copy is real, but takes as long
--- as the rates say.
---
--- Where a policy is close to what the devices carry, a request that comes a moment later changes all that follow: then
--- neither side tells much of the other. So each is simulated several times, its requests up to JITTER later, and the
--- table has the middle of that and how far apart the simulations are.
local agree_node = require "tidepool.bench.agree_node"
local agree_sim = require "tidepool.bench.agree_sim"
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local output = require "tidepool.cli.output"
local profiling = require "tidepool.profile.text"

-- Functions of the three models in turn; of what each is asked for, and of the devices' time that runs take.
local FUNCTIONS = 30
local BUSY = 0.2
local TOLERANCE = 0.1
-- Simulations of each policy; by how many seconds at most a request comes later in all but the first of them.
local SIMULATIONS, JITTER = 15, 0.001
-- Seconds between two requests while functions are warmed.
local WARM_GAP = 0.06

local POLICIES = { "tide", "edf", "fifo", "torpor", "random" }

-- Every function twice, one after the other: seconds and function.
local function warm_up()
  local list = {}
  for i = 1, 2 * FUNCTIONS do list[i] = { (i - 1) * WARM_GAP, (i - 1) % FUNCTIONS } end
  return list
end

-- A Poisson process for all functions together, each request of any of them: seconds and function.
local function poisson(seconds, rate, seed)
  math.randomseed(seed)
  local list, time = {}, 0
  while true do
    time = time - math.log(1 - math.random()) / rate
    if time >= seconds then return list end
    list[#list + 1] = { time, math.random(0, FUNCTIONS - 1) }
  end
end

local function mean_run_ms(profile)
  local total = 0
  for i = 1, FUNCTIONS do total = total + profile.models[(i - 1) % #profile.models + 1].resident_ms end
  return total / FUNCTIONS
end

-- Mean and percentiles of a list of ms.
local function figures(latencies)
  local total = 0
  table.sort(latencies)
  for _, ms in ipairs(latencies) do total = total + ms end
  local function quantile(q) return latencies[math.max(1, math.ceil(q * #latencies))] end
  return { mean_ms = total / #latencies, p50_ms = quantile(0.5), p98_ms = quantile(0.98) }
end

local function read_policy(name)
  local text = require("tidepool.native").embedded("policies/" .. name .. ".lua")
  return { name = name:match "([^/]+)%.lua$" or name, source = text or files.need(name) }
end

-- Requests up to JITTER later, in their new order; those of number 1 as they are.
local function delayed(requests, number)
  if number == 1 then return requests end
  local list = {}
  math.randomseed(number)
  for i, request in ipairs(requests) do list[i] = { request[1] + math.random() * JITTER, request[2] } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

-- The middle of the figures of several simulations, and the greatest of each over the least: spread.
local function simulate(profile, policy, warm, requests)
  local runs, middle, spread = {}, {}, {}
  for number = 1, SIMULATIONS do
    runs[number] = figures(agree_sim.run(profile, policy, FUNCTIONS, warm, delayed(requests, number)))
  end
  for key in pairs(runs[1]) do
    local values = {}
    for number, run in ipairs(runs) do values[number] = run[key] end
    table.sort(values)
    middle[key], spread[key] = values[math.ceil(#values / 2)], values[#values] / values[1]
  end
  return middle, spread
end

local function row_of(name, served, simulated, spread)
  local row = { policy = name, served = figures(served), simulated = simulated, spread = spread }
  row.mean_ratio = row.simulated.mean_ms / row.served.mean_ms
  row.p98_ratio = row.simulated.p98_ms / row.served.p98_ms
  row.agrees = math.abs(row.mean_ratio - 1) <= TOLERANCE and math.abs(row.p98_ratio - 1) <= TOLERANCE
  return row
end

-- The policies' names, best first.
local function order_of(rows, side, key)
  local sorted, names = {}, {}
  for i, row in ipairs(rows) do sorted[i] = row end
  table.sort(sorted, function(a, b) return a[side][key] < b[side][key] end)
  for i, row in ipairs(sorted) do names[i] = row.policy end
  return table.concat(names, " < ")
end

local function measure(options)
  return agree_node.with(FUNCTIONS, function(subject)
    local profile = profiling.complete(subject:profile(options.samples), "measured")
    local devices = profile.node.devices
    local rate = options.busy * devices / mean_run_ms(profile) * 1000
    local warm, requests, rows = warm_up(), poisson(options.seconds, rate, options.seed), {}
    local deadlines = {}
    for _, model in ipairs(profile.models) do deadlines[model.name] = model.deadline_ms end
    for i, name in ipairs(options.policies) do
      local policy = read_policy(name)
      local served = subject:serve(policy, deadlines, warm, requests)
      rows[i] = row_of(policy.name, served, simulate(profile, policy, warm, requests))
    end
    local result = { rows = rows, requests = #requests, per_second = rate, busy = options.busy, profile = profile }
    result.order = { served = order_of(rows, "served", "mean_ms"), simulated = order_of(rows, "simulated", "mean_ms") }
    result.order_p98 = { served = order_of(rows, "served", "p98_ms"),
      simulated = order_of(rows, "simulated", "p98_ms") }
    return result
  end)
end

local function to_text(result)
  local rows = {}
  local function ms(value) return ("%.1f"):format(value) end
  for i, row in ipairs(result.rows) do
    rows[i] = { row.policy, ms(row.served.mean_ms), ms(row.simulated.mean_ms), ("%.3f"):format(row.mean_ratio),
      ("%.2f"):format(row.spread.mean_ms), ms(row.served.p98_ms), ms(row.simulated.p98_ms),
      ("%.3f"):format(row.p98_ratio), ("%.2f"):format(row.spread.p98_ms), row.agrees and "yes" or "no" }
  end
  return output.rows({ "POLICY", "MEAN SERVED", "SIMULATED", "RATIO", "SPREAD", "P98 SERVED", "SIMULATED", "RATIO",
    "SPREAD", "WITHIN 10 %" }, rows)
    .. ("\n%d requests, %.0f a second, runs alone %.0f %% of the devices' time\n"):format(result.requests,
      result.per_second, 100 * result.busy)
    .. ("by mean, served:    %s\n         simulated: %s\n"):format(result.order.served, result.order.simulated)
    .. ("by p98,  served:    %s\n         simulated: %s\n"):format(result.order_p98.served, result.order_p98.simulated)
end

local function share(text)
  local value = tonumber(text)
  if value and value > 0 and value < 2 then return value end
  failure.usage("'%s' is not a share above 0", text)
end

return {
  summary = "Whether the simulator is right: a real node and its simulation under the same requests.",
  options = function(parser)
    parser:argument("policies", "Built-in policies or files; if none is named: " .. table.concat(POLICIES, ", "))
      :args "*"
    parser:option("--seconds", "Length of the trace."):argname "S":convert(tonumber):default "25"
    parser:option("--busy", "Share of the devices' time that runs alone take."):argname "SHARE":convert(share)
      :default(tostring(BUSY))
    parser:option("--samples", "Of each figure of the profile."):argname "N":convert(tonumber):default "9"
    parser:option("--seed", "Another number, other arrivals."):argname "N":convert(tonumber):default "1"
  end,
  run = function(options)
    if #options.policies == 0 then options.policies = POLICIES end
    return measure(options), to_text
  end,
}
