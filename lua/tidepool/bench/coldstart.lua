--- How long the first call of a function takes, when it has no worker yet, and what functions cost that are not used.
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local socket = require "tidepool.client.socket"
local summary = require "tidepool.bench.summary"

local SOURCE = "return { handler = function(ctx, req) return req end }"
-- Workers stay for longer than the measurement takes.
local CONFIG = "return { log = 'error', worker = { idle_ms = 3600000 } }"

-- Microseconds that one call takes.
local function timed_call(connection, name)
  local before = socket.now()
  local result, message = connection:invoke(name, "x")
  if message then failure.raise("%s: %s", name, message) end
  assert(result == "x", "the function answers something else")
  return (socket.now() - before) * 1e6
end

local function deploy(connection, count)
  for index = 1, count do
    local name = "cold" .. index
    local _, message = connection:call("function.deploy", { name = name, source = SOURCE, chunk = name .. ".lua" })
    if message then failure.raise("%s", message) end
  end
end

-- Calls each function in turn.
local function round(connection, count)
  local samples = {}
  for index = 1, count do samples[index] = timed_call(connection, "cold" .. index) end
  return summary.of(samples)
end

-- A round finds no worker, the next one finds each idle.
local function measure(started, count)
  local connection = started:connect()
  local before = started:private_memory()
  deploy(connection, count)
  local deployed = started:private_memory()
  local result = { first_us = round(connection, count), second_us = round(connection, count) }
  result.node_bytes = (deployed - before) / count
  result.node_worker_bytes = (started:private_memory() - deployed) / count
  result.worker_bytes = summary.of(started:worker_memory())
  return result
end

local function to_text(result)
  local function row(title, samples)
    return { title, samples.count, output.duration(samples.min), output.duration(samples.p50),
      output.duration(samples.p90), output.duration(samples.p99), output.duration(samples.max) }
  end
  local workers = result.worker_bytes
  return output.rows({ "CALL", "FUNCTIONS", "LEAST", "P50", "P90", "P99", "MOST" }, {
    row("first, no worker", result.first_us), row("second, worker idle", result.second_us),
  }) .. "\n\n" .. table.concat({
    ("private memory of an idle worker: %s (median of %d), at most %s"):format(
      output.bytes(workers.p50), workers.count, output.bytes(workers.max)),
    ("the node's own, a function: %s deployed, %s more with a worker"):format(
      output.bytes(result.node_bytes), output.bytes(result.node_worker_bytes)),
  }, "\n")
end

return {
  summary = "First call of functions that have no worker; memory of idle workers.",
  options = function(parser)
    parser:option("--functions", "Functions to deploy and call in turn."):argname "N":convert(tonumber):default "100"
  end,
  run = function(options)
    return node.with(CONFIG, function(started) return measure(started, options.functions) end), to_text
  end,
}
