--- How long the first call of a function takes, when it has no worker yet, and what an idle worker costs.
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local socket = require "tidepool.client.socket"
local summary = require "tidepool.bench.summary"

local SOURCE = "return { handler = function(ctx, req) return req end }"

-- Microseconds that one call takes.
local function timed_call(connection, name)
  local before = socket.now()
  local result, message = connection:invoke(name, "x")
  if message then failure.raise("%s: %s", name, message) end
  assert(result == "x", "the function answers something else")
  return (socket.now() - before) * 1e6
end

-- A function of its own for each sample: only its first call finds no worker.
local function measure(connection, count)
  local first, second = {}, {}
  for index = 1, count do
    local name = "cold" .. index
    local _, message = connection:call("function.deploy", { name = name, source = SOURCE, chunk = name .. ".lua" })
    if message then failure.raise("%s", message) end
    first[index] = timed_call(connection, name)
    second[index] = timed_call(connection, name)
  end
  return summary.of(first), summary.of(second)
end

local function to_text(result)
  local function row(title, samples)
    return { title, samples.count, output.duration(samples.min), output.duration(samples.p50),
      output.duration(samples.p90), output.duration(samples.p99), output.duration(samples.max) }
  end
  return output.rows({ "CALL", "SAMPLES", "LEAST", "P50", "P90", "P99", "MOST" }, {
    row("first, no worker", result.first_us), row("second, worker idle", result.second_us),
  }) .. "\n\n" .. ("private memory of an idle worker: %s (median of %d), at most %s"):format(
    output.bytes(result.worker_bytes.p50), result.worker_bytes.count, output.bytes(result.worker_bytes.max))
end

return {
  summary = "First call of a function that has no worker; memory of idle workers.",
  options = function(parser)
    parser:option("--samples", "Functions to call."):argname "N":convert(tonumber):default "100"
  end,
  run = function(options)
    local result = node.with(nil, function(started)
      local first, second = measure(started:connect(), options.samples)
      return { first_us = first, second_us = second, worker_bytes = summary.of(started:worker_memory()) }
    end)
    return result, to_text
  end,
}
