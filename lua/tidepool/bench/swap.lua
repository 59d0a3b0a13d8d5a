--- What a swap costs: each model called while it is on the device and when it has just been taken from it, with the
--- parameters cut into groups as by default, in one piece (nothing runs before all is there) and one group a tensor.
--
-- The floor of a swapped call is max(resident, bytes / rate) + first group / rate + last group / rate: either the link
-- or the compute is busy all the time, but for the group that compute waits for first and the one that ends the copy.
-- The ratio compares medians of calls that alternate, since machines drift; all answers must be the same, bit by bit.
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local subject = require "tidepool.bench.subject"
local summary = require "tidepool.bench.summary"

-- Size of groups by variant; nil: the node's own choice.
local variants = {
  { name = "groups", group = function() return nil end },
  { name = "whole", group = function(model) return 2 * model.bytes end },
  { name = "tensors", group = function() return 64 end },
}

-- Compute threads: all cores but one, which stands for the copy engine that a real device has beside its compute.
local function default_threads()
  return math.max(1, tonumber(files.capture "nproc") - 1)
end

local function config(options, rate, group, memory)
  group = group and ("group = %.0f, "):format(group) or ""
  return ("return { %sdevices = { { kind = 'host', memory = %.0f, link_rate = '%s', threads = %d } } }"):format(
    group, memory, rate, options.threads)
end

-- Job time so far on the node's device, microseconds.
local function busy(connection) return assert(connection:call "node.status").devices[1].busy_us end

-- One call, and the time that its job had the device.
local function timed(connection, model)
  local before = busy(connection)
  local _, outputs = model:call(connection)
  return busy(connection) - before, outputs
end

local function trim(connection, model, keep)
  local _, message = connection:call("model.trim", { name = model:model_name(), keep = keep })
  if message then failure.raise("%s: %s", model.name, message) end
end

local function check(model, outputs, expected)
  if not subject.same(outputs, expected) then failure.raise("%s: an answer differs from the first", model.name) end
end

-- Resident and swapped calls in turn; their times in microseconds.
local function alternate(connection, model, samples, expected)
  local resident, swapped = {}, {}
  for index = 1, samples do
    local outputs
    trim(connection, model, 0)
    swapped[index], outputs = timed(connection, model)
    check(model, outputs, expected)
    resident[index], outputs = timed(connection, model)
    check(model, outputs, expected)
  end
  return summary.of(resident), summary.of(swapped)
end

local function measure_variant(options, rate, variant, model, expected)
  -- A group takes whole units of 2 MiB of the device's memory, so one a tensor may take far more than the model.
  local memory = 2 ^ 30 + (variant.name == "tensors" and 4 * model.bytes + 2 ^ 31 or 2 * model.bytes)
  return node.with(config(options, rate, variant.group(model), memory), function(started)
    local connection = started:connect()
    model:deploy(connection)
    local _, outputs = model:call(connection)
    check(model, outputs, expected or outputs)
    model:call(connection)
    local resident, swapped = alternate(connection, model, options.samples, outputs)
    return { resident_us = resident, swapped_us = swapped }, outputs
  end)
end

local function bytes_a_second(rate)
  local number, unit = rate:match "^([%d.]+)([KMGT]?)$"
  if not number then failure.usage(("--rates: %q is no rate such as 12G"):format(rate)) end
  return tonumber(number) * 1000 ^ (("KMGT"):find(unit ~= "" and unit or "-", 1, true) or 0)
end

local function measure(options, rate, model)
  local row = { model = model.name, bytes = model.bytes, group_count = model.groups, rate = rate }
  local expected
  for _, variant in ipairs(variants) do
    row[variant.name], expected = measure_variant(options, rate, variant, model, expected)
  end
  local a_second = bytes_a_second(rate)
  local function copy_us(bytes) return bytes / a_second * 1e6 end
  local function floor(resident)
    return math.max(resident, copy_us(model.bytes)) + copy_us(model.first_group_bytes) + copy_us(model.last_group_bytes)
  end
  for _, variant in ipairs(variants) do
    local times = row[variant.name]
    times.floor_us = floor(times.resident_us.p50)
    times.ratio = times.swapped_us.p50 / times.floor_us
    times.least_ratio = times.swapped_us.min / floor(times.resident_us.min)
  end
  return row
end

local function to_text(result)
  local rows = {}
  for index, row in ipairs(result.models) do
    local groups = row.groups
    local function ratios(times) return ("%.3f %.3f"):format(times.ratio, times.least_ratio) end
    rows[index] = { row.model, output.bytes(row.bytes), row.rate, output.duration(groups.resident_us.p50),
      output.duration(groups.floor_us), output.duration(groups.swapped_us.p50), ratios(groups),
      ratios(row.whole), ratios(row.tensors) }
  end
  return ("%d compute threads; %d calls each; medians; ratios of medians and of least times; "
    .. "all answers the same, bit by bit\n\n"):format(
    result.threads, result.samples)
    .. output.rows({ "MODEL", "BYTES", "LINK", "RESIDENT", "FLOOR", "SWAPPED", "/ FLOOR", "IN ONE PIECE", "BY TENSOR" },
      rows)
end

return {
  summary = "Calls of models that are on the device and of models that are not, against the least that it can take.",
  options = function(parser)
    parser:argument("files", "ONNX files."):args "+"
    parser:option("--rates", "Rates of the device's link, bytes a second, to try one after the other.")
      :argname "RATE,…":default "12G,3G"
    parser:option("--samples", "Calls of each kind."):argname "N":convert(tonumber):default "15"
    parser:option("--threads", "Compute threads; all cores but one, which copies."):argname "N":convert(tonumber)
    parser:option("--open", "Size that open dimensions are given."):argname "N":convert(tonumber):default "1"
  end,
  run = function(options)
    options.threads = options.threads or default_threads()
    local rows = {}
    for _, path in ipairs(options.files) do
      local model = subject.new(path, options.open)
      for rate in options.rates:gmatch "[^,]+" do rows[#rows + 1] = measure(options, rate, model) end
    end
    return { threads = options.threads, samples = options.samples, models = rows }, to_text
  end,
}
