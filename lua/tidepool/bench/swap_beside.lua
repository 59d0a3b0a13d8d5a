--- A function whose model stays on the device, beside others that swap there without pause: how long its own jobs have
--- the device (what it waits for theirs left out), against its jobs alone. Times are from the node's trace.
local client = require "tidepool.client"
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

local function measure(options, model, others, rate)
  local own, swapped = swapping.footprint(options, model), swapping.footprint(options, others[1])
  local config = swapping.config { rate = rate, threads = options.threads, policy_config = "{ prefix = false }",
    memory = own.bytes + 2 * swapped.bytes + math.max(own.beside, swapped.beside) + swapping.SPARE }
  return node.with(config, function(started)
    local connection = started:connect()
    model:deploy(connection)
    for _, other in ipairs(others) do other:deploy(connection) end
    call_alone(connection, model, 20)
    local alone = job_times(started, model.name, function() call_alone(connection, model, options.calls) end)
    local before = swapping.device(connection)
    local beside = job_times(started, model.name, function()
      call_beside(connection, model, others, options.calls)
    end)
    local after = swapping.device(connection)
    local row = { model = model.name, other = others[1].name, rate = rate, alone_us = summary.of(alone),
      beside_us = summary.of(beside), loads = after.loads - before.loads }
    row.ratio = row.beside_us.p99 / row.alone_us.p99
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
    lines[index] = { row.model, row.other, row.rate, output.duration(row.alone_us.p50),
      output.duration(row.alone_us.p99), output.duration(row.beside_us.p50), output.duration(row.beside_us.p99),
      ("%.3f"):format(row.ratio), row.loads }
  end
  return ("%d jobs of a model that stays, beside others that swap all the time; the first file beside each other one")
    :format(options.calls) .. "\n\n"
    .. output.rows({ "STAYS", "SWAPS", "LINK", "ALONE P50", "P99", "BESIDE P50", "P99", "P99 RATIO", "LOADS" }, lines)
end

return part
