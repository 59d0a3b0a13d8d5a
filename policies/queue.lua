-- The jobs that wait, by a key, smallest first. A job that is bound to a device waits in a lane of that device's, so
-- that it holds up nobody while its device is busy.
local heap = require "heap"

local queue = {}
queue.__index = queue

-- order: the module that keeps the jobs which are bound to no device, heap unless it is said (or ladder).
function queue.new(node, order)
  return setmetatable({ node = node, any = (order or heap).new(), bound = {} }, queue)
end

local function lane_of(self, job)
  if job.bound_device < 0 then return self.any end
  local lane = self.bound[job.bound_device]
  if not lane then
    lane = heap.new()
    self.bound[job.bound_device] = lane
  end
  return lane
end

function queue:push(job, key, weight)
  lane_of(self, job):push(job, key, weight)
end

-- The weights of all jobs that are bound to no device and whose key is not above that one, summed; in a ladder.
function queue:weight_before(key)
  return self.any:weight_before(key)
end

-- The first k jobs that an idle device could run, in order, into a list, and of those bound to a device only each
-- device's first; returns how many.
function queue:first(k, into)
  local count = self.any:first(k, into)
  local devices = self.node.devices
  for i = 1, #devices do
    local lane = devices[i].idle == 1 and self.bound[devices[i].id]
    local job = lane and lane:peek()
    if job then
      count = count + 1
      into[count] = job
    end
  end
  return count
end

-- The jobs that the device, busy or not, could run next: the first that is bound to it, then the first k bound to none,
-- in order, into a list; returns how many.
function queue:upcoming(device, k, into)
  local count = self.any:first(k, into)
  local lane = self.bound[device.id]
  local job = lane and lane:peek()
  if not job then return count end
  for i = count, 1, -1 do into[i + 1] = into[i] end
  into[1] = job
  return count + 1
end

-- Give every job that waits a new key; in a heap.
function queue:rekey(key)
  self.any:rekey(key)
  for _, lane in pairs(self.bound) do lane:rekey(key) end
end

-- True when the job was waiting.
function queue:remove(job)
  return lane_of(self, job):remove(job)
end

-- The first job that an idle device could run now; nil when there is none.
function queue:peek()
  local best, best_key
  local devices, bound, some_idle = self.node.devices, self.bound, false
  for i = 1, #devices do
    local device = devices[i]
    if device.idle == 1 then
      some_idle = true
      local lane = bound[device.id]
      if lane then
        local job, key = lane:peek()
        if job and (not best or key < best_key) then best, best_key = job, key end
      end
    end
  end
  if not some_idle then return nil end
  local job, key = self.any:peek()
  if job and (not best or key < best_key) then return job end
  return best
end

return queue
