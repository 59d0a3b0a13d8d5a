-- FaaSwap's policy (arXiv 2306.03622; Torpor, USENIX ATC 2025): late binding with interference-aware placement,
-- queueing by required request count, and eviction that lets light models go first.
--
-- config, with what the paper and its artifact use:
--   alpha (1)             share of the positive deficits that HIGH takes, to begin with
--   alpha_step (0.04)     change of the share of compliant functions that doubles or halves alpha
--   alpha_growth (0.01)   what alpha grows by otherwise
--   sort_ms (2000)        how often functions are sorted into HIGH and LOW
--   adapt_ms (40000)      how often alpha is adapted
--   by_latency (true)     multiply a deficit by the function's mean latency
--   heavy_ratio (1)       a model is heavy when its load takes longer than its run times this
--   queueing, placement, eviction ("torpor"): "fifo", "random" and "lru" take one part away, for ablations
local lru = require "lru"
local place = require "place"
local queue = require "queue"

local torpor = {}
torpor.__index = torpor

-- What is added to a key to come after all of HIGH: above any deficit, and small enough that deficits still count
-- beside it.
local LOW = 1e12

function torpor.new(node, config)
  math.randomseed(config.seed or 1)
  local self = setmetatable({
    node = node,
    waiting = queue.new(node),
    lru = lru.new(node),
    alpha = config.alpha or 1,
    alpha_step = config.alpha_step or 0.04,
    alpha_growth = config.alpha_growth or 0.01,
    sort_ns = (config.sort_ms or 2000) * 1e6,
    adapt_ns = (config.adapt_ms or 40000) * 1e6,
    by_latency = config.by_latency ~= false,
    heavy_ratio = config.heavy_ratio or 1,
    by_arrival = config.queueing == "fifo",
    by_chance = config.placement == "random",
    plain_lru = config.eviction == "lru",
    sorted_at = node.now, adapted_at = node.now, compliant = nil,
    -- By function id: what its jobs are queued by.
    keys = {},
    order = {}, deficits = {},
    -- By slot of job: its first model. By device id: the model that was last sent there from the host.
    models = {}, loading = {},
  }, torpor)
  function self.key(job) return self:key_of(job) end
  function self.by_deficit(left, right)
    local a, b = self.deficits[left], self.deficits[right]
    if a ~= b then return a < b end
    return left < right
  end
  function self.score(model, device) return self:score_of(model, device) end
  return self
end

-- Queueing --------------------------------------------------------------------------------------------------------

-- Required request count: how many requests in a row must be in time before the objective holds again.
local function deficit_of(self, fn)
  if fn.slo_ns == 0 then return 0 end
  local p = math.min(fn.slo_percentile, 0.999999)
  local rrc = (p * fn.requests - fn.in_time) / (1 - p)
  return self.by_latency and rrc * fn.mean_ns / 1e9 or rrc
end

function torpor:key_of(job)
  return self.by_arrival and job.id or self.keys[job["function"].id] or 0
end

-- HIGH: the largest deficit first. LOW: the smallest first. Functions in order of deficit, while the sum of the
-- positive ones is within alpha of their total, are HIGH.
local function sort_functions(self)
  local order, deficits, keys, count, total = self.order, self.deficits, self.keys, 0, 0
  for id, fn in pairs(self.node.functions) do
    count = count + 1
    order[count] = id
    deficits[id] = deficit_of(self, fn)
    total = total + math.max(0, deficits[id])
  end
  for i = #order, count + 1, -1 do order[i] = nil end
  table.sort(order, self.by_deficit)
  local sum = 0
  for i = 1, count do
    local deficit = deficits[order[i]]
    sum = sum + math.max(0, deficit)
    keys[order[i]] = (deficit <= 0 or sum <= self.alpha * total) and -deficit or LOW + deficit
  end
  self.waiting:rekey(self.key)
end

-- Share of the functions with requests whose objective holds.
local function share_compliant(self)
  local holding, count = 0, 0
  for _, fn in pairs(self.node.functions) do
    if fn.requests > 0 and fn.slo_ns > 0 then
      count = count + 1
      if fn.in_time >= fn.slo_percentile * fn.requests then holding = holding + 1 end
    end
  end
  return count > 0 and holding / count or 1
end

local function adapt(self)
  local share = share_compliant(self)
  local change = share - (self.compliant or share)
  self.compliant = share
  if change >= self.alpha_step then
    self.alpha = self.alpha * 2
  elseif change <= -self.alpha_step then
    self.alpha = self.alpha / 2
  else
    self.alpha = self.alpha * (1 + self.alpha_growth)
  end
  self.alpha = math.min(self.alpha, 1)
end

function torpor:tick(now)
  if self.by_arrival then return end
  if now - self.adapted_at >= self.adapt_ns then
    self.adapted_at = now
    adapt(self)
  end
  if now - self.sorted_at >= self.sort_ns then
    self.sorted_at = now
    sort_functions(self)
  end
end

function torpor:submit(job)
  self.models[job.slot] = job.model_count > 0 and place.model(self.node, job, 0) or false
  self.waiting:push(job, self:key_of(job))
end

-- Placement --------------------------------------------------------------------------------------------------------

local function is_heavy(self, model, device)
  return place.load_ns(model, device) > self.heavy_ratio * model.run_ns
end

-- 0: nobody behind the device's switch loads; 1: a light model is loaded there; 2: a heavy one.
local function interference(self, device)
  local worst = 0
  if device.switch_id < 0 then return 0 end
  local devices = self.node.devices
  for i = 1, #devices do
    local other = devices[i]
    if other.id ~= device.id and other.switch_id == device.switch_id and other.loading == 1 then
      local model = self.node.models[self.loading[other.id]]
      worst = math.max(worst, model and is_heavy(self, model, other) and 2 or 1)
    end
  end
  return worst
end

-- The idle device whose link to a device that has the model is the fastest, and that device.
local function find_peer(self, job)
  local best, from, best_rate = nil, nil, 0
  local node, model = self.node, self.models[job.slot]
  local devices = node.devices
  if not model then return nil end
  for i = 1, #devices do
    local device = devices[i]
    local peer = place.may_run(node, job, device) and place.peer_with(node, model, device)
    local rate = peer and node.peer_rate(device, peer) or 0
    if rate > best_rate then best, from, best_rate = device, peer, rate end
  end
  return best, from
end

local function find_quiet(self, job)
  local best, least
  local devices = self.node.devices
  for i = 1, #devices do
    local device = devices[i]
    if place.may_run(self.node, job, device) then
      local noise = interference(self, device)
      if not best or noise < least then best, least = device, noise end
    end
  end
  return best
end

local function place_job(self, job)
  local node = self.node
  if self.by_chance then
    local device = place.any(self.node, job)
    if not device then return nil end
    return device, place.has_all(node, job, device) and node.RESIDENT or node.HOST
  end
  local devices = node.devices
  for i = 1, #devices do
    if place.may_run(node, job, devices[i]) and place.has_all(node, job, devices[i]) then
      return devices[i], node.RESIDENT
    end
  end
  local device, peer = find_peer(self, job)
  if device then return device, node.PEER, peer end
  return find_quiet(self, job), node.HOST
end

function torpor:dispatch()
  local job, device, source, peer = place.take_first(self.waiting, place_job, self)
  if not job then return nil end
  local model = self.models[job.slot]
  if source == self.node.HOST and model then self.loading[device.id] = model.id end
  return job, device, source, peer
end

-- Eviction --------------------------------------------------------------------------------------------------------

local function has_replica(self, model, device)
  for _, other in ipairs(self.node.devices) do
    if other.id ~= device.id and place.has(self.node, model, other) then return true end
  end
  return false
end

-- Models that are on another device too go first, then light ones, then heavy ones; each by last use.
function torpor:score_of(model, device)
  if has_replica(self, model, device) then return model.used_at - 2e18 end
  if not is_heavy(self, model, device) then return model.used_at - 1e18 end
  return model.used_at
end

function torpor:evict(device, bytes)
  return self.lru:evict(device, bytes, not self.plain_lru and self.score or nil, true)
end

function torpor:done(job)
  self.waiting:remove(job)
end

function torpor:snapshot()
  return { alpha = self.alpha, compliant = self.compliant }
end

function torpor:restore(state)
  self.alpha = state.alpha or self.alpha
  self.compliant = state.compliant
end

return { name = "torpor", new = torpor.new }
