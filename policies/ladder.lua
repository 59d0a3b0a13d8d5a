-- Jobs by a key, smallest first, equal keys in order of arrival, for a policy that looks at the first few all the time
-- and asks how much weighs what comes before a key: sorted lists of at most ROOM jobs, one behind the other, each with
-- the sum of its weights. A job comes and goes at the price of its list and of the number of lists, not of the queue.
-- Nothing is allocated once there were as many lists.
local ladder = {}
ladder.__index = ladder

local ROOM = 64

function ladder.new()
  return setmetatable({
    steps = {}, count = 0,
    -- Emptied steps. By slot of job: its key while it is here, else false.
    spare = {}, spares = 0, keys = {},
  }, ladder)
end

local function take_step(self)
  if self.spares == 0 then return { count = 0, weight = 0, jobs = {}, keys = {}, ids = {}, weights = {} } end
  local step = self.spare[self.spares]
  self.spares = self.spares - 1
  return step
end

-- A step becomes number i.
local function insert_step(self, i, step)
  local steps = self.steps
  for k = self.count, i, -1 do steps[k + 1] = steps[k] end
  steps[i], self.count = step, self.count + 1
end

-- Step number i is empty: it goes.
local function drop_step(self, i)
  local steps, step = self.steps, self.steps[i]
  step.weight = 0
  for k = i, self.count - 1 do steps[k] = steps[k + 1] end
  steps[self.count] = false
  self.count, self.spares = self.count - 1, self.spares + 1
  self.spare[self.spares] = step
end

-- Number of the step that a job of that key and id is in, or belongs into: the last that begins no later.
local function find_step(self, key, id)
  local steps, low, high = self.steps, 1, self.count
  while low < high do
    local middle = (low + high + 1 - (low + high + 1) % 2) / 2
    local first = steps[middle].keys[1]
    if first < key or first == key and steps[middle].ids[1] <= id then low = middle else high = middle - 1 end
  end
  return low
end

local function put(step, at, job, key, id, weight)
  step.jobs[at], step.keys[at], step.ids[at], step.weights[at] = job, key, id, weight
end

-- The upper half of a full step becomes the next one.
local function split(self, i)
  local lower, upper = self.steps[i], take_step(self)
  local kept = ROOM / 2
  for k = kept + 1, ROOM do
    put(upper, k - kept, lower.jobs[k], lower.keys[k], lower.ids[k], lower.weights[k])
    upper.weight = upper.weight + lower.weights[k]
    lower.jobs[k] = false
  end
  lower.count, upper.count, lower.weight = kept, ROOM - kept, lower.weight - upper.weight
  insert_step(self, i + 1, upper)
end

-- Every job behind `at` moves by one place, up or down.
local function move_up(step, at)
  local jobs, keys, ids, weights = step.jobs, step.keys, step.ids, step.weights
  for k = step.count, at, -1 do
    jobs[k + 1], keys[k + 1], ids[k + 1], weights[k + 1] = jobs[k], keys[k], ids[k], weights[k]
  end
end

local function move_down(step, at)
  local jobs, keys, ids, weights = step.jobs, step.keys, step.ids, step.weights
  for k = at, step.count - 1 do
    jobs[k], keys[k], ids[k], weights[k] = jobs[k + 1], keys[k + 1], ids[k + 1], weights[k + 1]
  end
  jobs[step.count] = false
end

-- Place in the step of the first job that does not come before that key and id.
local function find_place(step, key, id)
  local keys, ids, low, high = step.keys, step.ids, 1, step.count + 1
  while low < high do
    local middle = (low + high - (low + high) % 2) / 2
    if keys[middle] < key or keys[middle] == key and ids[middle] < id then low = middle + 1 else high = middle end
  end
  return low
end

-- weight: a number to be summed by weight_before; 0 when nil.
function ladder:push(job, key, weight)
  local id = job.id
  weight = weight or 0
  if self.count == 0 then insert_step(self, 1, take_step(self)) end
  local i = find_step(self, key, id)
  if self.steps[i].count == ROOM then
    split(self, i)
    i = find_step(self, key, id)
  end
  local step = self.steps[i]
  local at = find_place(step, key, id)
  move_up(step, at)
  put(step, at, job, key, id, weight)
  step.count, step.weight = step.count + 1, step.weight + weight
  self.keys[job.slot] = key
end

-- The first job and its key; nil when there is none.
function ladder:peek()
  if self.count == 0 then return nil end
  local step = self.steps[1]
  return step.jobs[1], step.keys[1]
end

-- The first k jobs, in order, into a list; returns how many. What lies behind them in the list is old.
function ladder:first(k, into)
  local count = 0
  for i = 1, self.count do
    local step = self.steps[i]
    local jobs = step.jobs
    for at = 1, math.min(step.count, k - count) do into[count + at] = jobs[at] end
    count = count + math.min(step.count, k - count)
    if count == k then break end
  end
  return count
end

-- The weights of all jobs whose key is not above that one, summed.
function ladder:weight_before(key)
  local sum = 0
  for i = 1, self.count do
    local step = self.steps[i]
    if step.keys[step.count] > key then
      local keys, weights, at = step.keys, step.weights, 1
      while keys[at] <= key do
        sum = sum + weights[at]
        at = at + 1
      end
      return sum
    end
    sum = sum + step.weight
  end
  return sum
end

-- True when the job was here.
function ladder:remove(job)
  local key = self.keys[job.slot]
  if not key then return false end
  self.keys[job.slot] = false
  local i = find_step(self, key, job.id)
  local step = self.steps[i]
  local at = find_place(step, key, job.id)
  step.weight = step.weight - step.weights[at]
  move_down(step, at)
  step.count = step.count - 1
  if step.count == 0 then drop_step(self, i) end
  return true
end

return ladder
