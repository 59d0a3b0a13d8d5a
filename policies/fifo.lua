-- First come, first served: the oldest job runs next, on an idle device that has its models, else on the idle device
-- with the most free memory. While a device is busy, what its next job lacks is brought there already. Evicts what was
-- used longest ago and is not waited for, at first only as far as it can be brought back behind a run. A node starts
-- with this policy and falls back on it.
local ahead = require "ahead"
local lru = require "lru"
local place = require "place"
local queue = require "queue"

local fifo = {}
fifo.__index = fifo

function fifo.new(node, config)
  return setmetatable({ node = node, waiting = queue.new(node), lru = lru.new(node, config.prefix ~= false),
    relay = config.relay }, fifo)
end

function fifo:submit(job)
  self.waiting:push(job, job.id)
end

local function choose(self, job)
  return place.first_fit(self.node, job, self.relay)
end

function fifo:dispatch()
  return place.take_first(self.waiting, choose, self)
end

function fifo:evict(device, bytes)
  return self.lru:evict(device, bytes, ahead.worth(self.waiting, device))
end

function fifo:prefetch(device)
  return ahead.pick(self.node, self.waiting, device)
end

function fifo:done(job)
  self.waiting:remove(job)
end

return { name = "fifo", new = fifo.new }
