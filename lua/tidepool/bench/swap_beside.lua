--- A function whose model stays on the device, beside others that swap there without pause: how long its own jobs have
--- the device (what it waits for theirs left out), against its jobs alone. Times are from the node's trace.
---
--- Whatever else runs on a device leaves it with other things in its caches, swapping or not. So the same is measured
--- where nothing swaps: with room for all models, calls of it and of the others in turn, nothing else under way. What
--- swapping adds is the ratio to that.
local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local summary = require "tidepool.bench.summary"
local swapping = require "tidepool.bench.swapping"
local trace = require "tidepool.trace"

local part = { name = "beside" }

local MODELS, WIDTH = 3, 2
local TRACE_MS = 60000
local EVENTS = 2 ^ 20

-- Microseconds that the function's jobs had the device while f ran.
local function job_times(started, name, f)
  local watching = assert(client.connect(started.address, { timeout = 2 * TRACE_MS / 1000 }))
  local pending = watching:send("trace", { ms = TRACE_MS, events = EVENTS })
  assert(watching:call "node.status")
  f()
  local stopping = started:connect()
  assert(stopping:call "trace.stop")
  stopping:close()
  local times = {}
  for event in trace.events(assert(pending:wait())) do
    if event.row == "jobs" and event.name == name then times[#times + 1] = event.lasts end
  end
  watching:close()
  return times
end

local function call_alone(connection, model, count)
  for _ = 1, count do model:call(connection) end
end

-- Calls of the resident model one after the other, with the others' in flight all the time.
local function call_beside(connection, model, others, count)
  local at = 0
  local window = {}
  for _ = 1, count do
    while #window < WIDTH do
      at = at + 1
      local other = others[(at - 1) % #others + 1]
      window[#window + 1] = connection:send("invoke", other.name, other.inputs)
    end
    model:call(connection)
    assert(table.remove(window, 1):wait())
  end
  for _, each in ipairs(window) do assert(each:wait()) end
end

-- Calls of it and of the others in turn, one at a time.
local function call_in_turn(connection, model, others, count)
  for index = 1, count do
    model:call(connection)
    others[index % #others + 1]:call(connection)
  end
end

-- Call f with a node that has that much memory, on which all models have run.
local function with_node(options, model, others, rate, memory, f)
  local config = swapping.config { rate = rate, threads = options.threads, policy_config = "{ prefix = false }",
    memory = memory }
  return node.with(config, function(started)
    local connection = started:connect()
    model:deploy(connection)
    for _, other in ipairs(others) do
      other:deploy(connection)
      other:call(connection)
    end
    call_alone(connection, model, 20)
    return f(started, connection)
  end)
end

-- Alone, and with the others in flight; how much was brought meanwhile.
local function measure_swapping(options, model, others, rate, memory)
  return with_node(options, model, others, rate, memory, function(started, connection)
    local alone = job_times(started, model.name, function() call_alone(connection, model, options.calls) end)
    local before = swapping.device(connection)
    local beside = job_times(started, model.name, function()
      call_beside(connection, model, others, options.calls)
    end)
    return { alone_us = summary.of(alone), beside_us = summary.of(beside),
      loads = swapping.device(connection).loads - before.loads }
  end)
end

local function measure_in_turn(options, model, others, rate, memory)
  return with_node(options, model, others, rate, memory, function(started, connection)
    local before = swapping.device(connection)
    local times = job_times(started, model.name, function()
      call_in_turn(connection, model, others, options.calls)
    end)
    local loads = swapping.device(connection).loads - before.loads
    if loads ~= 0 then failure.raise("%s: %d loads where all models have room", model.name, loads) end
    return summary.of(times)
  end)
end

local function measure(options, model, others, rate)
  local own, swapped = swapping.footprint(options, model), swapping.footprint(options, others[1])
  local beside = math.max(own.beside, swapped.beside) + swapping.SPARE
  local row = measure_swapping(options, model, others, rate, own.bytes + 2 * swapped.bytes + beside)
  row.in_turn_us = measure_in_turn(options, model, others, rate, own.bytes + #others * swapped.bytes + beside)
  row.model, row.other, row.rate = model.name, others[1].name, rate
  row.ratio = row.beside_us.p99 / row.alone_us.p99
  row.over_in_turn = row.beside_us.p99 / row.in_turn_us.p99
  return row
end

function part.run(options, models)
  local rows = {}
  local model = models[1]
  for index = 2, #models do
    swapping.with_variants(models[index].path, MODELS, options.open, function(others)
      for rate in options.rates:gmatch "[^,]+" do
        rows[#rows + 1] = measure(options, model, others, rate)
      end
    end)
  end
  return rows
end

function part.to_text(rows, options)
  local lines = {}
  for index, row in ipairs(rows) do
    local function times(us) return output.duration(us.p50) .. " " .. output.duration(us.p99) end
    lines[index] = { row.model, row.other, row.rate, times(row.alone_us), times(row.in_turn_us), times(row.beside_us),
      ("%.3f"):format(row.ratio), ("%.3f"):format(row.over_in_turn), row.loads }
  end
  return ("%d jobs of a model that stays, beside others that swap all the time; the first file beside each other one; "
    .. "p50 and p99 alone, in turn with the others where all stay, and beside them; ratios of p99\n\n")
    :format(options.calls)
    .. output.rows({ "STAYS", "SWAPS", "LINK", "ALONE", "IN TURN", "BESIDE", "/ ALONE", "/ IN TURN", "LOADS" }, lines)
end

return part
