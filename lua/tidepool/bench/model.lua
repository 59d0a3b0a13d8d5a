--- Calls of one model, one at a time, and how long the stages of the path took.
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local subject = require "tidepool.bench.subject"
local summary = require "tidepool.bench.summary"

local function measure(connection, model, samples)
  model:deploy(connection)
  local first, reference = model:call(connection)
  local times = {}
  for index = 1, samples do
    local outputs
    times[index], outputs = model:call(connection)
    if not subject.same(outputs, reference) then failure.raise("%s: an answer differs from the first", model.name) end
  end
  local status = assert(connection:call "node.status")
  return { model = model.name, bytes = model.bytes, groups = model.groups, first_us = first,
    call_us = summary.of(times), path = status.path }
end

local function to_text(result)
  local calls = result.call_us
  local lines = {
    ("%s, %s in %d groups"):format(result.model, output.bytes(result.bytes), result.groups),
    ("first call (compiles and swaps in): %s"):format(output.duration(result.first_us)),
    ("%d calls: least %s, p50 %s, p90 %s, p99 %s, most %s"):format(calls.count, output.duration(calls.min),
      output.duration(calls.p50), output.duration(calls.p90), output.duration(calls.p99), output.duration(calls.max)),
    "",
  }
  local rows = {}
  for _, stage in ipairs { "schedule", "swap", "execute" } do
    local hop = result.path[stage]
    if hop then rows[#rows + 1] = { stage, hop.count, output.duration(hop.p50_us), output.duration(hop.p99_us) } end
  end
  return table.concat(lines, "\n") .. "\n" .. output.rows({ "STAGE", "COUNT", "P50", "P99" }, rows)
end

return {
  summary = "Calls of one model that is resident, one at a time.",
  options = function(parser)
    parser:argument("file", "An ONNX file.")
    parser:option("--samples", "Calls."):argname "N":convert(tonumber):default "100"
    parser:option("--open", "Size that open dimensions are given."):argname "N":convert(tonumber):default "1"
  end,
  run = function(options)
    local model = subject.new(options.file, options.open)
    return node.with(nil, function(started) return measure(started:connect(), model, options.samples) end), to_text
  end,
}
