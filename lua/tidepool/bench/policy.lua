--- What a scheduling decision costs: with a queue that stays full, one job ends, a request comes and the next job is
--- picked, over and over; each policy through the host that runs it in a node.
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local output = require "tidepool.cli.output"
local policy_host = require "tidepool.bench.policy_host"
local summary = require "tidepool.bench.summary"

-- What a decision may take.
local BAR_NS = 5000
-- Decisions before those that count, as a share of them: tables grow and traces are compiled.
local WARM_UP = 0.5

local SHIPPED = { "fifo", "edf", "random", "native", "keepalive", "torpor", "tide" }
-- They leave a model where it was put first: without memory for all, most requests would wait for ever.
local holds_all = { native = true, keepalive = true }

local function read_policy(name)
  local source = require("tidepool.native").embedded("policies/" .. name .. ".lua")
  return { name = name, source = source or files.need(name),
    folder = not source and (name:match "^(.*)/" or ".") or nil }
end

-- Fill the queue and start a job on every device; the numbers of the jobs that run, by device.
local function fill(host, options)
  for i = 0, options.queued + options.devices - 1 do host:submit(i) end
  local running = {}
  for _ = 1, options.devices do
    local _, job, device = host:dispatch()
    running[device] = job
  end
  return running
end

-- Lists of ns, of `count` decisions and what belongs to them.
local function decide(host, running, options, count)
  local times = { submit = {}, dispatch = {}, done = {}, decision = {}, evict = {}, tick = {} }
  for i = 1, count do
    local ended = i % options.devices
    local done = host:done(running[ended], ended)
    local submit = host:submit(running[ended])
    local dispatch, job, device, evict = host:dispatch()
    running[device] = job
    times.done[i], times.submit[i], times.dispatch[i] = done, submit, dispatch
    times.decision[i] = done + submit + dispatch
    if evict > 0 then times.evict[#times.evict + 1] = evict end
    times.tick[i] = host:tick(policy_host.RUN_NS / options.devices)
  end
  return times
end

local function measure(policy, options)
  math.randomseed(1)
  local host = policy_host.new(policy, { devices = options.devices, functions = options.functions,
    queued = options.queued, holds_all = holds_all[policy.name:match "([^/]+)%.lua$" or policy.name] })
  local ok, row = pcall(function()
    local running = fill(host, options)
    decide(host, running, options, math.ceil(WARM_UP * options.decisions))
    collectgarbage()
    collectgarbage "stop"
    local before, bytes = host.allocations, host:memory()
    local times = decide(host, running, options, options.decisions)
    local after, bytes_after = host.allocations, host:memory()
    host:check()
    local result = { policy = policy.name, allocations = after - before, memory_bytes = bytes_after,
      memory_grown = bytes_after - bytes }
    for name, list in pairs(times) do result[name .. "_ns"] = #list > 0 and summary.of(list) or nil end
    result.holds = result.decision_ns.p50 < BAR_NS and result.decision_ns.p99 < BAR_NS
    return result
  end)
  collectgarbage "restart"
  host:close()
  if not ok then error(row, 0) end
  return row
end

local function to_text(result)
  local rows = {}
  local function ns(times) return times and ("%.0f"):format(times.p50) or "-" end
  for index, row in ipairs(result.rows) do
    local decision = row.decision_ns
    rows[index] = { row.policy, ns(row.submit_ns), ns(row.dispatch_ns), ns(row.done_ns), ns(decision),
      ("%.0f"):format(decision.p99), ("%.4f"):format(row.allocations / result.decisions), ns(row.evict_ns),
      ("%.0f"):format(row.tick_ns.max), row.holds and "yes" or "no" }
  end
  return ("%d jobs queued, %d functions with a model each, %d devices; %d decisions; ns\n\n"):format(result.queued,
    result.functions, result.devices, result.decisions)
    .. output.rows({ "POLICY", "SUBMIT", "DISPATCH", "DONE", "DECISION", "P99", "ALLOCATIONS", "EVICT", "LONGEST TICK",
      "BELOW 5 US" }, rows)
end

local function count(text)
  local value = tonumber(text)
  if value and value >= 1 and value % 1 == 0 then return value end
  failure.usage(("'%s' is not a whole number from 1"):format(text))
end

return {
  summary = "A scheduling decision of each policy, and what it allocates.",
  options = function(parser)
    parser:argument("policies", "Built-in policies, or files of others; all that are built in when none is named.")
      :args "*"
    parser:option("--queued", "Jobs that wait."):argname "N":convert(count):default "1000"
    parser:option("--functions", "Functions, each with a model of its own."):argname "N":convert(count):default "1000"
    parser:option("--devices", "Devices, of which one is free at a time."):argname "N":convert(count):default "4"
    parser:option("--decisions", "Decisions that count: a job ends, one comes, one is picked.")
      :argname "N":convert(count):default "20000"
  end,
  run = function(options)
    local names, rows = #options.policies > 0 and options.policies or SHIPPED, {}
    for index, name in ipairs(names) do rows[index] = measure(read_policy(name), options) end
    return { queued = options.queued, functions = options.functions, devices = options.devices,
      decisions = options.decisions, bar_ns = BAR_NS, rows = rows }, to_text
  end,
}
