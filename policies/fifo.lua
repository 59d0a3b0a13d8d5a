-- First come, first served: the oldest job runs next, on an idle device that has its models, else on the idle device
-- with the most free memory. Evicts what was used longest ago. A node starts with this policy and falls back on it.
local lru = require "lru"
local place = require "place"
local queue = require "queue"

local fifo = {}
fifo.__index = fifo

function fifo.new(node)
  return setmetatable({ node = node, waiting = queue.new(node), lru = lru.new(node) }, fifo)
end

function fifo:submit(job)
  self.waiting:push(job, job.id)
end

function fifo:dispatch()
  local job = self.waiting:peek()
  if not job then return nil end
  self.waiting:remove(job)
  return job, place.first_fit(self.node, job)
end

function fifo:evict(device, bytes)
  return self.lru:evict(device, bytes)
end

function fifo:done(job)
  self.waiting:remove(job)
end

return { name = "fifo", new = fifo.new }
