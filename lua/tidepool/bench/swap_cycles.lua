--- A function deployed, called and removed, again and again: the device's memory and the node's own, which must stay
--- flat.
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local swapping = require "tidepool.bench.swapping"

local part = { name = "cycles" }

-- How often memory is looked at.
local LOOKS = 10

-- Bytes of the process's memory that are its own.
local function own_bytes(pid)
  local text = files.need(("/proc/%d/smaps_rollup"):format(pid))
  return tonumber(text:match "Anonymous: +(%d+)") * 1024
end

local function cycle(connection, model)
  model:deploy(connection)
  model:call(connection)
  local _, message = connection:call("function.remove", { name = model.name })
  if message then failure.raise("%s: %s", model.name, message) end
end

local function measure(options, model)
  local config = swapping.config { memory = 2 * model.bytes + 2 ^ 28, rate = "12G", threads = options.threads }
  return node.with(config, function(started)
    local connection, looks = started:connect(), {}
    for index = 1, options.cycles do
      cycle(connection, model)
      if index % math.ceil(options.cycles / LOOKS) == 0 then
        local device = swapping.device(connection)
        looks[#looks + 1] = { cycles = index, own_bytes = own_bytes(started.pid), used_bytes = device.used_bytes,
          extents = device.extents }
      end
    end
    return { model = model.name, looks = looks }
  end)
end

function part.run(options, models)
  -- The smallest: it is the count that matters.
  local smallest = models[1]
  for _, model in ipairs(models) do
    if model.bytes < smallest.bytes then smallest = model end
  end
  return { measure(options, smallest) }
end

function part.to_text(rows)
  local lines = {}
  for _, row in ipairs(rows) do
    for _, look in ipairs(row.looks) do
      lines[#lines + 1] = { row.model, look.cycles, output.bytes(look.own_bytes), output.bytes(look.used_bytes),
        look.extents }
    end
  end
  return "Deployed, called and removed\n\n"
    .. output.rows({ "MODEL", "CYCLES", "NODE'S OWN MEMORY", "DEVICE MEMORY", "EXTENTS" }, lines)
end

return part
