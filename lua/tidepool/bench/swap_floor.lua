--- Calls of a model that is on the device and of one that has just been taken from it, against the least that it can
--- take: max(resident, bytes / rate) + first group / rate + last group / rate, since either the link or the compute is
--- busy all the time, but for the group that compute waits for first and the one that ends the copy. Groups as by
--- default, in one piece (nothing runs before all is there) and one a tensor. Calls alternate, since machines drift.
---
--- The rate of that floor is the emulated link's. A core that stands for a copy engine may not copy as fast as that: by
--- what a swapped call in one piece takes longer than a resident one it can be seen how fast it does when nothing runs
--- beside it. The second floor is the one of that rate.
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local summary = require "tidepool.bench.summary"
local swapping = require "tidepool.bench.swapping"

local part = { name = "floor" }

-- Size of groups by variant; nil: the node's own choice.
local variants = {
  { name = "groups", group = function() return nil end },
  { name = "whole", group = function(model) return 2 * model.bytes end },
  { name = "tensors", group = function() return 64 end },
}

-- Resident and swapped calls in turn; their times in microseconds.
local function alternate(connection, model, samples, expected)
  local resident, swapped = {}, {}
  for index = 1, samples do
    local outputs
    swapping.trim(connection, model, 0)
    swapped[index], outputs = swapping.timed(connection, model)
    swapping.check(model, outputs, expected)
    resident[index], outputs = swapping.timed(connection, model)
    swapping.check(model, outputs, expected)
  end
  return summary.of(resident), summary.of(swapped)
end

local function measure_variant(options, rate, variant, model, expected)
  -- A group takes whole units of 2 MiB of the device's memory, so one a tensor may take far more than the model.
  local memory = 2 ^ 30 + (variant.name == "tensors" and 4 * model.bytes + 2 ^ 31 or 2 * model.bytes)
  local config = swapping.config { group = variant.group(model), memory = memory, rate = rate,
    threads = options.threads }
  return node.with(config, function(started)
    local connection = started:connect()
    model:deploy(connection)
    local _, outputs = model:call(connection)
    swapping.check(model, outputs, expected or outputs)
    model:call(connection)
    local resident, swapped = alternate(connection, model, options.samples, outputs)
    return { resident_us = resident, swapped_us = swapped }, outputs
  end)
end

local function measure(options, rate, model)
  local row = { model = model.name, bytes = model.bytes, group_count = model.groups, rate = rate }
  local expected
  for _, variant in ipairs(variants) do
    row[variant.name], expected = measure_variant(options, rate, variant, model, expected)
  end
  local a_second = swapping.bytes_a_second(rate)
  row.achieved = math.min(a_second,
    model.bytes / math.max(row.whole.swapped_us.p50 - row.whole.resident_us.p50, 1) * 1e6)
  local function floor(resident, at)
    local function copy_us(bytes) return bytes / at * 1e6 end
    return math.max(resident, copy_us(model.bytes)) + copy_us(model.first_group_bytes) + copy_us(model.last_group_bytes)
  end
  for _, variant in ipairs(variants) do
    local times = row[variant.name]
    times.floor_us = floor(times.resident_us.p50, a_second)
    times.ratio = times.swapped_us.p50 / times.floor_us
    times.least_ratio = times.swapped_us.min / floor(times.resident_us.min, a_second)
    times.achieved_ratio = times.swapped_us.p50 / floor(times.resident_us.p50, row.achieved)
  end
  return row
end

function part.run(options, models)
  local rows = {}
  for _, model in ipairs(models) do
    for rate in options.rates:gmatch "[^,]+" do rows[#rows + 1] = measure(options, rate, model) end
  end
  return rows
end

function part.to_text(rows, options)
  local lines = {}
  for index, row in ipairs(rows) do
    local groups = row.groups
    local function ratios(times) return ("%.3f %.3f"):format(times.ratio, times.least_ratio) end
    lines[index] = { row.model, output.bytes(row.bytes), row.rate, output.duration(groups.resident_us.p50),
      output.duration(groups.floor_us), output.duration(groups.swapped_us.p50), ratios(groups),
      ("%.2f"):format(row.achieved / swapping.bytes_a_second(row.rate)), ("%.3f"):format(groups.achieved_ratio),
      ratios(row.whole), ratios(row.tensors) }
  end
  return ("Swapped calls against the floor; %d calls each; medians; ratios of medians and of least times; carried: the "
    .. "part of the rate that the machine copied when nothing ran, and the ratio to the floor of that; all answers the "
    .. "same, bit by bit\n\n"):format(options.samples)
    .. output.rows({ "MODEL", "BYTES", "LINK", "RESIDENT", "FLOOR", "SWAPPED", "/ FLOOR", "CARRIED", "/ ITS FLOOR",
      "IN ONE PIECE", "BY TENSOR" }, lines)
end

return part
