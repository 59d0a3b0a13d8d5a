-- Keep-alive, as function platforms do it: a function's models are loaded on its first request, onto the device with
-- the most free memory, and stay there until they were idle for `keep_ms`. Requests go to that device and no other
-- while the models are there. A request that finds no memory waits until somebody's time is over.
--
-- config: keep_ms (600000)
local heap = require "heap"
local lru = require "lru"
local place = require "place"

local keepalive = {}
keepalive.__index = keepalive

function keepalive.new(node, config)
  return setmetatable({
    node = node,
    keep_ns = (config.keep_ms or 600000) * 1e6,
    lru = lru.new(node),
    resident = {},
    -- Jobs of functions that have no device yet, and by index of device those of functions that have one.
    homeless = heap.new(), lanes = {},
    -- Index of device by function id.
    homes = {},
  }, keepalive)
end

local function lane_of(self, job)
  local index = job.bound_device >= 0 and job.bound_device + 1 or self.homes[job["function"].id]
  if not index then return self.homeless end
  local lane = self.lanes[index]
  if not lane then
    lane = heap.new()
    self.lanes[index] = lane
  end
  return lane
end

function keepalive:submit(job)
  lane_of(self, job):push(job, job.id)
end

local function is_over(self, model)
  return model.jobs == 0 and self.node.now - model.used_at >= self.keep_ns
end

-- Bytes that the device has, and would have without the models whose time is over.
local function room_on(self, device)
  local node, room = self.node, device.free_bytes
  for i = 1, node.resident(device, self.resident) do
    local model = self.resident[i]
    if is_over(self, model) then room = room + node.groups(model, device) / model.group_count * model.bytes end
  end
  return room
end

-- The idle device with the most room, if that is enough for the job.
local function find_home(self, job)
  local best, most
  for _, device in ipairs(self.node.devices) do
    if device.idle == 1 then
      local room = room_on(self, device)
      if not best or room > most then best, most = device, room end
    end
  end
  local bytes = best and place.model_bytes(job) or 0
  -- What no device can hold ends with an error, where the most room is.
  if best and (bytes > best.capacity and place.can_hold(self.node, bytes, best)
    or place.missing_bytes(self.node, job, best) <= most) then
    return best
  end
  return nil
end

local function run(self, job, device)
  return job, device, place.has_all(self.node, job, device) and self.node.RESIDENT or self.node.HOST
end

-- The first job of the device's lane. One whose models have gone since has no device any more.
local function dispatch_at_home(self, device, lane)
  local job = lane:peek()
  while job do
    lane:remove(job)
    if job.bound_device >= 0 or place.has_all(self.node, job, device) then return job end
    self.homes[job["function"].id] = nil
    self.homeless:push(job, job.id)
    job = lane:peek()
  end
  return nil
end

-- The first job whose function has no device; those whose function got one meanwhile go there.
local function peek_homeless(self)
  local job = self.homeless:peek()
  while job and self.homes[job["function"].id] do
    self.homeless:remove(job)
    lane_of(self, job):push(job, job.id)
    job = self.homeless:peek()
  end
  return job
end

function keepalive:dispatch()
  local homeless = peek_homeless(self)
  local devices = self.node.devices
  for i = 1, #devices do
    local lane = devices[i].idle == 1 and self.lanes[i]
    local job = lane and dispatch_at_home(self, devices[i], lane)
    if job then return run(self, job, devices[i]) end
  end
  homeless = homeless or peek_homeless(self)
  local device = homeless and find_home(self, homeless)
  if not device then return nil end
  self.homeless:remove(homeless)
  self.homes[homeless["function"].id] = device.id + 1
  return run(self, homeless, device)
end

-- What was used longest ago goes first: whose time is over comes before all others, and room_on has counted on it.
function keepalive:evict(device, bytes)
  return self.lru:evict(device, bytes, nil, true)
end

-- A job may have waited before its function had a device.
function keepalive:done(job)
  if not lane_of(self, job):remove(job) then self.homeless:remove(job) end
end

return { name = "keepalive", new = keepalive.new }
