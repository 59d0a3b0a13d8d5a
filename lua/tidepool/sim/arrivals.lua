--- When requests come, from rates a minute: two ways of reading the same rates.
---
---   poisson  every function is a Poisson process whose rate is that of the minute (gaps with a coefficient of
---            variation of 1)
---   smooth   as "Torpor"'s published artifact makes them: the minute's requests, each function's as often as its rate
---            says, in random order, with gaps that are Poisson distributed numbers of milliseconds (a coefficient of
---            variation of 0.28 at 78 requests a second)
local ffi = require "ffi"
local random = require "tidepool.sim.random"

local MINUTE_NS = 60e9
local MS = 1e6

local arrivals = {}
arrivals.__index = arrivals

arrivals.kinds = { "poisson", "smooth" }

--- rows: rates by function and minute. start: when the first minute begins, ns; 0 when nil.
function arrivals.new(kind, rows, seed, start)
  start = start or 0
  return setmetatable({ kind = kind, rows = rows, source = random.new(seed, 3), start = start, last = start, room = 0 },
    arrivals)
end

local function make_room(self, count)
  if count <= self.room then return end
  local room = math.max(1024, self.room)
  while room < count do room = room * 2 end
  local times, functions = ffi.new("double[?]", room), ffi.new("uint32_t[?]", room)
  if self.room > 0 then
    ffi.copy(times, self.times, self.room * 8)
    ffi.copy(functions, self.functions, self.room * 4)
  end
  self.times, self.functions, self.room = times, functions, room
end

-- The sum of the rates up to and with each function, from index 1; and of all.
local function add_up(self, minute)
  self.sums = self.sums or {}
  local sum = 0
  for i, row in ipairs(self.rows) do
    sum = sum + row[minute]
    self.sums[i] = sum
  end
  return sum
end

-- The function, from 0, whose share of the sums holds x.
local function find(self, x)
  local sums, low, high = self.sums, 1, #self.rows
  while low < high do
    local middle = math.floor((low + high) / 2)
    if x < sums[middle] then high = middle else low = middle + 1 end
  end
  return low - 1
end

-- The processes of all functions together are one of the sum of their rates, each event of which is a function's with
-- the probability of its share.
local function poisson(self, minute)
  local rate, count, time = add_up(self, minute), 0, self.start + (minute - 1) * MINUTE_NS
  if rate == 0 then return 0 end
  while true do
    time = time + self.source:exponential(MINUTE_NS / rate)
    if time >= self.start + minute * MINUTE_NS then return count end
    make_room(self, count + 1)
    self.times[count] = math.floor(time)
    self.functions[count] = find(self, self.source:uniform() * rate)
    count = count + 1
  end
end

local function smooth(self, minute)
  local count = 0
  for i, row in ipairs(self.rows) do
    local own = math.floor(row[minute] + 0.5)
    make_room(self, count + own)
    for _ = 1, own do
      self.functions[count] = i - 1
      count = count + 1
    end
  end
  if count == 0 then return 0 end
  self.source:shuffle(self.functions, count, 0)
  local time, gap_ms = math.max(self.last, self.start + (minute - 1) * MINUTE_NS), MINUTE_NS / MS / count
  for i = 0, count - 1 do
    time = time + self.source:poisson(gap_ms) * MS
    self.times[i] = time
  end
  return count
end

--- The arrivals of that minute, from 1: {count, times in ns, functions from 0}, good until the next call.
function arrivals:minute(minute)
  self.count = (self.kind == "smooth" and smooth or poisson)(self, minute)
  if self.count > 0 then self.last = self.times[self.count - 1] end
  return self
end

return arrivals
