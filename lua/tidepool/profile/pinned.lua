--- The policy under which a node is measured, as text: a request runs on the device whose number is its priority, in
--- order of arrival. Its model comes from the host, or, with peers = true in the configuration, from a device that has
--- it.
return [[
local lru = require "lru"
local place = require "place"
local queue = require "queue"

local pinned = {}
pinned.__index = pinned

local function lane_of(self, job)
  local lane = self.lanes[job.priority]
  if not lane then
    lane = queue.new(self.node)
    self.lanes[job.priority] = lane
  end
  return lane
end

function pinned:submit(job) lane_of(self, job):push(job, job.id) end

function pinned:dispatch()
  for _, device in ipairs(self.node.devices) do
    local lane = self.lanes[device.id]
    local job = device.idle == 1 and lane and lane:peek()
    if job then
      lane:remove(job)
      if place.has_all(self.node, job, device) then return job, device, self.node.RESIDENT end
      local peer = self.peers and place.peer_with(self.node, job.models[0], device)
      if peer then return job, device, self.node.PEER, peer end
      return job, device, self.node.HOST
    end
  end
  return nil
end

function pinned:evict(device, bytes) return self.lru:evict(device, bytes) end

function pinned:done(job) lane_of(self, job):remove(job) end

return {
  name = "pinned",
  new = function(node, config)
    return setmetatable({ node = node, lanes = {}, lru = lru.new(node), peers = config.peers }, pinned)
  end,
}
]]
