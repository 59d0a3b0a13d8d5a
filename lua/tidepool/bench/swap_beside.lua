--- A function whose model stays on the device, beside others that swap there without pause: how long its own jobs have
--- the device (what it waits for theirs left out), against its jobs alone. Times are from the node's trace.
---
--- Whatever else runs on a device leaves it with other things in its caches, swapping or not. So the same is measured
--- where nothing swaps: calls of it and of two others that have room, in turn, nothing else under way. What swapping
--- adds is the ratio to that. Machines drift: the three kinds take turns, a round of some calls each.
local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local summary = require "tidepool.bench.summary"
local swapping = require "tidepool.bench.swapping"
local trace = require "tidepool.trace"

local part = { name = "beside" }

local MODELS, STAYING, WIDTH = 3, 2, 2
-- Calls of a round, and calls before it that others before them make slow.
local ROUND, WARM_UP = 50, 3
local TRACE_MS = 60000
local EVENTS = 2 ^ 20

-- Add to `times` the microseconds that the function's jobs had the device while f ran.
local function note_jobs(times, started, name, f)
  local watching = assert(client.connect(started.address, { timeout = 2 * TRACE_MS / 1000 }))
  local pending = watching:send("trace", { ms = TRACE_MS, events = EVENTS })
  assert(watching:call "node.status")
  f()
  local stopping = started:connect()
  assert(stopping:call "trace.stop")
  stopping:close()
  for event in trace.events(assert(pending:wait())) do
    if event.row == "jobs" and event.name == name then times[#times + 1] = event.lasts end
  end
  watching:close()
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

-- Calls of it and of the first others in turn, one at a time: those have room.
local function call_in_turn(connection, model, others, count)
  for index = 1, count do
    model:call(connection)
    others[index % STAYING + 1]:call(connection)
  end
end

-- What the device brought while f ran.
local function loads_of(connection, f)
  local before = swapping.device(connection).loads
  f()
  return swapping.device(connection).loads - before
end

-- One round of each kind; times by kind are added to, and the loads beside it returned.
local function measure_round(started, connection, model, others, times, count)
  call_alone(connection, model, WARM_UP)
  note_jobs(times.alone, started, model.name, function() call_alone(connection, model, count) end)
  call_in_turn(connection, model, others, STAYING)
  local loads = loads_of(connection, function()
    note_jobs(times.in_turn, started, model.name, function() call_in_turn(connection, model, others, count) end)
  end)
  if loads ~= 0 then failure.raise("%s: %d loads where all models have room", model.name, loads) end
  return loads_of(connection, function()
    note_jobs(times.beside, started, model.name, function() call_beside(connection, model, others, count) end)
  end)
end

local function measure(options, model, others, rate)
  local own, swapped = swapping.footprint(options, model), swapping.footprint(options, others[1])
  local config = swapping.config { rate = rate, threads = options.threads, policy_config = "{ prefix = false }",
    memory = own.bytes + STAYING * swapped.bytes + math.max(own.beside, swapped.beside) + swapping.SPARE }
  return node.with(config, function(started)
    local connection = started:connect()
    model:deploy(connection)
    for _, other in ipairs(others) do other:deploy(connection) end
    call_alone(connection, model, 5 * WARM_UP)
    local times, loads = { alone = {}, in_turn = {}, beside = {} }, 0
    for from = 1, options.calls, ROUND do
      local count = math.min(ROUND, options.calls - from + 1)
      loads = loads + measure_round(started, connection, model, others, times, count)
    end
    local row = { model = model.name, other = others[1].name, rate = rate, loads = loads,
      alone_us = summary.of(times.alone), in_turn_us = summary.of(times.in_turn),
      beside_us = summary.of(times.beside) }
    row.ratio = row.beside_us.p99 / row.alone_us.p99
    row.over_in_turn = row.beside_us.p99 / row.in_turn_us.p99
    return row
  end)
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
    .. "p50 and p99 alone, in turn with two others that stay, and beside them; ratios of p99\n\n")
    :format(options.calls)
    .. output.rows({ "STAYS", "SWAPS", "LINK", "ALONE", "IN TURN", "BESIDE", "/ ALONE", "/ IN TURN", "LOADS" }, lines)
end

return part
