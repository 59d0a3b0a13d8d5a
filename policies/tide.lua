-- Tidepool's own policy: hold the deadline for as many functions as the devices allow.
--
-- Order: jobs wait by the latest time at which they could still start (deadline less predicted run). Among the first
-- `look_ahead` of them the one that costs the least device time runs next, so far as every job that it overtakes can
-- still be in time: a model that is resident is used while it is there.
-- Cost: a swap and a run overlap, so a job takes the longer of the two and the first group of the swap. A swap is
-- slower while a device behind the same switch loads; a peer that has the model is the source where that is faster.
-- Eviction: what costs least to bring back, a byte and its time since its last use: the part of a load that the run
-- does not hide counts in full, the link's time a little, and a copy on a peer makes both small.
-- Admission: a request whose deadline could not be met behind the jobs that come before it is refused at once, with the
-- time by which it is too late as advice. With a device free and nobody before it, it is always taken.
--
-- config: look_ahead (8), admission (true), margin (1): predictions are multiplied by it, contention (2): factor of a
-- swap beside another behind one switch, link_share (0.05): what the link's time counts
local lru = require "lru"
local place = require "place"
local queue = require "queue"

local tide = {}
tide.__index = tide

-- ns: what was used more recently counts as if it had not been.
local AGE_MIN = 1e6

local worth

function tide.new(node, config)
  local self = setmetatable({
    node = node,
    waiting = queue.new(node),
    lru = lru.new(node),
    look_ahead = config.look_ahead or 8,
    admission = config.admission ~= false,
    link_share = config.link_share or 0.05,
    margin = config.margin or 1,
    contention = config.contention or 2,
    candidates = {},
    -- By slot of job: its first model, ns that its other models run, latest start.
    models = {}, others = {}, latest = {},
    -- By switch: devices behind it that load. By index of device: factor of a copy from the host.
    loading = {}, slowdown = {},
  }, tide)
  function self.worth(model, device) return worth(self, model, device) end
  return self
end

-- Order --------------------------------------------------------------------------------------------------------

local function latest_start(self, job)
  return place.due(job) - self.margin * place.run_ns(job)
end

-- Cost --------------------------------------------------------------------------------------------------------

-- Per device, by index: what a copy from the host is slowed down by.
local function note_contention(self, none)
  local devices, loading, slowdown = self.node.devices, self.loading, self.slowdown
  for i = 1, #devices do
    local switch = devices[i].switch_id
    if switch >= 0 then loading[switch] = 0 end
  end
  for i = 1, #devices do
    local switch = devices[i].switch_id
    if switch >= 0 then loading[switch] = loading[switch] + devices[i].loading end
  end
  for i = 1, #devices do
    local switch = devices[i].switch_id
    slowdown[i] = not none and switch >= 0 and loading[switch] > devices[i].loading and self.contention or 1
  end
end

-- ns that a model keeps device number i busy: its run and its swap overlap but for the first group. giver: a device
-- that has the model in whole, or nil. Also true when the giver is the better source.
local function cost_of(self, model, i, giver)
  local device, run = self.node.devices[i], model.run_ns
  local missing = place.missing(self.node, model, device)
  if missing == 0 then return run, false end
  local swap = missing * place.load_ns(model, device) * self.slowdown[i]
  local by_peer = giver and giver.id ~= device.id and device.peer_rate > 0
  local from_peer = by_peer and missing * model.bytes / device.peer_rate * 1e9 or math.huge
  if from_peer < swap then swap = from_peer else by_peer = false end
  return math.max(swap, run) + math.min(swap / model.group_count, run), by_peer
end

-- A device that has the model in whole.
local function find_giver(self, model)
  local node, devices = self.node, self.node.devices
  local giver
  for i = 1, #devices do
    if node.groups(model, devices[i]) == model.group_count then giver = devices[i] end
  end
  return giver
end

-- The least cost of the job on the devices that are idle (any: on all), the device, and the peer to copy from or nil.
-- Only the first model of several is looked at for its swap.
local function cheapest(self, job, any)
  local devices, slot = self.node.devices, job.slot
  local model, others = self.models[slot], self.others[slot]
  local bound = job.bound_device
  local giver = model and find_giver(self, model)
  local least, best, peer = math.huge, nil, nil
  for i = 1, #devices do
    local device = devices[i]
    if (any or device.idle == 1) and (bound < 0 or bound == device.id) then
      local cost, by_peer = 0, false
      if model then cost, by_peer = cost_of(self, model, i, giver) end
      if cost + others < least or not best then
        least, best, peer = cost + others, device, by_peer and giver or nil
      end
    end
  end
  return self.margin * least, best, peer
end

-- What is asked about a waiting job again and again, by slot.
local function note_job(self, job)
  local slot = job.slot
  self.models[slot] = job.model_count > 0 and job.models[0] or false
  self.others[slot] = job.model_count > 1 and place.run_ns(job) - job.models[0].run_ns or 0
  self.latest[slot] = latest_start(self, job)
end

function tide:submit(job)
  note_job(self, job)
  note_contention(self)
  self.waiting:push(job, self.latest[job.slot], (cheapest(self, job, true)))
end

-- The cheapest of the candidates on an idle device such that no candidate that is overtaken would start too late. One
-- that is late already holds back nobody.
local function choose(self, count)
  local candidates, now = self.candidates, self.node.now
  local job, device, peer, least
  local slack = math.huge
  for c = 1, count do
    local candidate = candidates[c]
    local cost, on, from = cheapest(self, candidate, false)
    if on and (not job or cost < least and cost <= slack) then
      job, device, peer, least = candidate, on, from, cost
    end
    local rest = self.latest[candidate.slot] - now
    if rest >= 0 and rest < slack then slack = rest end
  end
  return job, device, peer
end

function tide:dispatch()
  local count = self.waiting:first(self.look_ahead, self.candidates)
  if count == 0 then return nil end
  note_contention(self)
  local job, device, peer = choose(self, count)
  if not job then return nil end
  self.waiting:remove(job)
  if place.has_all(self.node, job, device) then return job, device, self.node.RESIDENT end
  if peer then return job, device, self.node.PEER, peer end
  return job, device, self.node.HOST
end

-- Admission --------------------------------------------------------------------------------------------------------

-- ns until the first device is free, once all jobs that must start before `latest` have run on as many as there are.
local function wait_until_free(self, latest)
  local node, devices, soonest = self.node, self.node.devices, math.huge
  for i = 1, #devices do
    soonest = math.min(soonest, math.max(0, devices[i].busy_until - node.now))
  end
  return #devices > 0 and soonest + self.waiting:weight_before(latest) / #devices or 0
end

function tide:admit(job)
  local due = place.due(job)
  if not self.admission or due == math.huge then return true end
  note_job(self, job)
  local wait = wait_until_free(self, self.latest[job.slot])
  if wait == 0 then return true end
  note_contention(self, true)
  local done_at = self.node.now + wait + (cheapest(self, job, true))
  if done_at <= due then return true end
  return false, (done_at - due) / 1e6
end

-- Eviction --------------------------------------------------------------------------------------------------------

-- What it costs to bring a byte of the model back, for as long as it was not used: the part of a load that its run does
-- not hide, and the link's time, which others want too. A peer that has it makes it cheap.
function worth(self, model, device)
  local load = place.load_ns(model, device)
  local giver = place.peer_with(self.node, model, device)
  if giver then load = math.min(load, model.bytes / device.peer_rate * 1e9) end
  local exposed = math.max(0, load - model.run_ns)
  local age = math.max(self.node.now - model.used_at, AGE_MIN)
  return (exposed + self.link_share * load) / (model.bytes * age)
end

function tide:evict(device, bytes)
  return self.lru:evict(device, bytes, self.worth)
end

function tide:done(job)
  self.waiting:remove(job)
end

return { name = "tide", new = tide.new }
