-- Earliest deadline first, a request's own or its function's objective; jobs without one come after all that have one,
-- in order of arrival. Placement, look-ahead and eviction are fifo's.
local ahead = require "ahead"
local lru = require "lru"
local place = require "place"
local queue = require "queue"

local edf = {}
edf.__index = edf

function edf.new(node, config)
  return setmetatable({ node = node, waiting = queue.new(node), lru = lru.new(node, config.prefix ~= false),
    relay = config.relay }, edf)
end

function edf:submit(job)
  self.waiting:push(job, place.due(job))
end

local function choose(self, job)
  return place.first_fit(self.node, job, self.relay)
end

function edf:dispatch()
  return place.take_first(self.waiting, choose, self)
end

function edf:evict(device, bytes)
  return self.lru:evict(device, bytes, ahead.worth(self.waiting, device))
end

function edf:prefetch(device)
  return ahead.pick(self.node, self.waiting, device)
end

function edf:done(job)
  self.waiting:remove(job)
end

return { name = "edf", new = edf.new }
