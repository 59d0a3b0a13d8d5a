--- Two sources at once: a model that comes to device 0 over its own link, from a peer, from both, or over its own link
--- and that of a neighbour, against the floor of each: the longer of the run and the copy, all ways together carrying
--- it, and what arrives first and last. On a link where copying takes several times as long as running, since sources
--- are of no use where the copy hides.
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local summary = require "tidepool.bench.summary"
local swapping = require "tidepool.bench.swapping"

local part = { name = "sources" }

-- Copying over the own link takes so many times as long as running; the peer's link is so many times as fast.
local SLOWER, PEER_FASTER = 4, 2
-- What a relay sends at a time.
local PIECE_BYTES = 2 * 2 ^ 20

-- Where a policy says that device 0's jobs get their model from, whether device 1 holds it, and bytes a second.
local sources = {
  { name = "host", verdict = "node.HOST", rate = function(link) return link end },
  { name = "peer", verdict = "node.PEER, 1", held = true, rate = function(_, peer) return peer end },
  { name = "peer and host", verdict = "node.BOTH, 1", held = true, rate = function(link, peer) return link + peer end },
  { name = "host and relay", verdict = "node.RELAY, 1",
    rate = function(link, peer) return link + math.min(link, peer) end, relayed = true },
}

-- Runs what it is given on one device, with that source.
local function policy(device, verdict)
  return ([[
    local queue = require "queue"
    local policy = {}
    policy.__index = policy
    function policy:submit(job) self.waiting:push(job, job.id) end
    function policy:dispatch()
      local node, job = self.node, self.waiting:peek()
      if not job or node.devices[%d + 1].idle == 0 then return nil end
      self.waiting:remove(job)
      return job, %d, %s
    end
    function policy:evict() return nil end
    function policy:done(job) self.waiting:remove(job) end
    return { name = "source", new = function(node)
      return setmetatable({ node = node, waiting = queue.new(node) }, policy)
    end }]]):format(device, device, verdict)
end

local function load_policy(connection, device, verdict)
  local _, message = connection:call("policy.load", { name = "source", source = policy(device, verdict) })
  if message then failure.raise("%s", message) end
end

local function config(options, model, link, peer)
  local device = ("{ kind = 'host', memory = %.0f, link_rate = %.0f, peer_rate = %.0f, threads = %d }"):format(
    2 * model.bytes + 2 ^ 30, link, peer, options.threads)
  return ("return { log = 'error', devices = { %s, %s } }"):format(device, device)
end

local function trim(connection, model, device)
  local _, message = connection:call("model.trim", { name = model:model_name(), device = device, keep = 0 })
  if message then failure.raise("%s: %s", model.name, message) end
end

-- Times of a swapped call in microseconds.
local function measure_source(options, connection, model, source, expected)
  load_policy(connection, 1, "node.HOST")
  trim(connection, model, 1)
  if source.held then model:call(connection) end
  load_policy(connection, 0, source.verdict)
  local times = {}
  for index = 1, options.samples do
    local outputs
    trim(connection, model, 0)
    times[index], outputs = swapping.timed(connection, model)
    swapping.check(model, outputs, expected)
  end
  return summary.of(times)
end

local function floor_us(model, resident, source, link, peer)
  local rate = source.rate(link, peer)
  local hop = source.relayed and math.min(PIECE_BYTES, model.last_group_bytes) / peer or 0
  local ends = (model.first_group_bytes + model.last_group_bytes) / rate + hop
  return math.max(resident, model.bytes / rate * 1e6) + ends * 1e6
end

local function measure(options, model)
  local alone = swapping.footprint(options, model)
  local link = math.floor(model.bytes / (SLOWER * alone.us / 1e6))
  local peer = PEER_FASTER * link
  return node.with(config(options, model, link, peer), function(started)
    local connection, rows = started:connect(), {}
    model:deploy(connection)
    load_policy(connection, 0, "node.HOST")
    local _, expected = model:call(connection)
    for index, source in ipairs(sources) do
      local before = assert(connection:call "node.status").devices[2].loans
      local times = measure_source(options, connection, model, source, expected)
      local loans = assert(connection:call "node.status").devices[2].loans - before
      if loans ~= (source.relayed and options.samples or 0) then
        failure.raise("%s: %s: the neighbour's link was borrowed %d times", model.name, source.name, loans)
      end
      local floor = floor_us(model, alone.us, source, link, peer)
      rows[index] = { model = model.name, source = source.name, link = link, peer = peer, resident_us = alone.us,
        rate = source.rate(link, peer), floor_us = floor, swapped_us = times, ratio = times.p50 / floor }
    end
    for _, row in ipairs(rows) do row.over_host = row.swapped_us.p50 / rows[1].swapped_us.p50 end
    return rows
  end)
end

function part.run(options, models)
  local rows = {}
  for _, model in ipairs(models) do
    for _, row in ipairs(measure(options, model)) do rows[#rows + 1] = row end
  end
  return rows
end

function part.to_text(rows, options)
  local lines = {}
  for index, row in ipairs(rows) do
    lines[index] = { row.model, row.source, swapping.rate_text(row.link), swapping.rate_text(row.peer),
      output.duration(row.resident_us), output.duration(row.floor_us), output.duration(row.swapped_us.p50),
      ("%.3f"):format(row.ratio), ("%.2f"):format(row.over_host) }
  end
  return ("From where a model comes; %d calls each; medians; own link and neighbour's alike; all answers the same, bit "
    .. "by bit\n\n"):format(options.samples)
    .. output.rows({ "MODEL", "FROM", "LINK", "PEER LINK", "RESIDENT", "FLOOR", "SWAPPED", "/ FLOOR", "/ HOST" }, lines)
end

return part
