--- Random numbers that are the same on every machine: a generator of its own for each use, so that one use more does
--- not move the others. xorshift32 (Marsaglia, 2003) behind a seed that is well mixed.
local bit = require "bit"

local random = {}
random.__index = random

-- Shifts and odd factors by turns, as hash functions end.
local function mix(x)
  x = bit.bxor(x, bit.rshift(x, 16))
  x = bit.tobit(x % 2 ^ 32 * 0x85eb)
  x = bit.bxor(x, bit.rshift(x, 13))
  x = bit.tobit(x % 2 ^ 32 * 0xca6b)
  return bit.bxor(x, bit.rshift(x, 16))
end

--- stream: a number that sets this generator apart from others of the seed.
function random.new(seed, stream)
  local state = mix(bit.tobit(seed * 2 + 1))
  state = mix(bit.bxor(state, bit.tobit((stream or 0) * 7919 + 12345)))
  local self = setmetatable({ state = state == 0 and 1 or state }, random)
  for _ = 1, 8 do self:uniform() end
  return self
end

--- Uniform in (0, 1).
function random:uniform()
  local x = self.state
  x = bit.bxor(x, bit.lshift(x, 13))
  x = bit.bxor(x, bit.rshift(x, 17))
  x = bit.bxor(x, bit.lshift(x, 5))
  self.state = x
  return (x % 2 ^ 32 + 0.5) / 2 ^ 32
end

--- A whole number from 1 to n.
function random:below(n)
  return math.floor(self:uniform() * n) + 1
end

function random:exponential(mean)
  return -mean * math.log(self:uniform())
end

--- Standard normal (Box and Muller).
function random:normal()
  local radius = math.sqrt(-2 * math.log(self:uniform()))
  return radius * math.cos(2 * math.pi * self:uniform())
end

--- Gamma with that shape and scale (Marsaglia and Tsang, 2000).
function random:gamma(shape, scale)
  if shape < 1 then return self:gamma(shape + 1, scale) * self:uniform() ^ (1 / shape) end
  local d = shape - 1 / 3
  local c = 1 / math.sqrt(9 * d)
  while true do
    local x = self:normal()
    local v = (1 + c * x) ^ 3
    if v > 0 and math.log(self:uniform()) < 0.5 * x * x + d - d * v + d * math.log(v) then return d * v * scale end
  end
end

--- Poisson: by products of uniform numbers (Knuth), in portions so that nothing underflows.
function random:poisson(mean)
  local count = 0
  while mean > 30 do
    -- The time of the k-th event is gamma distributed (Ahrens and Dieter, 1974).
    local k = math.floor(mean * 7 / 8)
    local time = self:gamma(k, 1)
    if time > mean then
      for _ = 1, k - 1 do
        if self:uniform() * time < mean then count = count + 1 end
      end
      return count
    end
    count, mean = count + k, mean - time
  end
  local product, limit = self:uniform(), math.exp(-mean)
  while product > limit do
    product, count = product * self:uniform(), count + 1
  end
  return count
end

--- Put the first `count` of a list (1-based, or any array with an index from `first`) into random order.
function random:shuffle(list, count, first)
  first = first or 1
  for i = count - 1, 1, -1 do
    local j = self:below(i + 1) - 1
    list[first + i], list[first + j] = list[first + j], list[first + i]
  end
end

return random
