--- What `tidepool sim` draws of its runs: a page of charts.
local chart = require "tidepool.sim.chart"
local page = require "tidepool.sim.page"

local plot = {}

-- ms of the devices' time that a timeline shows.
local TIMELINE_MS = 2000
-- Latencies beyond this are drawn there, ms.
local LATENCY_MAX_MS = 500
-- By enum view_source: what a run found, or brought.
local SOURCES = { [0] = "green", "red", "orange", "violet" }
plot.sources = { { "green", "on the device already" }, { "red", "brought from the host" },
  { "orange", "from another device" } }

-- Share of compliant functions over their number, a line a policy.
local function compliance(runs)
  local lines, by_policy = {}, {}
  for _, run in ipairs(runs) do
    local line = by_policy[run.result.policy]
    if not line then
      line = { name = run.result.policy, points = {} }
      by_policy[run.result.policy], lines[#lines + 1] = line, line
    end
    line.points[#line.points + 1] = { run.result.functions, 100 * run.result.share }
  end
  for _, line in ipairs(lines) do table.sort(line.points, function(a, b) return a[1] < b[1] end) end
  return { title = "Functions that comply",
    figure = chart.lines("Functions that comply", { x = "functions", y = "%", low = 0, high = 100 }, lines) }
end

--- The functions' 98th percentiles as a distribution: points {ms, % of the functions that are no slower}.
function plot.distribution(functions)
  local values, points = {}, {}
  for i, each in ipairs(functions) do values[i] = each.p98_ms end
  table.sort(values)
  for i, value in ipairs(values) do points[i] = { math.min(value, LATENCY_MAX_MS), 100 * i / #values } end
  return points
end

local function latencies(runs)
  local lines = {}
  for i, run in ipairs(runs) do
    lines[i] = { name = ("%s, %d"):format(run.result.policy, run.result.functions),
      points = plot.distribution(run.functions) }
  end
  local title = "98th percentiles of the functions"
  return { title = title, figure = chart.lines(title, { x = ("ms (more than %d at %d)"):format(LATENCY_MAX_MS,
    LATENCY_MAX_MS), y = "% of functions", low = 0, high = 100 }, lines) }
end

--- The first seconds of the devices, a lane each: what ran when, by where its model came from. spans: of
--- tidepool.sim.run.
function plot.timeline(title, spans)
  local lanes, by_key, first = {}, {}, math.huge
  for _, span in ipairs(spans) do first = math.min(first, span.from_ms) end
  for _, span in ipairs(spans) do
    if span.from_ms < first + TIMELINE_MS then
      local key = ("%d.%d"):format(span.node, span.device)
      if not by_key[key] then
        by_key[key] = { name = key, order = 1000 * span.node + span.device, pieces = {} }
        lanes[#lanes + 1] = by_key[key]
      end
      local pieces = by_key[key].pieces
      pieces[#pieces + 1] = { span.from_ms - first, math.min(span.to_ms - first, TIMELINE_MS), SOURCES[span.source],
        ("function %d, %.1f ms"):format(span["function"], span.to_ms - span.from_ms) }
    end
  end
  table.sort(lanes, function(a, b) return a.order < b.order end)
  return { title = title, figure = chart.lanes(title, TIMELINE_MS, lanes, plot.sources) }
end

--- Write the plots of runs ({result, functions, spans}, as tidepool.sim.run gives them) to an HTML file.
function plot.write(path, runs, lead)
  local blocks = { compliance(runs), latencies(runs) }
  for _, run in ipairs(runs) do
    if run.spans[1] then
      blocks[#blocks + 1] = plot.timeline(("Devices, the first %d s: %s, %d functions"):format(TIMELINE_MS / 1000,
        run.result.policy, run.result.functions), run.spans)
    end
  end
  local file, message = io.open(path, "w")
  if not file then error(message, 0) end
  file:write(page.html("Simulated nodes", lead or "", blocks))
  file:close()
end

return plot
