--- Look-ahead: a stream of jobs none of which finds its model on the device: models that are alike in turn, fewer of
--- them in flight than there are, and memory for two. It can go no faster than the link carries models or the device
--- runs them; the share of the slower one's rate that it reaches, with look-ahead and without it.
---
--- A machine's speed drifts within seconds by more than what is to be seen here. So the stream is cut into rounds, and
--- behind each the two models that are on the device then are called in turn, one call at a time: what their jobs take
--- is the compute's rate in that round.
local client_now = require("tidepool.client.socket").now
local failure = require "tidepool.cli.failure"
local native = require "tidepool.native"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local summary = require "tidepool.bench.summary"
local swapping = require "tidepool.bench.swapping"

local part = { name = "ahead" }

local MODELS, WIDTH, WARM_UP = 5, 3, 3
-- Jobs of a round that are timed, and calls of models that are there behind them.
local ROUND, CALLS = 8, 6

local fifo = native.embedded "policies/fifo.lua"
-- fifo, and fifo without its prefetch.
local policies = {
  { name = "ahead", source = fifo },
  { name = "blind", source = (fifo:gsub("function fifo:prefetch", "function fifo:ignored")) },
}

-- Microseconds from one answer to the next, on average after the first few; the last two models are on the device then.
local function pace(connection, models)
  local started, ended
  swapping.stream(connection, WIDTH, function(index)
    return index <= ROUND + WARM_UP and models[(index - 1) % #models + 1] or nil
  end, function(index)
    if index == WARM_UP then started = client_now() end
    ended = client_now()
  end)
  return (ended - started) / ROUND * 1e6
end

-- Microseconds that jobs of models have the device when nothing is brought: of calls of two that are there.
local function compute_us(connection, models)
  local last = (ROUND + WARM_UP - 1) % #models + 1
  local pair = { models[(last - 2) % #models + 1], models[last] }
  local times = {}
  local before = swapping.device(connection).loads
  for index = 1, CALLS do times[index] = swapping.timed(connection, pair[index % 2 + 1]) end
  local loads = swapping.device(connection).loads - before
  if loads ~= 0 then failure.raise("%s: %d loads of models that should be there", pair[1].name, loads) end
  return summary.of(times).p50
end

-- A round with that policy: microseconds a job, microseconds of one that brings nothing, and what was brought.
local function measure_round(connection, models, policy)
  local _, message = connection:call("policy.load", { name = policy.name, source = policy.source,
    config = "{ prefix = false }" })
  if message then failure.raise("%s", message) end
  local before = swapping.device(connection)
  local job_us = pace(connection, models)
  local after = swapping.device(connection)
  return { job_us = job_us, compute_us = compute_us(connection, models), jobs = after.jobs - before.jobs,
    loads = after.loads - before.loads, prefetches = after.prefetches - before.prefetches }
end

-- Rounds of one policy as a row shows them.
local function summarize(rounds, copy_us)
  local all = { jobs = 0, loads = 0, prefetches = 0 }
  local job_us, compute, shares = {}, {}, {}
  for index, round in ipairs(rounds) do
    for name in pairs(all) do all[name] = all[name] + round[name] end
    job_us[index], compute[index] = round.job_us, round.compute_us
    shares[index] = math.max(round.compute_us, copy_us) / round.job_us
  end
  all.job_us, all.compute_us, all.share = summary.of(job_us), summary.of(compute), summary.of(shares)
  return all
end

local function measure(options, models, rate, alone)
  -- Prefixes would stay, and less than the whole of each model be copied.
  local config = swapping.config { memory = 2 * alone.bytes + alone.beside + swapping.SPARE, rate = rate,
    threads = options.threads }
  return node.with(config, function(started)
    local connection = started:connect()
    for _, model in ipairs(models) do model:deploy(connection) end
    local row = { model = models[1].name, rate = rate, copy_us = models[1].bytes / rate * 1e6 }
    local rounds = {}
    for _, policy in ipairs(policies) do rounds[policy.name] = {} end
    for index = 1, math.ceil(options.jobs / ROUND) do
      for _, policy in ipairs(policies) do
        rounds[policy.name][index] = measure_round(connection, models, policy)
      end
    end
    for _, policy in ipairs(policies) do row[policy.name] = summarize(rounds[policy.name], row.copy_us) end
    return row
  end)
end

function part.run(options, models)
  local rows = {}
  for _, model in ipairs(models) do
    swapping.with_variants(model.path, MODELS, options.open, function(variants)
      local alone = swapping.footprint(options, variants[1])
      local rates = { math.floor(model.bytes / (options.ratio * alone.us / 1e6)) }
      for rate in options.rates:gmatch "[^,]+" do table.insert(rates, #rates, swapping.bytes_a_second(rate)) end
      for _, rate in ipairs(rates) do rows[#rows + 1] = measure(options, variants, rate, alone) end
    end)
  end
  return rows
end

function part.to_text(rows, options)
  local lines = {}
  for index, row in ipairs(rows) do
    local function share(policy) return ("%.3f %.3f"):format(policy.share.p50, policy.share.min) end
    lines[index] = { row.model, swapping.rate_text(row.rate), output.duration(row.ahead.compute_us.p50),
      output.duration(row.copy_us), output.duration(row.ahead.job_us.p50), share(row.ahead),
      ("%d of %d"):format(row.ahead.prefetches, row.ahead.jobs), output.duration(row.blind.job_us.p50),
      share(row.blind) }
  end
  return ("Streams of jobs that all miss, %d in flight, %d models, rounds of %d jobs; medians of %d rounds, and the "
    .. "least share; the share of the link's or the compute's rate"):format(WIDTH, MODELS, ROUND,
    math.ceil(options.jobs / ROUND)) .. "\n\n"
    .. output.rows({ "MODEL", "LINK", "RUN", "COPY", "A JOB", "SHARE", "PREFETCHED", "WITHOUT", "SHARE" }, lines)
end

return part
