-- Eviction: the model that was used longest ago goes first. Models go whole, but for the last, of which only as much
-- goes as is needed, from its tail.
local lru = {}
lru.__index = lru

-- keeps_prefix: as long as that frees enough, models lose only what can be copied again behind their run (the groups
-- behind model.prefix_groups), so that they answer as if they had stayed.
function lru.new(node, keeps_prefix)
  return setmetatable({ node = node, keeps_prefix = keeps_prefix, list = {}, listed = 0, candidates = {}, scores = {} },
    lru)
end

-- When the model was last used: what evict goes by unless it is told otherwise.
local function used_at(model)
  return model.used_at
end

local function prefix(model)
  return model.prefix_groups
end

local function place_in_list(self, model)
  for i = 1, self.listed do
    if self.list[2 * i - 1].id == model.id then return i end
  end
  return nil
end

-- Groups that will be left of the model after what is listed already.
local function left_of(self, model, there)
  local i = place_in_list(self, model)
  return i and self.list[2 * i] or there.groups
end

local function add(self, model, keep)
  local i = place_in_list(self, model)
  if not i then
    i = self.listed + 1
    self.listed = i
  end
  self.list[2 * i - 1], self.list[2 * i] = model, keep
end

local function least_of(model, device, there, floor)
  return math.max(there.pinned, floor and floor(model, device) or 0)
end

-- All models of which something on the device can go; returns how many.
local function collect(self, device, score, floor)
  local node, candidates, scores, count = self.node, self.candidates, self.scores, 0
  for i = 1, node.resident(device, candidates) do
    local model = candidates[i]
    local there = node.residency(model, device)
    if left_of(self, model, there) > least_of(model, device, there, floor) then
      count = count + 1
      candidates[count], scores[count] = model, score(model, device)
    end
  end
  return count
end

-- Take the candidate with the lowest score out of the first `count`; equal ones by id, so that the order is certain.
local function take_lowest(self, count)
  local candidates, scores, lowest = self.candidates, self.scores, 1
  for i = 2, count do
    if scores[i] < scores[lowest]
      or scores[i] == scores[lowest] and candidates[i].id < candidates[lowest].id then
      lowest = i
    end
  end
  local model = candidates[lowest]
  candidates[lowest], scores[lowest] = candidates[count], scores[count]
  return model
end

-- List the model; returns the bytes that go. Groups are of like size, not of the same, so one more goes than the
-- average says.
local function trim(self, model, device, bytes, floor)
  local there = self.node.residency(model, device)
  local size = there.bytes / there.groups
  local left = left_of(self, model, there)
  local keep = math.max(least_of(model, device, there, floor), left - math.ceil(bytes / size) - 1)
  add(self, model, keep)
  return (left - keep) * size
end

-- Begin a list of evictions.
function lru:start()
  self.listed = 0
end

-- List models, lowest score(model, device) first, until `bytes` go; returns how many bytes are still to go. Of each,
-- the groups up to floor(model, device) stay. whole: the last model too goes as far as it can.
function lru:pass(device, bytes, score, floor, whole)
  local count = collect(self, device, score, floor)
  while bytes > 0 and count > 0 do
    local model = take_lowest(self, count)
    count = count - 1
    bytes = bytes - trim(self, model, device, whole and math.huge or bytes, floor)
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
