-- Tidepool's own policy: hold the deadline for as many functions as the devices allow.
--
-- Memory: what a run hides need not be there. A model whose first groups are on a device answers as if all of it
-- were: the rest is copied behind its run. So eviction takes replicas first, then tails, of all models, in steps:
-- what hides behind a run over a link that others use too, then over a free one, then a little more of all before
-- much of any.
-- Cost: a job takes the longer of its run and its copies. What another device holds comes from there, and the rest
-- from the host at the same time: a job can leave the device of its model for about the price of its run.
-- Order: jobs wait by the latest time at which they could still start. Among the first `look_ahead` of them the
-- cheapest runs next, a copy's time counted as others want the link too, so far as all that it overtakes can still be
-- in time.
-- Fairness: an objective leaves a function misses to spend (2 of 100 at 0.98). One that has overspent comes earlier,
-- one with some left later. One so far behind that it will hardly come back does not come earlier: it would take
-- others along.
-- Admission: a request that could not be in time behind those before it is refused at once, with the time that it
-- lacks as advice. With a device free and nobody before it, it is always taken.
-- Nothing is prefetched: a copy for the next job would hold up those of the job that runs, and where a job runs next
-- is not known before a device is free.
--
-- config: look_ahead (20), admission (true), margin (1.15): predictions are multiplied by it, contention (2): factor
-- of a copy beside another behind one switch, link_share (0.5): what a copy's time counts besides the job's, levels
-- ({0.7, 1, 1.3, 1.6, 2, 2.5}): steps of eviction, in runs that hide what is gone, favour_ms (25): by how much a miss
-- too many brings jobs forward, give_up (3): misses too many after which it does not
local lru = require "lru"
local place = require "place"
local queue = require "queue"

local tide = {}
tide.__index = tide

-- Misses, too many or left, that count for the order.
local MISSES_MAX = 4
-- Jobs of a function that was given up are overtaken by some that are not here yet: what their wait is multiplied by.
local OVERTAKEN = 2

local keep_groups, is_replica

local function used_at(model)
  return model.used_at
end

function tide.new(node, config)
  local self = setmetatable({
    node = node,
    waiting = queue.new(node),
    lru = lru.new(node),
    look_ahead = config.look_ahead or 20,
    admission = config.admission ~= false,
    margin = config.margin or 1.15,
    contention = config.contention or 2,
    link_share = config.link_share or 0.5,
    levels = config.levels or { 0.7, 1, 1.3, 1.6, 2, 2.5 },
    favour_ns = (config.favour_ms or 25) * 1e6,
    give_up = config.give_up or 3,
    candidates = {},
    -- By slot of job: its first model, ns that its other models run, latest start, what it waits by, and whether
    -- its function is given up.
    models = {}, others = {}, latest = {}, keys = {}, lost = {},
    -- By switch: devices behind it that load. By index of device: factor of a copy from the host.
    loading = {}, slowdown = {},
  }, tide)
  function self.keep(model, device) return keep_groups(self, model, device) end
  function self.keep_unless_replica(model, device) return is_replica(self, model, device) and 0 or math.huge end
  return self
end

-- Order --------------------------------------------------------------------------------------------------------

-- ns by which jobs of the function come earlier than they must; below 0: later. And whether it is given up.
local function favour_of(self, fn)
  if fn == nil or fn.slo_ns == 0 then return 0, false end
  local too_many = fn.requests - fn.in_time - (1 - fn.slo_percentile) * fn.requests
  if too_many > self.give_up then return -MISSES_MAX * self.favour_ns, true end
  return math.max(-MISSES_MAX, math.min(MISSES_MAX, too_many)) * self.favour_ns, false
end

-- What is asked about a waiting job again and again, by slot.
local function note_job(self, job)
  local slot, run = job.slot, place.run_ns(job)
  self.models[slot] = job.model_count > 0 and place.model(self.node, job, 0) or false
  self.others[slot] = job.model_count > 1 and run - job.models[0].run_ns or 0
  self.latest[slot] = place.due(job) - self.margin * run
  local favour, lost = favour_of(self, job["function"])
  self.keys[slot], self.lost[slot] = self.latest[slot] - favour, lost
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

-- ns in which device number i gets what it lacks of the model, which is all but `have` groups, and the peer that
-- makes it soonest or nil. The peer gives what it holds while the host gives the rest. host: ns of the whole model
-- from there.
local function copy_of(self, model, i, have, host)
  local node, devices, count = self.node, self.node.devices, model.group_count
  local least, giver = (count - have) / count * host, nil
  if devices[i].peer_rate == 0 then return least, nil end
  for k = 1, #devices do
    local held = k ~= i and node.groups(model, devices[k]) or 0
    local rate = held > have and node.peer_rate(devices[i], devices[k]) or 0
    if rate > 0 then
      local by_peer = (held - have) / count * model.bytes / rate * 1e9
      local copy = math.max(by_peer, (count - held) / count * host)
      if copy < least then least, giver = copy, devices[k] end
    end
  end
  return least, giver
end

-- ns that a model keeps device number i busy, ns of its copies, and the peer to copy from or nil. Copies and run
-- overlap, but for the run of the last group, and the copy of the first when that is missing.
local function cost_of(self, model, i)
  local device, run, count = self.node.devices[i], model.run_ns, model.group_count
  local have = self.node.groups(model, device)
  if have == count then return run, 0, nil end
  local copy, giver = copy_of(self, model, i, have, place.load_ns(model, device) * self.slowdown[i])
  local cost = math.max(run, copy + run / count)
  if have == 0 then cost = cost + math.min(copy / count, run) end
  return cost, copy, giver
end

-- Where the job is cheapest, of the devices that are idle (any: of all): the ns that it takes, the device, the peer to
-- copy from or nil, and its cost with the link's share. Only the first model of several is looked at for its copies.
local function cheapest(self, job, any)
  local devices, slot, bound = self.node.devices, job.slot, job.bound_device
  local model = self.models[slot]
  local least, time, best, giver = math.huge, 0, nil, nil
  for i = 1, #devices do
    local device = devices[i]
    if (any or device.idle == 1) and (bound < 0 or bound == device.id) then
      local cost, copy, from = 0, 0, nil
      if model then cost, copy, from = cost_of(self, model, i) end
      local shared = cost + self.link_share * copy
      if not best or shared < least then least, time, best, giver = shared, cost, device, from end
    end
  end
  local others = self.others[slot]
  return self.margin * (time + others), best, giver, least + others
end

function tide:submit(job)
  note_job(self, job)
  note_contention(self)
  self.waiting:push(job, self.keys[job.slot], (cheapest(self, job, true)))
end

-- ns that the job can still wait, when it takes `time` where it would run now.
local function slack_of(self, job, time)
  local model = self.models[job.slot]
  local copies = model and math.max(0, time - self.margin * (model.run_ns + self.others[job.slot])) or 0
  return self.latest[job.slot] - self.node.now - copies
end

-- The cheapest of the candidates on an idle device such that no candidate that is overtaken would start too late. One
-- that is late already holds back nobody.
local function choose(self, count)
  local candidates = self.candidates
  local job, device, peer, least
  local slack = math.huge
  for c = 1, count do
    local candidate = candidates[c]
    local time, on, from, cost = cheapest(self, candidate, false)
    if on and (not job or cost < least and time <= slack) then
      job, device, peer, least = candidate, on, from, cost
    end
    local own = on and slack_of(self, candidate, time) or -1
    if own >= 0 and own < slack then slack = own end
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

-- ns until the first device is free, once all jobs that come before `key` have run on as many as there are.
local function wait_until_free(self, key)
  local node, devices, soonest = self.node, self.node.devices, math.huge
  for i = 1, #devices do
    soonest = math.min(soonest, math.max(0, devices[i].busy_until - node.now))
  end
  return #devices > 0 and soonest + self.waiting:weight_before(key) / #devices or 0
end

function tide:admit(job)
  local due = place.due(job)
  if not self.admission or due == math.huge then return true end
  note_job(self, job)
  local wait = wait_until_free(self, self.keys[job.slot])
  if wait == 0 then return true end
  if self.lost[job.slot] then wait = OVERTAKEN * wait end
  note_contention(self, true)
  local done_at = self.node.now + wait + (cheapest(self, job, true))
  if done_at <= due then return true end
  return false, (done_at - due) / 1e6
end

-- Eviction --------------------------------------------------------------------------------------------------------

-- Groups of the model to keep so that the copy of the others takes no longer than `level` runs; one at least, which is
-- there to run while the first copy is on its way.
function keep_groups(self, model, device)
  local load = place.load_ns(model, device)
  if load <= 0 then return 0 end
  return math.max(1, math.ceil(model.group_count * (1 - math.min(1, self.level * model.run_ns / load))))
end

-- True when another device has as much of the model.
function is_replica(self, model, device)
  local node, devices = self.node, self.node.devices
  local here = node.groups(model, device)
  for i = 1, #devices do
    if devices[i].id ~= device.id and node.groups(model, devices[i]) >= here then return true end
  end
  return false
end

function tide:evict(device, bytes)
  local list, levels = self.lru, self.levels
  list:start()
  bytes = list:pass(device, bytes, used_at, self.keep_unless_replica)
  for i = 1, #levels do
    if bytes <= 0 then break end
    self.level = levels[i]
    bytes = list:pass(device, bytes, used_at, self.keep)
  end
  if bytes > 0 then list:pass(device, bytes, used_at) end
  return list.list, list.listed
end

function tide:done(job)
  self.waiting:remove(job)
end

return { name = "tide", new = tide.new }
