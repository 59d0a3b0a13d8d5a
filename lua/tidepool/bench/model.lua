--- Calls of models that are resident, one at a time; with --peer ort beside ONNX Runtime, in turns, on the same file,
--- inputs and threads. Both are timed where the model runs: ours from the policy's verdict to the last completion (the
--- execute stage of the path, copies in and out included), theirs around session.run. The floor is what the machine
--- would take at best: the longer of the model's operations at the rate of multiply-adds in registers, and of its
--- parameters at the rate that memory is read at. Winograd's way counts as the products that it saves.
local failure = require "tidepool.cli.failure"
local native = require "tidepool.native"
local node = require "tidepool.bench.node"
local ort = require "tidepool.bench.ort"
local steps = require "tidepool.bench.steps"
local output = require "tidepool.cli.output"
local subject = require "tidepool.bench.subject"
local summary = require "tidepool.bench.summary"

local CONFIG = 'return { log = "error", devices = { { kind = "%s", memory = "6G", threads = %d } } }'
-- Calls before those that are measured.
local WARM_UP = 3

-- One run of a node: figures of `samples` calls.
local function run_ours(model, device, threads, samples)
  return node.with(CONFIG:format(device, threads), function(started)
    local connection = started:connect()
    model:deploy(connection)
    local first, reference = model:call(connection)
    for _ = 1, WARM_UP do model:call(connection) end
    local calls, runs = {}, {}
    for index = 1, samples do
      local before = assert(connection:call "node.status").path.execute
      local outputs
      calls[index], outputs = model:call(connection)
      local after = assert(connection:call "node.status").path.execute
      runs[index] = after.mean_us * after.count - before.mean_us * before.count
      if not subject.same(outputs, reference) then failure.raise("%s: an answer differs from the first", model.name) end
    end
    return { first_us = first, calls = calls, runs = runs, outputs = reference }
  end)
end

local function append(list, more)
  for _, value in ipairs(more) do list[#list + 1] = value end
end

-- Rates of so many threads, measured once.
local peaks = {}

local function peak_of(threads)
  if not peaks[threads] then
    local peak, message = native.peak(threads)
    if not peak then failure.raise("%s", message) end
    peaks[threads] = peak
  end
  return peaks[threads]
end

-- Operations of one run, and the least time that they and the parameters could take.
local function floor_of(model, threads)
  local flops, peak = 0, peak_of(threads)
  for _, step in ipairs(steps.list(model, threads, 0)) do flops = flops + step.flops end
  return flops, 1e6 * math.max(flops / peak.flops, model.bytes / peak.bytes)
end

local function measure(model, threads, options)
  local flops, floor_us = floor_of(model, threads)
  local calls, runs, theirs, first, their_first, difference = {}, {}, {}, {}, {}, nil
  local peer = options.peer and ort.new(model)
  for _ = 1, peer and options.rounds or 1 do
    local ours = run_ours(model, options.device, threads, options.samples)
    append(calls, ours.calls)
    append(runs, ours.runs)
    first[#first + 1] = ours.first_us
    if peer then
      local run = peer:run(threads, options.samples)
      append(theirs, run.times_us)
      their_first[#their_first + 1] = run.load_us + run.first_us
      difference = peer:difference(ours.outputs, run.outputs)
    end
  end
  if peer then peer:stop() end
  local row = {
    model = model.name, threads = threads, bytes = model.bytes, groups = model.groups, call_us = summary.of(calls),
    run_us = summary.of(runs), first_us = summary.of(first).p50, flops = flops, floor_us = floor_us,
  }
  if peer then
    row.peer_us, row.peer_first_us = summary.of(theirs), summary.of(their_first).p50
    row.ratio, row.least_ratio = row.run_us.p50 / row.peer_us.p50, row.run_us.min / row.peer_us.min
    row.difference = difference
  end
  return row
end

local function geometric_mean(rows, key)
  local sum = 0
  for _, row in ipairs(rows) do sum = sum + math.log(row[key]) end
  return math.exp(sum / #rows)
end

local function to_text(result)
  local heading = { "MODEL", "THREADS", "BYTES", "FIRST CALL", "CALL P50", "RUN P50", "RUN LEAST", "FLOOR",
    "RUN/FLOOR" }
  if result.geometric_mean then append(heading, { "ORT P50", "ORT LEAST", "RATIO", "LEAST/LEAST", "DIFFERENCE" }) end
  local rows = {}
  for index, row in ipairs(result.rows) do
    rows[index] = {
      row.model, row.threads, output.bytes(row.bytes), output.duration(row.first_us), output.duration(row.call_us.p50),
      output.duration(row.run_us.p50), output.duration(row.run_us.min), output.duration(row.floor_us),
      ("%.2f"):format(row.run_us.p50 / row.floor_us),
    }
    if row.peer_us then
      append(rows[index], {
        output.duration(row.peer_us.p50), output.duration(row.peer_us.min), ("%.2f"):format(row.ratio),
        ("%.2f"):format(row.least_ratio), ("%.1e"):format(row.difference),
      })
    end
  end
  local text = output.rows(heading, rows)
  if not result.geometric_mean then return text end
  return text .. ("\n\ngeometric mean of our time over ONNX Runtime's: %.3f (of the least times: %.3f)"):format(
    result.geometric_mean, result.least_geometric_mean)
end

return {
  summary = "Calls of models that are resident, one at a time; beside ONNX Runtime if asked.",
  options = function(parser)
    parser:argument("files", "ONNX files."):args "+"
    parser:option("--samples", "Calls of a round."):argname "N":convert(tonumber):default "20"
    parser:option("--open", "Size that open dimensions are given."):argname "N":convert(tonumber):default "1"
    parser:option("--threads", "Threads to run with; may be given more than once."):argname "N":convert(tonumber)
      :count "*"
    parser:option("--device", "Kind of device."):argname "KIND":default "host"
    parser:option("--peer", "What to measure beside it, in turns."):choices { "ort" }
    parser:option("--rounds", "Rounds with a peer; figures are over all of them."):argname "N":convert(tonumber)
      :default "3"
    parser:flag("--steps", "Say what each step of the model takes instead.")
  end,
  run = function(options)
    local rows, threads = {}, #options.threads > 0 and options.threads or { 1 }
    for _, file in ipairs(options.files) do
      local model = subject.new(file, options.open)
      for _, count in ipairs(threads) do
        rows[#rows + 1] = options.steps and steps.measure(model, count, options) or measure(model, count, options)
      end
    end
    if options.steps then return { rows = rows }, steps.to_text end
    local result = { rows = rows }
    if options.peer then
      result.geometric_mean = geometric_mean(rows, "ratio")
      result.least_geometric_mean = geometric_mean(rows, "least_ratio")
    end
    return result, to_text
  end,
}
