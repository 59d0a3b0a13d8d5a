--- Batches as one program beside the same batches call by call: programs that handlers would run, on two nodes of which
--- one fuses, in turns.
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local socket = require "tidepool.client.socket"
local summary = require "tidepool.bench.summary"

-- Element by element, twenty calls a turn, on { n } numbers made on the device.
local ELEMENTS = [[
local tide = require "tidepool"
return { handler = function(_, req)
  local x = (tide.range(0, req.n):cast("FP32") * (1 / req.n) - 0.5):reshape { -1, 64 }
  local b = tide.range(0, 64):cast("FP32") * 0.01
  for _ = 1, req.turns do
    x = (x * 1.01 + b):tanh()
    x = (x * x - 0.25):relu() * b
    x = (x:sigmoid():maximum(0.1) - 0.5):abs()
    x = (x * 0.99 - b):tanh()
    x = (x * x + 0.25):relu() * b
    x = x:sigmoid():minimum(0.9) - 0.5
  end
  return x:sum():get()[1]
end }
]]

-- What follows a detector: scores, classes, boxes from centres and sizes, the ten best.
local BOXES = [[
local tide = require "tidepool"
return { handler = function(_, req)
  local raw = (tide.range(0, req.boxes * req.classes):cast("FP32") * 0.37):sin():reshape { req.boxes, req.classes }
  local where = (tide.range(0, req.boxes * 4):cast("FP32") * 0.11):cos():reshape { req.boxes, 4 }
  local p = (raw * 0.5 + 0.1):softmax(-1)
  local score, class = p:max(-1), p:argmax(-1)
  local xy, wh = where:slice({ 0 }, { 2 }, { 1 }), where:slice({ 2 }, { 4 }, { 1 }):exp()
  local boxes = tide.concat({ xy - wh * 0.5, xy + wh * 0.5 }, 1):clip(0, 1)
  local top, at = score:topk(10)
  local best, named, scores = tide.get(boxes:gather(at, 0), class:gather(at, 0), top)
  return { boxes = best:totable(), classes = named:totable(), scores = scores:totable() }
end }
]]

local PROGRAMS = {
  { name = "20 calls, 1 KiB", source = ELEMENTS, value = { n = 256, turns = 1 } },
  { name = "200 calls, 1 KiB", source = ELEMENTS, value = { n = 256, turns = 10 } },
  { name = "20 calls, 64 KiB", source = ELEMENTS, value = { n = 16384, turns = 1 } },
  { name = "20 calls, 1 MiB", source = ELEMENTS, value = { n = 262144, turns = 1 } },
  { name = "100 boxes of 80", source = BOXES, value = { boxes = 100, classes = 80 } },
  { name = "2000 boxes of 80", source = BOXES, value = { boxes = 2000, classes = 80 } },
}
local WARM = 10

local function status(connection)
  local result, message = connection:call("node.status", {})
  if message then failure.raise("node.status: %s", message) end
  return result
end

-- Microseconds that the node has spent so far from a batch's coming to its results.
local function spent(connection)
  local total = 0
  for _, stage in ipairs { "schedule", "swap", "execute" } do
    local hop = status(connection).path[stage]
    if hop then total = total + hop.count * hop.mean_us end
  end
  return total
end

local function deploy(connection, name, source)
  local _, message = connection:call("function.deploy", { name = name, source = source, chunk = "fusion.lua" })
  if message then failure.raise("%s", message) end
end

-- Microseconds of one request.
local function call(connection, name, value)
  local before = socket.now()
  local _, message = connection:invoke(name, value)
  if message then failure.raise("%s: %s", name, message) end
  return (socket.now() - before) * 1e6
end

local function measure(apart, fused, program, samples)
  local ways = { { connection = apart }, { connection = fused } }
  for _, way in ipairs(ways) do
    deploy(way.connection, "fusion", program.source)
    for _ = 1, WARM do call(way.connection, "fusion", program.value) end
    way.before, way.took = spent(way.connection), {}
  end
  for _ = 1, samples do
    for _, way in ipairs(ways) do table.insert(way.took, call(way.connection, "fusion", program.value)) end
  end
  local row = { program = program.name, speedup = {} }
  for i, key in ipairs { "apart", "fused" } do
    local node_us = (spent(ways[i].connection) - ways[i].before) / samples
    row[key] = { request_us = summary.of(ways[i].took), node_us = node_us }
  end
  row.speedup.request = row.apart.request_us.p50 / row.fused.request_us.p50
  row.speedup.node = row.apart.node_us / row.fused.node_us
  return row
end

local function to_text(result)
  local rows = {}
  for i, row in ipairs(result.rows) do
    rows[i] = { row.program, output.duration(row.apart.request_us.p50), output.duration(row.fused.request_us.p50),
      ("%.2fx"):format(row.speedup.request), output.duration(row.apart.node_us), output.duration(row.fused.node_us),
      ("%.2fx"):format(row.speedup.node) }
  end
  return ("Batches call by call and as one program, %d of each in turns; P50 of a request, and what the node spends "
    .. "on its batch:\n\n"):format(result.samples)
    .. output.rows({ "PROGRAM", "APART", "FUSED", "", "NODE APART", "NODE FUSED", "" }, rows)
end

return {
  summary = "A handler's batches as one program, beside the same call by call.",
  options = function(parser)
    parser:option("--samples", "Requests of each kind, in turns."):argname "N":convert(tonumber):default "200"
  end,
  run = function(options)
    local result = node.with("return { fuse = false }", function(apart)
      return node.with(nil, function(fused)
        local rows = {}
        for i, program in ipairs(PROGRAMS) do
          rows[i] = measure(apart:connect(), fused:connect(), program, options.samples)
        end
        return { samples = options.samples, rows = rows }
      end)
    end)
    return result, to_text
  end,
}
