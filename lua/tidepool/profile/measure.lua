--- What the simulator must know about a node's devices and models, measured on the node: rates of links, what switches
--- share, copies between devices, and per model its run by batch and its load. Nobody else may use the node meanwhile.
local failure = require "tidepool.cli.failure"
local pinned = require "tidepool.profile.pinned"
local socket = require "tidepool.client.socket"
local summary = require "tidepool.bench.summary"

local measure = {}

local US_PER_MS = 1000
-- Runs before those that count: programs are compiled, and the node's averages settle.
local WARM_UP = 8

local function call(connection, method, ...)
  local result, message = connection:call(method, ...)
  if message then failure.raise("%s: %s", method, message) end
  return result
end

local function use_policy(connection, config)
  call(connection, "policy.load", { name = "pinned", source = pinned, config = config })
end

local function send(connection, model, device, rows)
  return connection:send("invoke", model.name, model.inputs(rows or 1), { priority = device })
end

local function wait(model, pending)
  local _, message = pending:wait()
  if message then failure.raise("%s: %s", model.name, message) end
end

-- ms that one request on the device takes, as its client sees it.
local function ask(connection, model, device, rows)
  local before = socket.now()
  wait(model, send(connection, model, device, rows))
  return (socket.now() - before) * 1000
end

-- The same for requests on several devices at once: the ms until all are answered.
local function ask_all(connection, model, devices)
  local pending, before = {}, socket.now()
  connection:batch(function()
    for i, device in ipairs(devices) do pending[i] = send(connection, model, device) end
  end)
  for _, each in ipairs(pending) do wait(model, each) end
  return (socket.now() - before) * 1000
end

local function trim(connection, model, device)
  call(connection, "model.trim", { name = model.entry, device = device, keep = 0 })
end

local function counters(connection, device)
  local row = call(connection, "node.status").devices[device + 1]
  return row.busy_us, row.copying_us
end

-- Medians over the samples of one request on the device, before which prepare() is called if there is one: ms that the
-- device was busy with it, that it copied for it, and that its client waited.
local function sample(connection, model, device, options, rows, prepare)
  local busy, copying, waited = {}, {}, {}
  for i = 1, options.samples do
    if prepare then prepare() end
    local busy_before, copying_before = counters(connection, device)
    waited[i] = ask(connection, model, device, rows)
    local busy_after, copying_after = counters(connection, device)
    busy[i] = (busy_after - busy_before) / US_PER_MS
    copying[i] = (copying_after - copying_before) / US_PER_MS
  end
  return summary.of(busy).p50, summary.of(copying).p50, summary.of(waited).p50
end

local function row_of(connection, model)
  for _, row in ipairs(call(connection, "model.list")) do
    if row.name == model.entry then return row end
  end
  failure.raise("%s: the node has no model '%s'", model.name, model.entry)
end

-- Runs with all there, and loads, of one model on the device.
local function measure_model(connection, model, options)
  for _ = 1, WARM_UP do ask(connection, model, 0) end
  local row = row_of(connection, model)
  local run, _, waited = sample(connection, model, 0, options)
  local result = { name = model.name, bytes = row.bytes, group_bytes = math.ceil(row.bytes / row.groups),
    resident_ms = run, request_ms = waited - run, batch_ms = {} }
  for _, rows in ipairs(options.batches) do
    if rows > 1 and model.is_open then
      ask(connection, model, 0, rows)
      result.batch_ms[rows] = sample(connection, model, 0, options, rows)
    end
  end
  result.swapped_ms, result.load_ms = sample(connection, model, 0, options, 1, function()
    trim(connection, model, 0)
  end)
  return result
end

-- Bytes/s of the link and ms before a copy flows: the straight line through the loads' times over their bytes.
local function fit_link(models)
  local n, x, y, xx, xy = #models, 0, 0, 0, 0
  for _, model in ipairs(models) do
    x, y = x + model.bytes, y + model.load_ms
    xx, xy = xx + model.bytes ^ 2, xy + model.bytes * model.load_ms
  end
  local slope = n > 1 and (n * xy - x * y) / (n * xx - x * x) or 0
  local latency = n > 1 and (y - slope * x) / n or 0
  if slope <= 0 or latency < 0 then slope, latency = xy / xx, 0 end
  return 1000 / slope, latency
end

local function largest_of(models)
  local largest = models[1]
  for _, model in ipairs(models) do
    if model.result.bytes > largest.result.bytes then largest = model end
  end
  return largest
end

-- How many devices hang on each switch; all must have as many, neighbours by number.
local function devices_per_switch(devices)
  local counts = {}
  for _, device in ipairs(devices) do
    if device.switch >= 0 then counts[device.switch] = (counts[device.switch] or 0) + 1 end
  end
  local size
  for _, count in pairs(counts) do
    if size and size ~= count then failure.raise "profile: switches with different numbers of devices" end
    size = count
  end
  return size or 1
end

-- Bytes/s that all devices of a switch get when all copy at once.
local function measure_switch(connection, model, count, options)
  local devices, copies = {}, {}
  for i = 1, count do devices[i] = i - 1 end
  for i = 1, options.samples do
    local before, most = {}, 0
    for _, device in ipairs(devices) do
      trim(connection, model, device)
      before[device] = select(2, counters(connection, device))
    end
    ask_all(connection, model, devices)
    for _, device in ipairs(devices) do
      most = math.max(most, select(2, counters(connection, device)) - before[device])
    end
    copies[i] = most / US_PER_MS
  end
  return count * model.result.bytes / summary.of(copies).p50 * 1000
end

-- Bytes/s from each device to each other: [to][from].
local function measure_peers(connection, model, count, options)
  local peers = {}
  use_policy(connection, "{ peers = true }")
  for to = 1, count do
    peers[to] = {}
    for from = 1, count do
      peers[to][from] = 0
      if to ~= from then
        for device = 0, count - 1 do trim(connection, model, device) end
        ask(connection, model, from - 1)
        local _, copying = sample(connection, model, to - 1, options, 1, function()
          trim(connection, model, to - 1)
        end)
        peers[to][from] = model.result.bytes / copying * 1000
      end
    end
  end
  use_policy(connection)
  return peers
end

-- What runs take more with all devices running, and beside copies to all others: 1 is nothing.
local function measure_contention(connection, model, count, options)
  local devices, others = {}, {}
  for i = 1, count do devices[i] = i - 1 end
  for i = 2, count do others[#others + 1] = i - 1 end
  for _, device in ipairs(devices) do ask(connection, model, device) end
  local pending = {}
  local function settle()
    for _, each in ipairs(pending) do wait(model, each) end
    pending = {}
  end
  -- Each of the others is still with its run, or its copy, when device 0 begins.
  local all = sample(connection, model, 0, options, 1, function()
    settle()
    for i, device in ipairs(others) do pending[i] = send(connection, model, device) end
  end)
  settle()
  local beside = sample(connection, model, 0, options, 1, function()
    settle()
    for _, device in ipairs(others) do trim(connection, model, device) end
    for i, device in ipairs(others) do pending[i] = send(connection, model, device) end
  end)
  settle()
  return { run = math.max(1, all / model.result.resident_ms), copy = math.max(1, beside / model.result.resident_ms) }
end

--- Measure. connection: to the node, whose models are deployed as functions without handlers; models: {name (the
--- function's), entry (the model's), inputs(rows), is_open (its first dimension)}; options: samples, batches (numbers
--- of rows), has_peers: whether devices copy from each other. Returns a profile, without a name.
function measure.node(connection, models, options)
  use_policy(connection)
  local devices = call(connection, "node.status").devices
  local results = {}
  for i, model in ipairs(models) do
    model.result = measure_model(connection, model, options)
    results[i] = model.result
    trim(connection, model, 0)
  end
  local largest = largest_of(models)
  local rate, latency = fit_link(results)
  local per_switch = devices_per_switch(devices)
  local node = { devices = #devices, devices_per_switch = per_switch, memory = devices[1].memory_bytes,
    link_rate = rate, copy_latency_ms = latency }
  if per_switch > 1 then
    node.switch_rate = math.max(rate, measure_switch(connection, largest, per_switch, options))
  end
  if options.has_peers and #devices > 1 then node.peers = measure_peers(connection, largest, #devices, options) end
  local beside = {}
  for i, each in ipairs(results) do beside[i] = each.request_ms end
  return { node = node, models = results, request_ms = summary.of(beside).p50,
    contention = #devices > 1 and measure_contention(connection, largest, #devices, options) or nil }
end

return measure
