--- Request rates of functions, minute by minute: read from a file, or made like one.
---
--- A file has a line a function: its name, then its requests in each minute, separated by commas; lines that begin
--- with # and a heading that begins with "function" are left out.
local random = require "tidepool.sim.random"

local trace = {}

--- Rows of a file's text: a list of lists of numbers, all of the same length. Raises a text that names line and field.
function trace.parse(text, name)
  local rows, number = {}, 0
  for line in text:gmatch "[^\r\n]+" do
    number = number + 1
    if not line:find "^%s*#" and not line:find "^function%s*," then
      local row, field = {}, 0
      for value in (line .. ","):gmatch "([^,]*)," do
        field = field + 1
        if field > 1 then
          local count = tonumber(value)
          if not count or count < 0 or count ~= count or count == math.huge then
            error(("%s: row %d, field %d: '%s' is not a rate"):format(name, number, field, value), 0)
          end
          row[field - 1] = count
        end
      end
      if #row == 0 then error(("%s: row %d: no rates"):format(name, number), 0) end
      if rows[1] and #row ~= #rows[1] then
        error(("%s: row %d: %d minutes, the first row has %d"):format(name, number, #row, #rows[1]), 0)
      end
      rows[#rows + 1] = row
    end
  end
  if #rows == 0 then error(name .. ": no rows", 0) end
  return rows
end

function trace.read(path)
  local file, message = io.open(path, "r")
  if not file then error(message, 0) end
  local text = file:read "*a"
  file:close()
  return trace.parse(text, path)
end

-- What the generator was fitted to: the published minute counts of 120 functions over 31 minutes (docs/simulator.md
-- shows how well). Quantiles at these shares, straight lines between them:
local SHARES = { 0, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 1 }
-- a function's mean rate, requests a minute;
local MEANS = { 5.13, 5.61, 5.71, 6.61, 10.21, 12.62, 13.16, 13.52, 14.39 }
-- and how much its counts spread: variance over mean (1 for a Poisson process of constant rate).
local SPREADS = { 0.1, 0.2, 0.27, 0.93, 1.74, 3.67, 4.30, 5.18, 11.07 }
-- What all functions have in common: the minutes' totals over their mean. They start high; the last is cut short.
local MINUTES = {
  1.325, 1.334, 1.334, 0.954, 0.779, 0.939, 0.872, 0.860, 0.867, 0.946, 1.030, 1.012, 1.015, 0.921, 0.809, 0.813,
  0.930, 1.065, 1.016, 1.033, 1.095, 1.072, 1.063, 1.190, 1.175, 1.142, 1.100, 1.115, 1.119, 1.002, 0.026,
}
-- Their variance.
local COMMON = 0.0524
-- Functions that are called more spread more: correlation of the two ranks, as that of two normal variables.
local CORRELATION = 0.52

trace.fitted = { shares = SHARES, means = MEANS, spreads = SPREADS, minutes = MINUTES }

local function quantile(values, share)
  for i = 2, #SHARES do
    if share <= SHARES[i] then
      local part = (share - SHARES[i - 1]) / (SHARES[i] - SHARES[i - 1])
      return values[i - 1] + part * (values[i] - values[i - 1])
    end
  end
  return values[#values]
end

-- The normal distribution's share below x (Abramowitz and Stegun 26.2.17, error below 1e-7).
local function normal_share(x)
  local t = 1 / (1 + 0.2316419 * math.abs(x))
  local tail = math.exp(-x * x / 2) / math.sqrt(2 * math.pi) * t
    * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return x >= 0 and 1 - tail or tail
end

-- A count with that mean and variance: negative binomial where it spreads more than a Poisson variable, else a
-- rounded normal one.
local function draw(source, mean, variance)
  if mean <= 0 then return 0 end
  if variance > mean * 1.0001 then
    local scale = variance / mean - 1
    return source:poisson(source:gamma(mean / scale, scale))
  end
  return math.max(0, math.floor(mean + math.sqrt(math.max(variance, 0)) * source:normal() + 0.5))
end

local function make_row(source)
  local first = source:normal()
  local second = CORRELATION * first + math.sqrt(1 - CORRELATION ^ 2) * source:normal()
  local mean, spread = quantile(MEANS, normal_share(first)), quantile(SPREADS, normal_share(second))
  -- The common factor is part of the spread already.
  local own = math.max(spread * mean - COMMON * mean * mean, 0.1 * mean)
  local row = {}
  for minute, factor in ipairs(MINUTES) do
    row[minute] = draw(source, mean * factor, own * factor)
  end
  return row
end

--- Rows for `count` functions like the published ones.
function trace.generate(count, seed)
  local source, rows = random.new(seed, 1), {}
  for i = 1, count do rows[i] = make_row(source) end
  return rows
end

--- `count` rows drawn from rows, with replacement.
function trace.sample(rows, count, seed)
  local source, sampled = random.new(seed, 2), {}
  for i = 1, count do sampled[i] = rows[source:below(#rows)] end
  return sampled
end

--- The first minutes of rows.
function trace.cut(rows, minutes)
  if minutes >= #rows[1] then return rows end
  local cut, known = {}, {}
  for i, row in ipairs(rows) do
    known[row] = known[row] or { unpack(row, 1, minutes) }
    cut[i] = known[row]
  end
  return cut
end

--- `count` rows of the same rate in each of so many minutes.
function trace.constant(rate, minutes, count)
  local row, rows = {}, {}
  for minute = 1, minutes do row[minute] = rate end
  for i = 1, count do rows[i] = row end
  return rows
end

return trace
