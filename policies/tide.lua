-- Tidepool's own policy: hold the deadline for as many functions as the devices allow.
--
-- Memory: what a run hides need not be there. A model whose first groups are on a device answers as if all of it
-- were: the rest is copied behind its run. So eviction takes replicas first, then tails, of all models, in steps:
-- what hides behind a run over a link that others use too, then over a free one, then a little more of all before
-- much of any.
-- Cost: a job takes the longer of its run and its copies. What another device holds comes from there, and the rest
-- from the host at the same time: a job can leave the device of its model for about the price of its run.
-- Room: a device that has to take from models what their runs do not hide is dearer by what copying it back will cost,
-- so that memory fills evenly; of devices that cost the same the one with room is taken.
-- Order: jobs wait by the latest time at which they could still start. Among the first `look_ahead` of them the
-- cheapest runs next, a copy's time counted as others want the link too, so far as all that it overtakes can still be
-- in time, with those before it on the devices too.
-- Fairness: an objective leaves a function misses to spend (2 of 100 at 0.98). One that has overspent comes earlier,
-- one with some left later. One so far behind that it will hardly come back does not come earlier: it would take
-- others along.
-- Admission: a request that could not be in time behind those before it is refused at once, with the time that it
-- lacks as advice. With a device free and nobody before it, it is always taken. The more of those taken were late, the
-- more is allowed for: past saturation predictions fall short, since who comes later overtakes.
-- Nothing is prefetched: a copy for the next job would hold up those of the job that runs, and where a job runs next
-- is not known before a device is free.
--
-- config: look_ahead (20), admission (true), margin (1.15): predictions are multiplied by it, contention (1.6): factor
-- of a copy beside another behind one switch until that was measured, link_share (0.5): what a copy's time counts
-- besides the job's, levels ({0.7, 1, 1.3, 1.6, 2, 2.5}): steps of eviction, in runs that hide what is gone, crowding
-- (1): what room costs, in the time that its bytes take over the link, for each run that the last eviction went above
-- calm (0.5), favour_ms (25): by how much a miss too many brings jobs forward, give_up (3): misses too many after
-- which it does not, strictness (6): by how much a wait counts more for each part of the jobs that were late
local ladder = require "ladder"
local lru = require "lru"
local place = require "place"
local queue = require "queue"

local tide = {}
tide.__index = tide

-- Misses, too many or left, that count for the order.
local MISSES_MAX = 4
-- Jobs of a function that was given up are overtaken by some that are not here yet: what their wait is multiplied by.
local OVERTAKEN = 2
-- Over how many jobs the part of late ones is averaged.
local LATE_JOBS = 4096

local keep_groups, is_replica

local function used_at(model)
  return model.used_at
end

function tide.new(node, config)
  local self = setmetatable({
    node = node,
    waiting = queue.new(node, ladder),
    lru = lru.new(node),
    look_ahead = config.look_ahead or 20,
    admission = config.admission ~= false,
    margin = config.margin or 1.15,
    contention = config.contention or 1.6,
    link_share = config.link_share or 0.5,
    levels = config.levels or { 0.7, 1, 1.3, 1.6, 2, 2.5 },
    crowding = config.crowding or 1,
    calm = config.calm or 0.5,
    favour_ns = (config.favour_ms or 25) * 1e6,
    give_up = config.give_up or 3,
    strictness = config.strictness or 6,
    -- Part of the jobs with an objective or deadline that were late, averaged over about LATE_JOBS.
    late = 0,
    candidates = {},
    -- By slot of job: its first model, ns that its other models run, latest start, what it waits by, and whether
    -- its function is given up.
    models = {}, others = {}, latest = {}, keys = {}, lost = {},
    -- By number of device: whether it loads. By switch: devices behind it that load. Numbers of the idle devices.
    loads = {}, loading = {}, idle = {}, idle_count = 0, device_count = 0,
    -- What was reckoned last, and for which version of the model; by model, device, and whether that is slowed down,
    -- and by model.
    versions = {}, costs = {}, copies = {}, givers = {}, lacks = {}, least_versions = {}, leasts = {},
    -- By number of device: ns that a byte of room costs there, as the last eviction told.
    prices = {},
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
local function note_job(self, job, slot)
  local run = place.run_ns(job)
  self.models[slot] = job.model_count > 0 and place.model(self.node, job, 0) or false
  self.others[slot] = job.model_count > 1 and run - job.models[0].run_ns or 0
  self.latest[slot] = place.due(job) - self.margin * run
  local favour, lost = favour_of(self, job["function"])
  self.keys[slot], self.lost[slot] = self.latest[slot] - favour, lost
end

-- Cost --------------------------------------------------------------------------------------------------------

-- Take note of which devices load, and which are idle.
local function look_at_devices(self)
  local devices, loads, loading, idle, idle_count = self.node.devices, self.loads, self.loading, self.idle, 0
  for i = 1, #devices do
    local device = devices[i]
    local switch, load = device.switch_id, device.loading
    if switch >= 0 and load ~= (loads[i] or 0) then
      loading[switch] = (loading[switch] or 0) + load - (loads[i] or 0)
      loads[i] = load
    end
    if device.idle == 1 then
      idle_count = idle_count + 1
      idle[idle_count] = i
    end
  end
  self.idle_count, self.device_count = idle_count, #devices
end

-- True when others behind the device's switch load.
local function is_slowed(self, device)
  return device.switch_id >= 0 and (self.loading[device.switch_id] or 0) > device.loading
end

-- ns in which device number i gets what it lacks of the model, which is all but `have` groups, and the peer that
-- makes it soonest, by number, or 0. The peer gives what it holds while the host gives the rest. host: ns of the whole
-- model from there.
local function copy_of(self, model, i, have, host)
  local node, devices, count = self.node, self.node.devices, model.group_count
  local least, giver = (count - have) / count * host, 0
  if devices[i].peer_rate == 0 then return least, 0 end
  for k = 1, #devices do
    local held = k ~= i and node.arrived(model, devices[k]) or 0
    local rate = held > have and node.peer_rate(devices[i], devices[k]) or 0
    if rate > 0 then
      local by_peer = (held - have) / count * model.bytes / rate * 1e9
      local copy = math.max(by_peer, (count - held) / count * host)
      if copy < least then least, giver = copy, k end
    end
  end
  return least, giver
end

-- ns of a copy of the whole model from the host, beside others of the switch when it is slowed.
local function host_ns(self, model, device, slowed)
  local alone = place.load_ns(model, device)
  if not slowed then return alone end
  return model.shared_load_ns > alone and model.shared_load_ns or self.contention * alone
end

-- ns that a model keeps device number i busy, ns of its copies, and the peer to copy from or 0. Copies and run overlap,
-- but for the run of the last group, and the copy of the first when that is missing.
local function reckon_cost(self, model, i, slowed)
  local device, run, count = self.node.devices[i], model.run_ns, model.group_count
  if not place.can_hold(self.node, model.bytes, device) then return math.huge, 0, 0 end
  local have = self.node.groups(model, device)
  if have == count then return run, 0, 0 end
  local host = host_ns(self, model, device, slowed)
  local copy, giver = copy_of(self, model, i, have, host)
  local cost = math.max(run, copy + run / count)
  if have == 0 then cost = cost + math.min(copy / count, run) end
  return cost, copy, giver
end

-- The same, reckoned anew only when something of the model has changed.
local function cost_of(self, model, i, slowed)
  local at = 2 * (model.id * self.device_count + i) + (slowed and 1 or 0)
  if self.versions[at] ~= model.version then
    self.versions[at] = model.version
    self.costs[at], self.copies[at], self.givers[at] = reckon_cost(self, model, i, slowed)
    self.lacks[at] = place.missing(self.node, model, self.node.devices[i]) * model.bytes
  end
  return self.costs[at], self.copies[at], self.givers[at], self.lacks[at]
end

-- ns that it will cost others to make room for so many bytes on device number i.
local function room_cost(self, i, bytes)
  return math.max(0, bytes - self.node.devices[i].free_bytes) * (self.prices[i] or 0)
end

-- ns that the job takes on device number i, infinite where it may not run, the peer to copy from or 0, and its cost
-- with those of the link's share and of room. Only the first model of several is looked at for its copies. Numbers
-- alone, here and in who asks: what is now an object and now none costs LuaJIT a piece of code for each case.
local function time_on(self, job, slot, i)
  local device = self.node.devices[i]
  local model, others = self.models[slot], self.others[slot]
  if job.bound_device >= 0 and job.bound_device ~= device.id then return math.huge, 0, math.huge end
  if not model then return self.margin * others, 0, others end
  local cost, copy, giver, lacks = cost_of(self, model, i, is_slowed(self, device))
  return self.margin * (cost + others), giver, cost + self.link_share * copy + others + room_cost(self, i, lacks)
end

-- Of the idle devices, the one where the job is cheapest: its ns there, the device's number, the peer and the cost.
local function cheapest(self, job)
  local idle, best, time, giver, least = self.idle, self.idle[1], math.huge, 0, math.huge
  for k = 1, self.idle_count do
    local own, from, cost = time_on(self, job, job.slot, idle[k])
    if cost < least then best, time, giver, least = idle[k], own, from, cost end
  end
  return time, best, giver, least
end

-- ns of the model where it costs least with all links free, whichever device that is.
local function reckon_least(self, model)
  local least, time = math.huge, 0
  for i = 1, self.device_count do
    local cost, copy = cost_of(self, model, i, false)
    if cost + self.link_share * copy < least then least, time = cost + self.link_share * copy, cost end
  end
  return time
end

-- ns that the job will take of some device.
local function least_time(self, job, slot)
  local model, others = self.models[slot], self.others[slot]
  if not model then return self.margin * others end
  if job.bound_device >= 0 then return (time_on(self, job, slot, job.bound_device + 1)) end
  local id = model.id
  if self.least_versions[id] ~= model.version then
    self.least_versions[id], self.leasts[id] = model.version, reckon_least(self, model)
  end
  return self.margin * (self.leasts[id] + others)
end

function tide:submit(job)
  local slot = job.slot
  note_job(self, job, slot)
  self.device_count = #self.node.devices
  self.waiting:push(job, self.keys[slot], least_time(self, job, slot))
end

-- ns that the job can still wait, when it takes `time` where it would run now.
local function slack_of(self, job, time)
  local model = self.models[job.slot]
  local copies = model and math.max(0, time - self.margin * (model.run_ns + self.others[job.slot])) or 0
  return self.latest[job.slot] - self.node.now - copies
end

-- The cheapest of the candidates on an idle device such that no candidate that is overtaken would start too late, one
-- that is late already holding back nobody: the numbers of both, 0 when there is none, and of the peer. Mostly one
-- device is idle: without a loop inside of it, this one is compiled whole.
local function choose(self, count)
  local candidates, only, first = self.candidates, self.idle_count == 1, self.idle[1]
  local chosen, device, peer, least, slack = 0, 0, 0, math.huge, math.huge
  local devices, ahead = self.device_count, 0
  for c = 1, count do
    local candidate = candidates[c]
    local time, on, from, cost
    if only then
      on = first
      time, from, cost = time_on(self, candidate, candidate.slot, first)
    else
      time, on, from, cost = cheapest(self, candidate)
    end
    if cost < least and (chosen == 0 or time <= slack) then
      chosen, device, peer, least = c, on, from, cost
    end
    local own = slack_of(self, candidate, time)
    if own >= 0 then
      -- Those before it take the devices' time too.
      slack = math.min(slack, own, devices * own - ahead)
      ahead = ahead + time
    end
  end
  return chosen, device, peer
end

function tide:dispatch()
  look_at_devices(self)
  if self.idle_count == 0 then return nil end
  local count = self.waiting:first(self.look_ahead, self.candidates)
  local chosen, number, peer = choose(self, count)
  if chosen == 0 then return nil end
  local job, device = self.candidates[chosen], self.node.devices[number]
  self.waiting:remove(job)
  if place.has_all(self.node, job, device) then return job, device, self.node.RESIDENT end
  if peer > 0 then return job, device, self.node.PEER, self.node.devices[peer] end
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
  -- It has no slot yet.
  note_job(self, job, 0)
  local wait = wait_until_free(self, self.keys[0])
  if wait == 0 then return true end
  if self.lost[0] then wait = OVERTAKEN * wait end
  self.device_count = #self.node.devices
  local done_at = self.node.now + (1 + self.strictness * self.late) * (wait + least_time(self, job, 0))
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

-- What was taken up to that level costs a copy that no run hides when it is wanted again, the more often the higher the
-- level.
local function note_price(self, device, level)
  local per_byte = device.link_rate > 0 and 1e9 / device.link_rate or 0
  self.prices[device.id + 1] = self.crowding * math.max(0, level - self.calm) * per_byte
end

function tide:evict(device, bytes)
  local list, levels = self.lru, self.levels
  list:start()
  bytes = list:pass(device, bytes, used_at, self.keep_unless_replica)
  self.level = 0
  for i = 1, #levels do
    if bytes <= 0 then break end
    self.level = levels[i]
    bytes = list:pass(device, bytes, used_at, self.keep)
  end
  if bytes > 0 then list:pass(device, bytes, used_at) end
  note_price(self, device, self.level)
  return list.list, list.listed
end

function tide:done(job, outcome)
  self.waiting:remove(job)
  local due = place.due(job)
  if outcome ~= self.node.OK or due == math.huge then return end
  self.late = self.late + ((self.node.now > due and 1 or 0) - self.late) / LATE_JOBS
end

return { name = "tide", new = tide.new }
