--- What the paper claims and what we want of tide, each held against the runs: a table for the top of the page.
local sections = require "tidepool.paper.sections"

local lines, bases, spec_of, comply = sections.lines, sections.bases, sections.spec_of, sections.comply

local claims = {}

local function judged(result, holds)
  if not result or result.failed then return "" end
  return holds(result) and "yes" or "no"
end

-- A claim about one run.
local function row_of(name, theirs, result, holds, said)
  local is_known = result and not result.failed
  return { name, theirs, is_known and said and said(result) or comply(result), judged(result, holds) }
end

local function all_comply(result)
  return result.compliant == result.functions
end

local function with_p98(result)
  return ("%d comply, p98 %.1f ms"):format(result.compliant, result.p98_ms)
end

local function admitted(result)
  return ("%.2f %% of admitted, %.1f %% refused"):format(100 * result.in_time_of_admitted,
    100 * result.refused / result.calls)
end

local function constant_rates(ask)
  local one = ask(spec_of(lines.torpor_smooth, { functions = 210, devices = bases.one_gpu.devices,
    models = bases.one_gpu.models, rates = bases.one_gpu.rates }))
  local same = ask(spec_of({ policy = "torpor", arrivals = "smooth" }, bases.one_model))
  return {
    row_of("torpor: one GPU, 210 functions of ResNet-152", "p98 < 50 ms", one, function(result)
      return all_comply(result) and result.p98_ms < 50
    end, with_p98),
    row_of("torpor: four GPUs, 160 functions of ResNet-152", "160 comply", same, all_comply),
  }
end

-- True when the left run is worse: fewer functions comply or, where as many do, fewer calls are in time.
local function is_worse(left, right)
  if left.share ~= right.share then return left.share < right.share end
  return left.in_time / left.calls < right.in_time / right.calls
end

-- torpor whole and without one part, at 560 functions, and whether that is in the paper's order.
local function ablation_row(ask, rates)
  local texts, found = {}, {}
  for i, line in ipairs(lines.ablations) do
    local result = ask(spec_of(line, { rates = rates.id, functions = 560, arrivals = "smooth" }))
    if result and not result.failed then
      found[#found + 1] = result
      texts[i] = ("%s %.3g %% (%.3g %% of calls)"):format(line.name, 100 * result.share,
        100 * result.in_time / result.calls)
    end
  end
  if #found < #lines.ablations then return nil end
  local in_order = is_worse(found[2], found[1]) and is_worse(found[3], found[1]) and is_worse(found[4], found[2])
    and is_worse(found[4], found[3])
  return { "torpor without one part, 560 functions, " .. rates.name, "each worse, chance worst",
    table.concat(texts, ", "), in_order and "yes" or "no" }
end

local function with_rates(ask, rates)
  local function run(line, fields)
    fields.rates = rates.id
    return ask(spec_of(line, fields))
  end
  local function name(text) return ("%s, %s"):format(text, rates.name) end
  local rows = {
    row_of(name "torpor: four GPUs, 480 functions", "480 comply", run(lines.torpor_smooth, { functions = 480 }),
      all_comply),
    row_of(name "torpor: four GPUs, 560 functions", "over 80 % comply", run(lines.torpor_smooth, { functions = 560 }),
      function(result) return result.share > 0.8 end),
  }
  rows[#rows + 1] = ablation_row(ask, rates)
  rows[#rows + 1] = row_of(name "torpor: six nodes, 2,000 functions", "over 1,000 comply",
    run(lines.torpor_smooth, { functions = 2000, nodes = 6 }), function(result) return result.compliant > 1000 end)
  rows[#rows + 1] = row_of(name "native: six nodes, 1,000 functions", "at most 500 comply",
    run(lines.native, { functions = 1000, nodes = 6, arrivals = "smooth" }),
    function(result) return result.compliant <= 500 end)
  rows[#rows + 1] = row_of(name "tide: four GPUs, 640 functions, Poisson", "", run(lines.tide, { functions = 640 }),
    all_comply)
  rows[#rows + 1] = row_of(name "tide: six nodes, 3,600 functions, Poisson", "",
    run(lines.tide, { functions = 3600, nodes = 6 }), all_comply)
  rows[#rows + 1] = row_of(name "tide: four GPUs, 900 functions, Poisson: in time", "",
    run(lines.tide, { functions = 900 }), function(result) return result.in_time_of_admitted >= 0.95 end, admitted)
  return rows
end

--- Blocks: the claims, as far as their runs are known.
function claims.build(ask, context)
  local rows = { { "claim", "theirs", "here", "holds" } }
  local function add(list)
    for _, row in ipairs(list) do
      if row[3] ~= "" then rows[#rows + 1] = row end
    end
  end
  add(constant_rates(ask))
  for _, rates in ipairs(context.rates) do add(with_rates(ask, rates)) end
  return { { table = rows } }
end

return claims
