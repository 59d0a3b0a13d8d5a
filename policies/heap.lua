-- Jobs by a key, smallest first, equal keys in order of arrival: a binary heap from which any job can be taken out.
-- Keys are numbers; nothing is allocated once the tables have grown.
local heap = {}
heap.__index = heap

function heap.new()
  return setmetatable({ count = 0, jobs = {}, keys = {}, ids = {}, slots = {}, places = {} }, heap)
end

local function before(self, i, j)
  local left, right = self.keys[i], self.keys[j]
  if left ~= right then return left < right end
  return self.ids[i] < self.ids[j]
end

local function swap(self, i, j)
  local jobs, keys, ids, slots, places = self.jobs, self.keys, self.ids, self.slots, self.places
  jobs[i], jobs[j] = jobs[j], jobs[i]
  keys[i], keys[j] = keys[j], keys[i]
  ids[i], ids[j] = ids[j], ids[i]
  slots[i], slots[j] = slots[j], slots[i]
  places[slots[i]], places[slots[j]] = i, j
end

local function rise(self, i)
  while i > 1 do
    local parent = (i - i % 2) / 2
    if not before(self, i, parent) then return end
    swap(self, i, parent)
    i = parent
  end
end

local function sink(self, i)
  while true do
    local child = 2 * i
    if child > self.count then return end
    if child < self.count and before(self, child + 1, child) then child = child + 1 end
    if not before(self, child, i) then return end
    swap(self, i, child)
    i = child
  end
end

function heap:push(job, key)
  local i = self.count + 1
  self.count = i
  self.jobs[i], self.keys[i], self.ids[i], self.slots[i] = job, key, job.id, job.slot
  self.places[job.slot] = i
  rise(self, i)
end

-- The first job and its key; nil when there is none.
function heap:peek()
  if self.count == 0 then return nil end
  return self.jobs[1], self.keys[1]
end

-- True when the job was here.
function heap:remove(job)
  local i = self.places[job.slot]
  if not i then return false end
  local last = self.count
  if i < last then swap(self, i, last) end
  self.jobs[last] = false
  self.places[job.slot] = false
  self.count = last - 1
  if i < last then
    rise(self, i)
    sink(self, i)
  end
  return true
end

return heap
