--- What it brings to run requests together: a model served one request at a time and in batches, with so many requests
--- always under way, in turns; and whether a request's outputs are the same in a batch as alone.
local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local load = require "tidepool.bench.load"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local subject = require "tidepool.bench.subject"
local summary = require "tidepool.bench.summary"

local CONFIG = "return { log = 'off', devices = { { kind = 'host', threads = %d } } }"
-- Seconds of load after which all numbers of rows must have their programs, which are compiled aside.
local PATIENCE = 60

local function deploy(connection, model, name, batch)
  local _, message = connection:call("function.deploy", {
    name = name, chunk = name .. ".lua", models = { net = { path = model.path } },
    source = ("return { models = { net = 'net.onnx' }, %s }"):format(batch),
  })
  if message then failure.raise("%s: %s", name, message) end
end

local function stats(connection) return assert(connection:call("function.stats", "batched")).batch end

local function run(started, model, name, width, seconds)
  return load.run(started.address, width, seconds, "invoke", { name, model.inputs })
end

-- Load until so many requests ran together.
local function warm_up(started, connection, model, options)
  local widest = math.max(unpack(options.inflight))
  local want = math.min(options.max, math.max(1, widest - 1))
  for _ = 1, PATIENCE do
    if want < 2 or stats(connection).largest >= want then return end
    run(started, model, "batched", widest, 1)
  end
  failure.raise("%s: at most %d requests ran together", model.name, stats(connection).largest)
end

-- The largest difference between outputs of requests that were sent together and those of one alone; and the largest
-- magnitude among them.
local function difference(connection, model, count)
  local alone = assert(connection:invoke("alone", model.inputs))
  local pending, most, magnitude = {}, 0, 0
  connection:batch(function()
    for i = 1, count do pending[i] = connection:send("invoke", "batched", model.inputs) end
  end)
  for _, each in ipairs(pending) do
    for name, tensor in pairs(assert(each:wait())) do
      local got, want = client.to_list(tensor), client.to_list(alone[name])
      for i = 1, #want do
        most, magnitude = math.max(most, math.abs(got[i] - want[i])), math.max(magnitude, math.abs(want[i]))
      end
    end
  end
  return most, magnitude
end

local function median(windows, key, quantile)
  local values = {}
  for i, each in ipairs(windows) do values[i] = quantile and each.latency_us[quantile] or each[key] end
  return summary.of(values).p50
end

local function figures(windows)
  return { per_second = median(windows, "per_second"), p50_us = median(windows, nil, "p50"),
    p99_us = median(windows, nil, "p99") }
end

-- Rows of a table: one for each number of requests under way.
local function measure_model(started, connection, model, options)
  local rows = {}
  for index, width in ipairs(options.inflight) do
    local alone, batched, before = {}, {}, stats(connection)
    for round = 1, options.rounds do
      alone[round] = run(started, model, "alone", width, options.seconds)
      batched[round] = run(started, model, "batched", width, options.seconds)
    end
    local after = stats(connection)
    local runs = after.runs - before.runs
    rows[index] = { model = model.name, inflight = width, alone = figures(alone), batched = figures(batched),
      mean_size = runs > 0 and (after.requests - before.requests) / runs or 1 }
    rows[index].gain = rows[index].batched.per_second / rows[index].alone.per_second
  end
  return rows
end

local function measure(path, options)
  local model = subject.new(path, 1)
  return node.with(CONFIG:format(options.threads), function(started)
    local connection = started:connect()
    deploy(connection, model, "alone", "")
    deploy(connection, model, "batched", ("batch = { max = %d, window_ms = %g }"):format(options.max, options.window))
    run(started, model, "alone", 1, 0.3)
    warm_up(started, connection, model, options)
    local rows = measure_model(started, connection, model, options)
    local most, magnitude = difference(connection, model, 2 * options.max)
    local after = stats(connection)
    connection:close()
    return { rows = rows, difference = most, magnitude = magnitude, undone = after.undone }
  end)
end

local function to_text(result)
  local rows, notes = {}, {}
  for _, each in ipairs(result.models) do
    for _, row in ipairs(each.rows) do
      rows[#rows + 1] = { row.model, row.inflight, ("%.1f"):format(row.alone.per_second),
        ("%.1f"):format(row.batched.per_second), ("%.2f"):format(row.gain), ("%.1f"):format(row.mean_size),
        output.duration(row.alone.p50_us), output.duration(row.batched.p50_us), output.duration(row.alone.p99_us),
        output.duration(row.batched.p99_us) }
    end
    notes[#notes + 1] = ("%s: outputs in a batch differ from those alone by at most %.2g (largest %.3g)\n"):format(
      each.rows[1].model, each.difference, each.magnitude)
  end
  return output.rows({ "MODEL", "IN FLIGHT", "ALONE/S", "BATCHED/S", "GAIN", "MEAN SIZE", "P50 ALONE", "P50",
    "P99 ALONE", "P99" }, rows) .. "\n" .. table.concat(notes)
end

local function widths(text)
  local list = {}
  for word in text:gmatch "[^,]+" do
    local width = tonumber(word)
    if not width or width < 1 or width % 1 ~= 0 then failure.usage("'%s' is not a list of whole numbers", text) end
    list[#list + 1] = width
  end
  return list
end

return {
  summary = "Requests run together: throughput, latency and outputs against one at a time.",
  options = function(parser)
    parser:argument("files", "ONNX files whose inputs and outputs have an open first dimension."):args "+"
    parser:option("--max", "Most requests of one run."):argname "N":convert(tonumber):default "8"
    parser:option("--window", "How long the first waits for others, ms."):argname "MS":convert(tonumber):default "0"
    parser:option("--inflight", "Requests that are always under way, one table row each.")
      :argname "N,N":convert(widths):default "1,4,16"
    parser:option("--rounds", "Windows of each kind, in turns."):argname "N":convert(tonumber):default "5"
    parser:option("--seconds", "Length of a window."):argname "S":convert(tonumber):default "1"
    parser:option("--threads", "Threads that a run has."):argname "N":convert(tonumber):default "1"
  end,
  run = function(options)
    local models = {}
    for index, path in ipairs(options.files) do models[index] = measure(path, options) end
    return { max = options.max, window_ms = options.window, models = models }, to_text
  end,
}
