--- The experiments of "Torpor" (USENIX ATC 2025), again: theirs, its policy here, ours.
local plot = require "tidepool.sim.plot"
local run = require "tidepool.sim.run"
local trace = require "tidepool.sim.trace"

local paper = {}

-- rate: a constant one, requests a minute; else the trace's. policies, arrivals: both unless given.
local EXPERIMENTS = {
  { title = "one GPU, ResNet-152 at 10 a minute, 210 functions", theirs = "210 comply, p98 < 50 ms", functions = 210,
    devices = 1, models = { "resnet152" }, rate = 10 },
  { title = "four GPUs, ResNet-152 at 10 a minute, 160 functions", theirs = "160 comply", functions = 160,
    models = { "resnet152" }, rate = 10 },
  { title = "four GPUs, 8 models, 480 functions", theirs = "480 comply", functions = 480 },
  { title = "four GPUs, 8 models, 560 functions", theirs = "more than 80 %", functions = 560 },
  { title = "560 functions, queue in order of arrival", theirs = "worse", functions = 560, policies = { "torpor" },
    config = "{ queueing = 'fifo' }" },
  { title = "560 functions, eviction by last use", theirs = "worse", functions = 560, policies = { "torpor" },
    config = "{ eviction = 'lru' }" },
  { title = "560 functions, placement by chance", theirs = "worst", functions = 560, policies = { "torpor" },
    config = "{ placement = 'random' }" },
  { title = "four GPUs, 8 models, 640 functions", theirs = "", functions = 640 },
  { title = "four GPUs, 8 models, 720 functions", theirs = "", functions = 720 },
  { title = "four GPUs, 8 models, 900 functions", theirs = "", functions = 900, arrivals = { "poisson" } },
  { title = "six nodes, 1,000 functions, 150 / 250 ms", theirs = "over 1,000 comply", functions = 1000, nodes = 6 },
  { title = "six nodes, 3,600 functions, 150 / 250 ms", theirs = "", functions = 3600, nodes = 6,
    arrivals = { "poisson" }, policies = { "tide" } },
}

local function rows_for(experiment, rows, seed)
  if experiment.rate then return trace.constant(experiment.rate, 31, experiment.functions) end
  if rows then return trace.sample(rows, experiment.functions, seed) end
  return trace.generate(experiment.functions, seed)
end

local function cell(result)
  if not result then return "" end
  return ("%d (%.1f %%), p98 %.0f ms, %.1f %% refused"):format(result.compliant, 100 * result.share, result.p98_ms,
    100 * result.refused / math.max(result.requests, 1))
end

local HEAD = { "experiment", "theirs", "arrivals", "floor", "torpor here", "tide here" }

local function simulate(experiment, arrivals, name, options)
  return (run.simulate {
    profile = options.profile, rows = rows_for(experiment, options.rows, options.seed), arrivals = arrivals,
    seed = options.seed, nodes = experiment.nodes, devices = experiment.devices, models = experiment.models,
    policy = { name = name, source = options.sources[name], config = experiment.config },
  })
end

-- The run's result, the remembered one if there is one.
local function recall(experiment, arrivals, name, options)
  local key = ("%s, %s, %s"):format(experiment.title, arrivals, name)
  local result = options.memory.get(key, name)
  if not result then
    result = simulate(experiment, arrivals, name, options)
    options.memory.put(key, name, result)
    options.said(key .. ": " .. cell(result))
  end
  return result
end

--- Run everything. options: profile, rows (of a trace file) or nil, seed, sources (policy name → source), said(text),
--- memory (get(key, policy) and put(key, policy, result): what an earlier call found).
--- Returns the rows of the table, heading first, and the results: {functions, arrivals, policy → result} a row.
function paper.run(options)
  local list, results = { HEAD }, {}
  for _, experiment in ipairs(EXPERIMENTS) do
    for _, arrivals in ipairs(experiment.arrivals or { "smooth", "poisson" }) do
      local found = { functions = experiment.functions, arrivals = arrivals, is_plain = not experiment.config
        and not experiment.rate and not experiment.nodes }
      for _, name in ipairs(experiment.policies or { "torpor", "tide" }) do
        found[name] = recall(experiment, arrivals, name, options)
      end
      results[#results + 1] = found
      list[#list + 1] = { experiment.title, experiment.theirs, arrivals,
        ("%.0f %%"):format(100 * (found.torpor or found.tide).floor), cell(found.torpor), cell(found.tide) }
    end
  end
  return list, results
end

-- Share of compliant functions over their number on four GPUs, a line a policy and kind of arrivals.
local function compliance(results)
  local lines = {}
  for _, arrivals in ipairs { "smooth", "poisson" } do
    for _, name in ipairs { "torpor", "tide" } do
      local points = {}
      for _, found in ipairs(results) do
        if found.is_plain and found.arrivals == arrivals and found[name] then
          points[#points + 1] = { found.functions, 100 * found[name].share }
        end
      end
      lines[#lines + 1] = { name = name .. ", " .. arrivals, points = points }
    end
  end
  return plot.lines("Functions that comply: four GPUs, 8 models", { x = "functions", y = "%", low = 0, high = 100 },
    lines)
end

local NOTES = [[
A function complies when its own 98th percentile, queueing included, is within its deadline: 80 ms, BERT 200 ms
(clusters: 150 and 250). Functions are warm: each was called twice before anything is counted. Requests that a
policy refuses count as missed. The floor is the sum of the run times over the devices: what they are busy with when
nothing ever has to be copied. smooth: gaps as the paper's published artifact draws them; poisson: a Poisson process
for each function. Policies, scheduler, memory pool and residency are those of a serving node, on simulated devices
with the rates of lua/tidepool/sim/profiles/v100.lua. `make paper` writes this page.]]

function paper.markdown(list, source)
  local lines = { "# The paper again", "", NOTES, "", "Rates: " .. source .. ".", "" }
  for i, row in ipairs(list) do
    lines[#lines + 1] = "| " .. table.concat(row, " | ") .. " |"
    if i == 1 then lines[#lines + 1] = "|---|---|---|---|---|---|" end
  end
  return table.concat(lines, "\n") .. "\n"
end

function paper.html(list, results, source)
  local lines = { compliance(results), "<p>" .. plot.escape(NOTES) .. "</p><p>Rates: " .. plot.escape(source)
    .. ".</p><table>" }
  for i, row in ipairs(list) do
    local tag, cells = i == 1 and "th" or "td", {}
    for k, text in ipairs(row) do cells[k] = ("<%s>%s</%s>"):format(tag, plot.escape(text), tag) end
    lines[#lines + 1] = "<tr>" .. table.concat(cells) .. "</tr>"
  end
  lines[#lines + 1] = "</table>"
  return plot.page("The paper again", lines)
end

return paper
