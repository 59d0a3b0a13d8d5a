-- Placement by chance, for comparison: the oldest job goes to any idle device, wherever its models are, and any model
-- is evicted. The same seed gives the same choices.
--
-- config: seed (1)
local lru = require "lru"
local place = require "place"
local queue = require "queue"

local random = {}
random.__index = random

function random.new(node, config)
  math.randomseed(config.seed or 1)
  return setmetatable({ node = node, waiting = queue.new(node), lru = lru.new(node) }, random)
end

function random:submit(job)
  self.waiting:push(job, job.id)
end

local function choose(self, job)
  local device = place.any(self.node, job)
  if not device then return nil end
  return device, place.has_all(self.node, job, device) and self.node.RESIDENT or self.node.HOST
end

function random:dispatch()
  return place.take_first(self.waiting, choose, self)
end

local function by_chance()
  return math.random()
end

function random:evict(device, bytes)
  return self.lru:evict(device, bytes, by_chance, true)
end

function random:done(job)
  self.waiting:remove(job)
end

return { name = "random", new = random.new }
