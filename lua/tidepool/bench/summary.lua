--- Samples in, what a table of measurements shows out.
local summary = {}

--- Count, least, p50, p90, p99 and most of the samples, which are sorted.
function summary.of(samples)
  table.sort(samples)
  local function quantile(q) return samples[math.max(1, math.ceil(q * #samples))] end
  return {
    count = #samples, min = samples[1], p50 = quantile(0.5), p90 = quantile(0.9), p99 = quantile(0.99),
    max = samples[#samples],
  }
end

return summary
