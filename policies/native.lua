-- A device per function, as without swapping: the first function gets the first device, and a device takes functions
-- until their models and `overhead_bytes` each (a runtime of its own) fill it. Nothing is evicted; functions that found
-- no place are refused. The baseline that late binding is measured against.
--
-- config: overhead_bytes (0), refuse (true: requests of functions without a place; false: they share the last device)
local heap = require "heap"
local place = require "place"

local native = {}
native.__index = native

function native.new(node, config)
  return setmetatable({
    node = node,
    overhead = config.overhead_bytes or 0,
    refuse = config.refuse ~= false,
    -- By function id: index of its device, or false. By device index: bytes given away, and the jobs that wait.
    homes = {}, taken = {}, lanes = {},
  }, native)
end

-- Index of the function's device; given on first sight. false: there is no room anywhere.
local function home_of(self, job)
  local fn = job["function"]
  local home = self.homes[fn.id]
  if home ~= nil then return home end
  local bytes = self.overhead
  for i = 0, job.model_count - 1 do bytes = bytes + job.models[i].bytes end
  home = false
  for i, device in ipairs(self.node.devices) do
    local taken = self.taken[i] or 0
    if not home and taken + bytes <= device.capacity then
      home, self.taken[i] = i, taken + bytes
    end
  end
  self.homes[fn.id] = home
  return home
end

local function lane_of(self, job)
  local index = job.bound_device >= 0 and job.bound_device + 1 or home_of(self, job) or #self.node.devices
  local lane = self.lanes[index]
  if not lane then
    lane = heap.new()
    self.lanes[index] = lane
  end
  return lane
end

function native:admit(job)
  if self.refuse and not home_of(self, job) then return false, 0 end
  return true
end

function native:submit(job)
  lane_of(self, job):push(job, job.id)
end

function native:dispatch()
  local node = self.node
  local devices = node.devices
  for i = 1, #devices do
    local lane = self.lanes[i]
    local job = devices[i].idle == 1 and lane and lane:peek()
    if job then
      lane:remove(job)
      return job, devices[i], place.has_all(node, job, devices[i]) and node.RESIDENT or node.HOST
    end
  end
  return nil
end

function native.evict()
  return nil
end

function native:done(job)
  lane_of(self, job):remove(job)
end

return { name = "native", new = native.new }
