-- Eviction: the model that was used longest ago goes first. Models go whole, but for the last, of which only as much
-- goes as is needed, from its tail.
local lru = {}
lru.__index = lru

function lru.new(node)
  return setmetatable({ node = node, list = {}, candidates = {}, scores = {} }, lru)
end

-- When the model was last used: what evict goes by unless it is told otherwise.
local function used_at(model)
  return model.used_at
end

-- All models of which something on the device can go; returns how many.
local function collect(self, device, score)
  local node, candidates, scores, count = self.node, self.candidates, self.scores, 0
  for i = 1, node.resident(device, candidates) do
    local model = candidates[i]
    local there = node.residency(model, device)
    if there.groups > there.pinned then
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

-- Groups of the model to keep on the device so that about `bytes` go, and what goes. Groups are of like size, not of
-- the same, so one more goes than the average says.
local function trim(node, model, device, bytes)
  local there = node.residency(model, device)
  local size = there.bytes / there.groups
  local keep = there.groups - math.ceil(bytes / size) - 1
  if keep < there.pinned then keep = there.pinned end
  return keep, (there.groups - keep) * size
end

-- What to trim on the device to free `bytes` more: {model, keep, model, keep, …}, and how many pairs. The list is used
-- again by the next call. score(model, device): lowest goes first.
function lru:evict(device, bytes, score)
  local list, pairs_listed = self.list, 0
  local count = collect(self, device, score or used_at)
  while bytes > 0 and count > 0 do
    local model = take_lowest(self, count)
    count = count - 1
    local keep, freed = trim(self.node, model, device, bytes)
    list[2 * pairs_listed + 1], list[2 * pairs_listed + 2] = model, keep
    pairs_listed = pairs_listed + 1
    bytes = bytes - freed
  end
  return list, pairs_listed
end

return lru
