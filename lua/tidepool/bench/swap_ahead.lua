--- Look-ahead: a stream of jobs none of which finds its model on the device: models that are alike in turn, fewer of
--- them in flight than there are, and memory for two. It can go no faster than the link carries models or the device
--- runs them; the share of the slower one's rate that it reaches, with look-ahead and without it.
local client_now = require("tidepool.client.socket").now
local failure = require "tidepool.cli.failure"
local native = require "tidepool.native"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local swapping = require "tidepool.bench.swapping"

local part = { name = "ahead" }

local MODELS, WIDTH, WARM_UP = 5, 3, 5

-- fifo without its prefetch.
local function blind_source()
  return (native.embedded "policies/fifo.lua":gsub("function fifo:prefetch", "function fifo:ignored"))
end

-- Microseconds from one answer to the next, on average after the first few.
local function pace(connection, models, jobs)
  local started, ended
  swapping.stream(connection, WIDTH, function(index)
    return index <= jobs + WARM_UP and models[(index - 1) % #models + 1] or nil
  end, function(index)
    if index == WARM_UP then started = client_now() end
    ended = client_now()
  end)
  return (ended - started) / jobs * 1e6
end

-- With what the device had to bring meanwhile.
local function measure_policy(connection, models, jobs)
  local before = swapping.device(connection)
  local job_us = pace(connection, models, jobs)
  local after = swapping.device(connection)
  return { job_us = job_us, jobs = after.jobs - before.jobs, loads = after.loads - before.loads,
    prefetches = after.prefetches - before.prefetches }
end

local function measure(options, models, rate, alone)
  -- Prefixes would stay, and less than the whole of each model be copied.
  local config = swapping.config { memory = 2 * alone.bytes + alone.beside + swapping.SPARE, rate = rate,
    threads = options.threads, policy_config = "{ prefix = false }" }
  return node.with(config, function(started)
    local connection = started:connect()
    for _, model in ipairs(models) do model:deploy(connection) end
    local row = { model = models[1].name, rate = rate, resident_us = alone.us, copy_us = models[1].bytes / rate * 1e6 }
    row.ahead = measure_policy(connection, models, options.jobs)
    local _, message = connection:call("policy.load", { name = "blind", source = blind_source() })
    if message then failure.raise("%s", message) end
    row.blind = measure_policy(connection, models, options.jobs)
    local least = math.max(row.resident_us, row.copy_us)
    row.share, row.blind_share = least / row.ahead.job_us, least / row.blind.job_us
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
    lines[index] = { row.model, swapping.rate_text(row.rate), output.duration(row.resident_us),
      output.duration(row.copy_us), output.duration(row.ahead.job_us), ("%.3f"):format(row.share),
      ("%d of %d"):format(row.ahead.prefetches, row.ahead.jobs), output.duration(row.blind.job_us),
      ("%.3f"):format(row.blind_share) }
  end
  return ("A stream of %d jobs that all miss, %d in flight, %d models; the share of the link's or the compute's rate")
    :format(options.jobs, WIDTH, MODELS) .. "\n\n"
    .. output.rows({ "MODEL", "LINK", "RUN", "COPY", "A JOB", "SHARE", "PREFETCHED", "WITHOUT", "SHARE" }, lines)
end

return part
