--- Calls of an empty handler and of a tiny model without a handler, one at a time and many at once, beside Tarantool's
--- call of an empty stored function; in turns, so that all meet the same machine.
local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local load = require "tidepool.bench.load"
local node = require "tidepool.bench.node"
local onnx = require "tidepool.bench.onnx"
local output = require "tidepool.cli.output"
local summary = require "tidepool.bench.summary"
local yardstick = require "tidepool.bench.yardstick"

local EMPTY = "return { handler = function() end }"
local TINY = "return { models = { net = 'sum.onnx' } }"

local function deploy(connection, name, source, models)
  local _, message = connection:call("function.deploy", {
    name = name, source = source, chunk = name .. ".lua", models = models,
  })
  if message then failure.raise("%s: %s", name, message) end
end

local function deploy_all(connection)
  deploy(connection, "empty", EMPTY)
  deploy(connection, "tiny", TINY, { net = { data = client.bin(onnx.sum()) } })
  local one = client.tensor("FP32", { 1 }, { 1 })
  local result, message = connection:invoke("tiny", { a = one, b = one })
  if message then failure.raise("tiny: %s", message) end
  assert(client.to_list(result.y)[1] == 2, "the tiny model cannot add")
end

-- What is measured: run(window, seconds) of each by its name.
local function subjects(address, beside)
  local one = client.tensor("FP32", { 1 }, { 1 })
  local list = {
    { name = "empty handler", run = function(window, seconds)
      return load.run(address, window, seconds, "invoke", { "empty", 0 })
    end },
    { name = "tiny model, no handler", run = function(window, seconds)
      return load.run(address, window, seconds, "invoke", { "tiny", { a = one, b = one } })
    end },
  }
  if beside then
    list[3] = { name = "Tarantool", run = function(window, seconds) return beside:run(window, seconds) end }
  end
  return list
end

-- The median over rounds of each figure of runs of one kind.
local function middle(runs)
  local function of(read)
    local values = {}
    for index, run in ipairs(runs) do values[index] = read(run) end
    return summary.of(values).p50
  end
  return {
    p50_us = of(function(run) return run.latency_us.p50 end),
    p99_us = of(function(run) return run.latency_us.p99 end),
    per_second = of(function(run) return run.per_second end),
  }
end

-- Every subject in every round, one window size after the other.
local function measure(list, windows, rounds, seconds)
  local runs = {}
  for _ = 1, rounds do
    for _, window in ipairs(windows) do
      for _, subject in ipairs(list) do
        local key = subject.name .. "/" .. window
        runs[key] = runs[key] or {}
        table.insert(runs[key], subject.run(window, seconds))
      end
    end
  end
  local rows = {}
  for _, subject in ipairs(list) do
    for _, window in ipairs(windows) do
      local row = middle(runs[subject.name .. "/" .. window])
      row.name, row.window = subject.name, window
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function to_text(result)
  local rows = {}
  for index, row in ipairs(result.rows) do
    rows[index] = { row.name, row.window, ("%.1f us"):format(row.p50_us), ("%.1f us"):format(row.p99_us),
      ("%.0f"):format(row.per_second) }
  end
  local text = output.rows({ "CALL", "AT ONCE", "P50", "P99", "CALLS/S" }, rows)
  if result.no_yardstick then text = text .. "\n\nno Tarantool beside it: " .. result.no_yardstick end
  return text
end

return {
  summary = "Calls of an empty handler and of a tiny model, beside Tarantool's.",
  options = function(parser)
    parser:option("--seconds", "Length of one run."):argname "S":convert(tonumber):default "2"
    parser:option("--rounds", "Runs of each kind, in turns; figures are medians over them.")
      :argname "N":convert(tonumber):default "3"
    parser:option("--in-flight", "Calls under way at once in the second measurement.")
      :argname "N":convert(tonumber):default "64"
  end,
  run = function(options)
    local started = node.start()
    local beside, reason = yardstick.start()
    local ok, result = pcall(function()
      deploy_all(started:connect())
      local list = subjects(started.address, beside)
      return { rows = measure(list, { 1, options.in_flight }, options.rounds, options.seconds), no_yardstick = reason }
    end)
    started:stop()
    if beside then beside:stop() end
    if not ok then error(result, 0) end
    return result, to_text
  end,
}
