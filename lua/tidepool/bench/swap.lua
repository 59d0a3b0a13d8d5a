--- Calls of several models in random order on a device that cannot hold them all, beside a device that can; the answers
--- of both must be the same, bit by bit.
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local subject = require "tidepool.bench.subject"
local summary = require "tidepool.bench.summary"

-- The order of calls: model numbers from a fixed sequence.
local function make_order(models, samples)
  local order, state = {}, 7
  for index = 1, models * samples do
    state = (state * 16807) % 2147483647
    order[index] = state % models + 1
  end
  return order
end

-- Every model deployed on the node and called once.
local function prepare(started, models)
  local connection = started:connect()
  for _, model in ipairs(models) do
    model:deploy(connection)
    model:call(connection)
  end
  return connection
end

-- Call the models in that order, each on one node and then on the other, so that both meet the same machine. Times by
-- model.
local function measure(large, small, models, order)
  local ample, tight = prepare(large, models), prepare(small, models)
  local resident, swapped = {}, {}
  for index in ipairs(models) do resident[index], swapped[index] = {}, {} end
  for _, index in ipairs(order) do
    local model = models[index]
    local time, expected = model:call(ample)
    table.insert(resident[index], time)
    local outputs
    time, outputs = model:call(tight)
    table.insert(swapped[index], time)
    if not subject.same(outputs, expected) then
      failure.raise("%s: an answer differs from the resident model's", model.name)
    end
  end
  return resident, swapped
end

local function config(options, memory)
  return ("return { devices = { { kind = 'host', memory = %s, link_rate = '%s' } } }"):format(memory, options.link_rate)
end

local function summarise(models, resident, swapped)
  local rows = {}
  for index, model in ipairs(models) do
    rows[index] = { model = model.name, bytes = model.bytes, groups = model.groups,
      resident_us = summary.of(resident[index]), swapped_us = summary.of(swapped[index]) }
  end
  return rows
end

local function to_text(result)
  local rows = {}
  for index, each in ipairs(result.models) do
    local resident, swapped = each.resident_us, each.swapped_us
    rows[index] = { each.model, output.bytes(each.bytes), resident.count, output.duration(resident.min),
      output.duration(resident.p50), output.duration(swapped.min), output.duration(swapped.p50),
      ("%.2f"):format(swapped.p50 / resident.p50) }
  end
  return ("device memory %s; link %s B/s; least and median; all answers the same, bit by bit\n\n"):format(
    result.memory, result.link_rate)
    .. output.rows({ "MODEL", "BYTES", "CALLS", "RESIDENT", "P50", "SWAPPED", "P50", "RATIO" }, rows)
end

return {
  summary = "Calls of models in random order where not all fit on the device, beside where all do.",
  options = function(parser)
    parser:argument("files", "ONNX files."):args "2+"
    parser:option("--memory", "Memory of the device that is too small."):argname "SIZE":default "64M"
    parser:option("--link-rate", "Rate of its link, bytes a second; 0: as fast as memory copies.")
      :argname "RATE":default "0"
    parser:option("--samples", "Calls a model, about."):argname "N":convert(tonumber):default "50"
    parser:option("--open", "Size that open dimensions are given."):argname "N":convert(tonumber):default "1"
  end,
  run = function(options)
    local models, bytes = {}, 0
    for index, path in ipairs(options.files) do
      models[index] = subject.new(path, options.open)
      bytes = bytes + models[index].bytes
    end
    local order = make_order(#models, options.samples)
    local room = config(options, ("%.0f"):format(2 * bytes + 2 ^ 30))
    local resident, swapped
    node.with(room, function(large)
      node.with(config(options, ("'%s'"):format(options.memory)), function(small)
        resident, swapped = measure(large, small, models, order)
      end)
    end)
    return { memory = options.memory, link_rate = options.link_rate, models = summarise(models, resident, swapped) },
      to_text
  end,
}
