-- Jobs by a key, smallest first, equal keys in order of arrival: a binary heap from which any job can be taken out.
-- Keys are numbers; nothing is allocated once the tables have grown.
local heap = {}
heap.__index = heap

function heap.new()
  return setmetatable({
    count = 0, jobs = {}, keys = {}, ids = {}, slots = {}, places = {}, edge = {},
  }, heap)
end

local function before(self, i, j)
  local left, right = self.keys[i], self.keys[j]
  if left ~= right then return left < right end
  return self.ids[i] < self.ids[j]
end

local function swap(self, i, j)
  local jobs, keys, ids = self.jobs, self.keys, self.ids
  local slots, places = self.slots, self.places
  jobs[i], jobs[j] = jobs[j], jobs[i]
  keys[i], keys[j] = keys[j], keys[i]
  ids[i], ids[j] = ids[j], ids[i]
  slots[i], slots[j] = slots[j], slots[i]
  places[slots[i]], places[slots[j]] = i, j
end

-- Most jobs that come stay where they are put. LuaJIT compiles that case with its callers as long as it meets no loop.
local function rise(self, i)
  if i == 1 or not before(self, i, (i - i % 2) / 2) then return end
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
  self.jobs[i], self.keys[i], self.ids[i] = job, key, job.id
  self.slots[i] = job.slot
  self.places[job.slot] = i
  rise(self, i)
end

-- The first job and its key; nil when there is none.
function heap:peek()
  if self.count == 0 then return nil end
  return self.jobs[1], self.keys[1]
end

-- The first k jobs, in order, into a list; returns how many. What lies behind them in the list is old. The next one is
-- always a child of one that was taken: `edge` holds those children, smallest last.
function heap:first(k, into)
  local edge, edges, count = self.edge, 0, 0
  if self.count > 0 then edges, edge[1] = 1, 1 end
  while edges > 0 and count < k do
    local at = edge[edges]
    edges = edges - 1
    count = count + 1
    into[count] = self.jobs[at]
    for child = 2 * at, math.min(2 * at + 1, self.count) do
      edges = edges + 1
      local place = edges
      while place > 1 and before(self, edge[place - 1], child) do
        edge[place] = edge[place - 1]
        place = place - 1
      end
      edge[place] = child
    end
  end
  return count
end

-- Give every job a new key.
function heap:rekey(key)
  for i = 1, self.count do self.keys[i] = key(self.jobs[i]) end
  for i = (self.count - self.count % 2) / 2, 1, -1 do sink(self, i) end
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
