-- Earliest deadline first, a request's own or its function's objective; jobs without one come after all that have one,
-- in order of arrival. Placement and eviction are fifo's.
local lru = require "lru"
local place = require "place"
local queue = require "queue"

local edf = {}
edf.__index = edf

function edf.new(node)
  return setmetatable({ node = node, waiting = queue.new(node), lru = lru.new(node) }, edf)
end

function edf:submit(job)
  self.waiting:push(job, place.due(job))
end

function edf:dispatch()
  local job = self.waiting:peek()
  if not job then return nil end
  self.waiting:remove(job)
  return job, place.first_fit(self.node, job)
end

function edf:evict(device, bytes)
  return self.lru:evict(device, bytes)
end

function edf:done(job)
  self.waiting:remove(job)
end

return { name = "edf", new = edf.new }
