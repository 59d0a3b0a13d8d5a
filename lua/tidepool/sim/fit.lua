--- What a trace is like, in the figures that the generator was fitted by.
local fit = {}

local function moments(row)
  local sum, squares = 0, 0
  for _, value in ipairs(row) do sum, squares = sum + value, squares + value * value end
  local mean = sum / #row
  return mean, squares / #row - mean * mean
end

-- The value below which that share of a sorted list lies, on a straight line between neighbours.
local function quantile(sorted, share)
  local at = 1 + share * (#sorted - 1)
  local below = math.floor(at)
  local above = math.min(below + 1, #sorted)
  return sorted[below] + (at - below) * (sorted[above] - sorted[below])
end

local function quantiles(values, shares)
  table.sort(values)
  local list = {}
  for i, share in ipairs(shares) do list[i] = quantile(values, share) end
  return list
end

-- Each minute's total over the mean of all.
local function minutes_of(rows)
  local totals = {}
  for minute = 1, #rows[1] do
    totals[minute] = 0
    for _, row in ipairs(rows) do totals[minute] = totals[minute] + row[minute] end
  end
  local mean, variance = moments(totals)
  for minute, total in ipairs(totals) do totals[minute] = total / mean end
  return totals, math.sqrt(variance) / mean
end

--- Of rows of counts a minute: mean (of all), means and spreads (quantiles over the functions, at those shares, of a
--- function's mean and of its variance over its mean), minutes (totals over their mean), variation (of the minutes).
function fit.of(rows, shares)
  local means, spreads, total = {}, {}, 0
  for i, row in ipairs(rows) do
    local mean, variance = moments(row)
    means[i], spreads[i], total = mean, mean > 0 and variance / mean or 0, total + mean
  end
  local minutes, variation = minutes_of(rows)
  return { functions = #rows, mean = total / #rows, means = quantiles(means, shares),
    spreads = quantiles(spreads, shares), minutes = minutes, variation = variation }
end

return fit
