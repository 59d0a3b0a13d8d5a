--- Partial residency: a model of which only the prefix stayed that the node reckons to hide the copy of the rest,
--- against the whole of it on the device and nothing of it. The link is as slow, against the compute, as for ResNet-152
--- on the paper's V100 (copying takes 1.5 times as long as running), unless --ratio says otherwise.
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local summary = require "tidepool.bench.summary"
local swapping = require "tidepool.bench.swapping"

local part = { name = "prefix" }

-- Calls that give the node something to reckon with.
local WARM_UP = 6
local FAST = "40G"
-- The device that is filled in mind.
local DEVICE_BYTES = 16 * 2 ^ 30

local function with_node(options, model, rate, f)
  local config = swapping.config { memory = 2 * model.bytes + 2 ^ 30, rate = rate, threads = options.threads }
  return node.with(config, function(started)
    local connection = started:connect()
    model:deploy(connection)
    return f(connection)
  end)
end

-- Least microseconds of a run with all of it there.
local function resident_us(options, model)
  return with_node(options, model, FAST, function(connection)
    local times = {}
    for index = 1, WARM_UP do times[index] = swapping.timed(connection, model) end
    return summary.of(times).p50
  end)
end

local function alternate(connection, model, prefix, samples)
  local kinds = { nothing = {}, prefix = {}, whole = {} }
  local _, expected = model:call(connection)
  local prefix_bytes
  for index = 1, samples do
    for name, keep in pairs { nothing = 0, prefix = prefix } do
      swapping.trim(connection, model, keep)
      if name == "prefix" then prefix_bytes = swapping.describe(connection, model).devices[1].bytes end
      local outputs
      kinds[name][index], outputs = swapping.timed(connection, model)
      swapping.check(model, outputs, expected)
    end
    kinds.whole[index] = swapping.timed(connection, model)
  end
  local whole_bytes = swapping.describe(connection, model).devices[1].bytes
  return summary.of(kinds.nothing), summary.of(kinds.prefix), summary.of(kinds.whole), prefix_bytes, whole_bytes
end

local function measure(options, model)
  local rate = math.floor(model.bytes / (options.ratio * resident_us(options, model) / 1e6))
  return with_node(options, model, rate, function(connection)
    for _ = 1, WARM_UP do
      swapping.trim(connection, model, 0)
      model:call(connection)
      model:call(connection)
    end
    local prefix = swapping.describe(connection, model).prefix_groups
    local nothing, kept, whole, prefix_bytes, whole_bytes = alternate(connection, model, prefix, options.samples)
    return {
      model = model.name, rate = rate, groups = model.groups, prefix_groups = prefix, whole_bytes = whole_bytes,
      prefix_bytes = prefix_bytes, nothing_us = nothing, prefix_us = kept, whole_us = whole,
      ratio = kept.p50 / whole.p50, nothing_ratio = nothing.p50 / whole.p50, device_bytes = DEVICE_BYTES,
      functions_whole = math.floor(DEVICE_BYTES / whole_bytes),
      functions_prefix = math.floor(DEVICE_BYTES / math.max(prefix_bytes, 1)),
    }
  end)
end

function part.run(options, models)
  local rows = {}
  for index, model in ipairs(models) do rows[index] = measure(options, model) end
  return rows
end

function part.to_text(rows, options)
  local lines = {}
  for index, row in ipairs(rows) do
    lines[index] = { row.model, swapping.rate_text(row.rate), output.duration(row.whole_us.p50),
      ("%d of %d"):format(row.prefix_groups, row.groups), output.duration(row.prefix_us.p50),
      ("%.3f"):format(row.ratio),
      output.duration(row.nothing_us.p50), ("%.3f"):format(row.nothing_ratio), row.functions_whole,
      row.functions_prefix }
  end
  return ("With a prefix kept; on a link where copying takes %.2f times as long as running; functions that %s of "
    .. "device memory serve at once\n\n"):format(options.ratio, output.bytes(DEVICE_BYTES))
    .. output.rows({ "MODEL", "LINK", "RESIDENT", "PREFIX", "WITH IT", "/ RESIDENT", "WITH NOTHING", "/ RESIDENT",
      "FUNCTIONS", "WITH PREFIXES" }, lines)
end

return part
