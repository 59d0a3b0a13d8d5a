-- Eviction: the model that was used longest ago goes first. Models go whole, but for the last, of which only as much
-- goes as is needed, from its tail.
local lru = {}
lru.__index = lru

-- keeps_prefix: as long as that frees enough, models lose only what can be copied again behind their run (the groups
-- behind model.prefix_groups), so that they answer as if they had stayed.
function lru.new(node, keeps_prefix)
  return setmetatable({
    node = node, keeps_prefix = keeps_prefix,
    -- Pairs of model and groups to keep; how many there are.
    list = {}, listed = 0,
    -- What is on the device, from the first pass on: models in order of id; of each, its groups, those that cannot go,
    -- those that will be left of it, and its place in the list or 0.
    models = {}, count = 0, groups = {}, pinned = {}, left = {}, places = {},
    -- Of a pass: indices of models, their scores, and by index what must stay.
    candidates = {}, scores = {}, least = {},
  }, lru)
end

-- When the model was last used: what evict goes by unless it is told otherwise.
local function used_at(model)
  return model.used_at
end

local function prefix(model)
  return model.prefix_groups
end

local function look(self, device)
  local node, models, groups, pinned = self.node, self.models, self.groups, self.pinned
  local left, places = self.left, self.places
  local count = node.resident(device, models)
  for i = 1, count do
    local there = node.groups(models[i], device)
    groups[i], left[i], pinned[i], places[i] = there, there, node.pinned(models[i], device), 0
  end
  self.count, self.is_seen = count, true
end

-- All models of which something on the device can go; returns how many.
local function collect(self, device, score, floor)
  local models, left, pinned, least = self.models, self.left, self.pinned, self.least
  local candidates, scores, count = self.candidates, self.scores, 0
  for i = 1, self.count do
    local stays = pinned[i]
    if left[i] > stays then
      if floor then stays = math.max(stays, floor(models[i], device)) end
      if left[i] > stays then
        count = count + 1
        candidates[count], scores[count], least[i] = i, score(models[i], device), stays
      end
    end
  end
  return count
end

-- Take the candidate with the lowest score out of the first `count`; equal ones by id, so that the order is certain.
local function take_lowest(self, count)
  local candidates, scores, lowest = self.candidates, self.scores, 1
  for k = 2, count do
    if scores[k] < scores[lowest] or scores[k] == scores[lowest] and candidates[k] < candidates[lowest] then
      lowest = k
    end
  end
  local i = candidates[lowest]
  candidates[lowest], scores[lowest] = candidates[count], scores[count]
  return i
end

-- List model number i; returns the bytes that go. Groups are of like size, not of the same, so one more goes than the
-- average says.
local function trim(self, i, device, bytes)
  local model, place, left = self.models[i], self.places[i], self.left[i]
  local size = self.node.residency(model, device).bytes / self.groups[i]
  local keep = math.max(self.least[i], left - math.ceil(bytes / size) - 1)
  if place == 0 then
    place = self.listed + 1
    self.listed, self.places[i] = place, place
  end
  self.list[2 * place - 1], self.list[2 * place] = model, keep
  self.left[i] = keep
  return (left - keep) * size
end

-- Begin a list of evictions, of one device.
function lru:start()
  self.listed, self.is_seen = 0, false
end

-- List models, lowest score(model, device) first, until `bytes` go; returns how many bytes are still to go. Of each,
-- the groups up to floor(model, device) stay. whole: the last model too goes as far as it can.
function lru:pass(device, bytes, score, floor, whole)
  if not self.is_seen then look(self, device) end
  local count = collect(self, device, score, floor)
  while bytes > 0 and count > 0 do
    local i = take_lowest(self, count)
    count = count - 1
    bytes = bytes - trim(self, i, device, whole and math.huge or bytes)
  end
  return bytes
end

-- What to trim on the device to free `bytes` more: {model, keep, model, keep, …}, and how many pairs. The list is used
-- again by the next call. score (used_at when nil) and whole as above.
function lru:evict(device, bytes, score, whole)
  self:start()
  if self.keeps_prefix then bytes = self:pass(device, bytes, score or used_at, prefix) end
  self:pass(device, bytes, score or used_at, nil, whole)
  return self.list, self.listed
end

return lru
