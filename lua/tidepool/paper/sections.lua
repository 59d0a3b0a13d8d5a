--- The page's sections: which runs of the simulator each wants, and what it says of them.
---
--- A section's build(ask, context) returns blocks of tidepool.sim.page. ask(spec) is the result of a run, nil while it
--- is not known: so the first call, whose ask knows nothing, collects the runs that there are to be done. spec:
--- fields of tidepool.paper.runs.
local chart = require "tidepool.sim.chart"
local fit = require "tidepool.sim.fit"
local latency = require "tidepool.paper.latency"
local plot = require "tidepool.sim.plot"
local trace = require "tidepool.sim.trace"

local MIXED_COUNTS = { 320, 400, 480, 560, 640, 720, 900 }
local ONE_GPU_COUNTS = { 90, 120, 150, 180, 210, 240, 270 }
local CLUSTER_COUNTS = { 1000, 2000, 3600 }
local ABLATION_COUNTS = { 320, 400, 480, 560 }
local SEEDS = 8
-- With fewer functions than this on four GPUs all comply where copies take no time.
local FREE_FROM = 560

local TORPOR_SMOOTH = { name = "torpor, smooth", colour = "red", dashed = true, policy = "torpor",
  arrivals = "smooth" }
local TORPOR = { name = "torpor, Poisson", colour = "red", policy = "torpor", arrivals = "poisson" }
local TIDE_SMOOTH = { name = "tide, smooth", colour = "blue", dashed = true, policy = "tide", arrivals = "smooth" }
local TIDE = { name = "tide, Poisson", colour = "blue", policy = "tide", arrivals = "poisson" }
local FREE = { name = "no copies, Poisson", colour = "grey", policy = "tide", arrivals = "poisson",
  free_copies = true }
local ABLATIONS = {
  { name = "all of torpor", colour = "red", policy = "torpor" },
  { name = "queue by arrival", colour = "orange", policy = "torpor", config = "{ queueing = 'fifo' }" },
  { name = "eviction by last use", colour = "violet", policy = "torpor", config = "{ eviction = 'lru' }" },
  { name = "placement by chance", colour = "grey", policy = "torpor", config = "{ placement = 'random' }" },
}
-- Fields of a line that are none of its runs'.
local DRAWN = { name = true, colour = true, dashed = true, from = true }

-- A run: a line's fields and others over them.
local function spec_of(line, fields)
  local spec = {}
  for key, value in pairs(line) do
    if not DRAWN[key] then spec[key] = value end
  end
  for key, value in pairs(fields) do spec[key] = value end
  return spec
end

local function with(fields, more)
  local all = {}
  for key, value in pairs(fields) do all[key] = value end
  for key, value in pairs(more) do all[key] = value end
  return all
end

-- How many comply, and the share of all.
local function comply(result)
  if not result then return "" end
  if result.failed then return "failed: " .. result.failed end
  return ("%d (%s %%)"):format(result.compliant, (("%.1f"):format(100 * result.share):gsub("%.0$", "")))
end

local function duration(ms)
  if ms < 1000 then return ("%.1f ms"):format(ms) end
  return ("%.1f s"):format(ms / 1000)
end

local function percent(share)
  return ("%.1f %%"):format(100 * share)
end

-- The lines at each of the counts (a line's own least one and above): a table of how many comply, and what a chart
-- draws. base: the runs' other fields.
local function sweep(ask, counts, lines, base)
  local rows, drawn = { { "functions", "floor" } }, {}
  for k, line in ipairs(lines) do
    rows[1][k + 2] = line.name
    drawn[k] = { name = line.name, colour = line.colour, dashed = line.dashed, points = {} }
  end
  for _, count in ipairs(counts) do
    local row = { count, "" }
    for k, line in ipairs(lines) do
      local result = count >= (line.from or 0) and ask(spec_of(line, with(base, { functions = count }))) or nil
      row[k + 2] = comply(result)
      if result and not result.failed then
        row[2] = percent(result.floor)
        drawn[k].points[#drawn[k].points + 1] = { count, 100 * result.share }
      end
    end
    rows[#rows + 1] = row
  end
  return rows, drawn
end

local function compliance_chart(name, title, drawn, mark)
  return { name = name, title = title,
    figure = chart.lines(title, { x = "functions", y = "% comply", low = 0, high = 100, mark = mark }, drawn) }
end

-- Figures beside the share of compliant functions, a row a run.
local function details(ask, counts, lines, base)
  local rows = { { "functions, policy", "mean", "p98", "admitted in time", "refused", "busy", "swapped in" } }
  for _, count in ipairs(counts) do
    for _, line in ipairs(lines) do
      local result = ask(spec_of(line, with(base, { functions = count })))
      if result and not result.failed then
        rows[#rows + 1] = { ("%d, %s"):format(count, line.name), duration(result.mean_ms), duration(result.p98_ms),
          ("%.2f %%"):format(100 * result.in_time_of_admitted),
          ("%.2f %%"):format(100 * result.refused / math.max(result.calls, 1)), percent(result.busy),
          percent(result.loads) }
      end
    end
  end
  return rows
end

local sections = {}

-- Requests alone ---------------------------------------------------------------------------------------------------

local function latencies(_, context)
  local rows = { { "model", "MB", "native, theirs", "resident, theirs", "here", "swapped, theirs", "here",
    "from a peer, theirs", "here" } }
  local names, theirs, here, native = {}, {}, {}, {}
  for i, model in ipairs(context.profile.models) do
    local swapped, resident, peer = latency.alone(context.profile, model)
    rows[i + 1] = { model.name, ("%.0f"):format(model.bytes / 1e6), model.native_ms, model.resident_ms,
      ("%.1f"):format(resident), model.swapped_ms, ("%.1f"):format(swapped), model.peer_ms, ("%.1f"):format(peer) }
    names[i], theirs[i], here[i], native[i] = model.name, model.swapped_ms, swapped, model.native_ms
  end
  local title = "One request whose model has to be brought from the host, ms"
  return {
    { text = "Milliseconds of one request at batch 1. The profile has the resident times, the models' bytes and the "
      .. "links' rates; what a swapped request takes follows from them: the longer of copy and run, the first or last "
      .. "group of the other, and 1.2 ms before a copy flows." },
    { table = rows },
    { title = title, name = "latency", figure = chart.bars(title, { y = "ms" }, names, {
      { name = "native, theirs", values = native, colour = "grey" },
      { name = "swapped, theirs", values = theirs, colour = "orange" },
      { name = "swapped, here", values = here, colour = "blue" } }) },
  }
end

local BESIDE = { { "bert", "resnet152", 240 }, { "resnet152", "bert", 43 }, { "densenet169", "bert", 27 },
  { "densenet169", "densenet169", 27 } }

local function interference(_, context)
  local rows, by_name = { { "swapped in beside others behind the same switch", "theirs", "here" } }, {}
  for _, model in ipairs(context.profile.models) do by_name[model.name] = model end
  for _, each in ipairs(BESIDE) do
    local took = latency.beside(context.profile, by_name[each[1]], by_name[each[2]])
    rows[#rows + 1] = { ("%s beside %s"):format(each[1], each[2]), each[3] .. " ms", ("%.0f ms"):format(took) }
  end
  return { { table = rows } }
end

sections[1] = { id = "latency", title = "One request", build = function(ask, context)
  local blocks = latencies(ask, context)
  for _, block in ipairs(interference(ask, context)) do blocks[#blocks + 1] = block end
  blocks[#blocks + 1] = { text = "What the redirection of calls costs is not simulated: `tidepool bench redirect` "
    .. "measures it on a serving node." }
  return blocks
end }

-- Constant rates -----------------------------------------------------------------------------------------------------

local ONE_GPU = { devices = 1, models = "resnet152", rates = 10 }
local ONE_MODEL = { models = "resnet152", rates = 10, functions = 160 }
local NATIVE = { policy = "native", native = true }

local function p98s(ask)
  local rows = { { "functions", "torpor, smooth", "torpor, Poisson", "tide, smooth", "tide, Poisson" } }
  for i, count in ipairs(ONE_GPU_COUNTS) do
    rows[i + 1] = { count }
    for k, line in ipairs { TORPOR_SMOOTH, TORPOR, TIDE_SMOOTH, TIDE } do
      local result = ask(spec_of(line, with(ONE_GPU, { functions = count })))
      rows[i + 1][k + 1] = result and not result.failed and duration(result.p98_ms) or ""
    end
  end
  return rows
end

sections[2] = { id = "one", title = "One GPU, ResNet-152 at 10 requests a minute each", build = function(ask)
  local rows, drawn = sweep(ask, ONE_GPU_COUNTS, { TORPOR_SMOOTH, TORPOR, TIDE_SMOOTH, TIDE, FREE }, ONE_GPU)
  local native = ask(spec_of(NATIVE, with(ONE_GPU, { functions = 210, arrivals = "smooth" })))
  return {
    { text = ("Theirs: 210 functions with a 98th percentile below 50 ms; natively, with a process and a context for "
      .. "each function, 19. Here, natively: %s of 210 have a place. How many comply:"):format(native
      and native.compliant or "") },
    { table = rows }, compliance_chart("one-gpu", "One GPU, ResNet-152: functions that comply", drawn),
    { text = "The 98th percentile of all requests:" }, { table = p98s(ask) },
  }
end }

sections[3] = { id = "same", title = "Four GPUs, 160 functions of ResNet-152", build = function(ask)
  local rows = { { "policy", "theirs", "smooth", "Poisson" } }
  for _, each in ipairs {
    { NATIVE, "native", "72 run" }, { { policy = "keepalive", native = true }, "keep-alive", "112 run, 7 comply" },
    { { policy = "torpor" }, "torpor", "160 comply" }, { { policy = "tide" }, "tide", "" } } do
    local row = { each[2], each[3] }
    for k, arrivals in ipairs { "smooth", "poisson" } do
      row[k + 2] = comply(ask(spec_of(each[1], with(ONE_MODEL, { arrivals = arrivals }))))
    end
    rows[#rows + 1] = row
  end
  return {
    { text = "How many comply. Native functions own a process of 1.65 GB; keep-alive here never takes memory from a "
      .. "function that was called in the last ten minutes, so that the others wait." },
    { table = rows },
  }
end }

-- Eight models, the trace's rates ------------------------------------------------------------------------------------

local function distributions(ask, rates, count)
  local lines = {}
  for i, line in ipairs { TORPOR_SMOOTH, TORPOR, TIDE_SMOOTH, TIDE } do
    local result = ask(spec_of(line, { rates = rates, functions = count }))
    lines[i] = { name = line.name, colour = line.colour, dashed = line.dashed,
      points = result and result.distribution or {} }
  end
  local title = ("%d functions on four GPUs: their 98th percentiles"):format(count)
  return { title = title, figure = chart.lines(title, { x = "ms (more than 500 at 500)", y = "% of functions", low = 0,
    high = 100 }, lines) }
end

local function timelines(ask, rates, count)
  local blocks = {}
  for _, line in ipairs { TORPOR, TIDE } do
    local result = ask(spec_of(line, { rates = rates, functions = count, minutes = 1, spans = 1500 }))
    if result and result.spans then
      blocks[#blocks + 1] = plot.timeline(("Four GPUs, the first 2 s of %d functions: %s"):format(count, line.name),
        result.spans)
    end
  end
  return blocks
end

local function mixed(ask, rates)
  local rows, drawn = sweep(ask, MIXED_COUNTS, { TORPOR_SMOOTH, TORPOR, TIDE_SMOOTH, TIDE, with(FREE,
    { from = FREE_FROM }) }, { rates = rates.id })
  return {
    { text = "How many comply, with " .. rates.name .. ":" }, { table = rows },
    compliance_chart("four-gpus-" .. rates.id, ("Four GPUs, 8 models, %s: functions that comply"):format(rates.name),
      drawn, 80),
    { text = "Poisson arrivals, past saturation too:" },
    { table = details(ask, { 480, 560, 640, 720, 900 }, { TORPOR, TIDE }, { rates = rates.id }) },
  }
end

local function append(blocks, more)
  for _, block in ipairs(more) do blocks[#blocks + 1] = block end
end

sections[4] = { id = "mixed", title = "Four GPUs, 8 models, 31 minutes", build = function(ask, context)
  local blocks = { { text = "Theirs, with smooth arrivals: 480 of 480 comply, and more than 80 % of 560." } }
  for _, rates in ipairs(context.rates) do append(blocks, mixed(ask, rates)) end
  local last = context.rates[#context.rates].id
  blocks[#blocks + 1] = distributions(ask, last, 560)
  append(blocks, timelines(ask, last, 560))
  return blocks
end }

sections[5] = { id = "seeds", title = "640 functions, other seeds", build = function(ask, context)
  local rows = { { "rates, seed", "comply", "admitted in time", "refused", "busy", "floor" } }
  for _, rates in ipairs(context.rates) do
    for seed = context.seed, context.seed + SEEDS - 1 do
      local base = { rates = rates.id, functions = 640, seed = seed }
      local tide = ask(spec_of(TIDE, base))
      local known = tide and not tide.failed
      rows[#rows + 1] = { ("%s, %d"):format(rates.name, seed), comply(tide),
        known and ("%.2f %%"):format(100 * tide.in_time_of_admitted) or "",
        known and ("%.2f %%"):format(100 * tide.refused / tide.calls) or "",
        known and ("%.1f %%"):format(100 * tide.busy) or "", known and ("%.1f %%"):format(100 * tide.floor) or "" }
    end
  end
  return {
    { text = "Four GPUs, 8 models, Poisson arrivals, `tide`. The seed draws rates and arrivals." },
    { table = rows },
  }
end }

local function ablations(ask, rates, arrivals)
  local rows, drawn = sweep(ask, ABLATION_COUNTS, ABLATIONS, { rates = rates.id, arrivals = arrivals })
  return { { text = ("How many comply, %s arrivals, %s:"):format(arrivals, rates.name) }, { table = rows },
    compliance_chart(nil, ("Ablations, %s arrivals, %s"):format(arrivals, rates.name), drawn) }
end

sections[6] = { id = "ablations", title = "Taking torpor apart", build = function(ask, context)
  local blocks = { { text = "Theirs: each part taken away makes it worse, placement by chance worst." } }
  for _, rates in ipairs(context.rates) do
    for _, arrivals in ipairs { "smooth", "poisson" } do append(blocks, ablations(ask, rates, arrivals)) end
  end
  return blocks
end }

local CLUSTER = { nodes = 6 }

local function cluster(ask, rates)
  local base = with(CLUSTER, { rates = rates.id })
  local native = ask(spec_of(NATIVE, with(base, { functions = 1000, arrivals = "smooth" })))
  local rows, drawn = sweep(ask, CLUSTER_COUNTS, { TORPOR, TIDE }, base)
  local smooth = sweep(ask, { 1000, 2000 }, { TORPOR_SMOOTH, TIDE_SMOOTH }, base)
  return { { text = ("How many comply, with %s (natively, %s of 1,000):"):format(rates.name,
    native and native.compliant or "") }, { table = rows }, { table = smooth },
    compliance_chart("six-nodes-" .. rates.id, ("Six nodes, %s: functions that comply"):format(rates.name), drawn),
    { table = details(ask, CLUSTER_COUNTS, { TORPOR, TIDE }, base) } }
end

sections[7] = { id = "cluster", title = "Six nodes, deadlines of 150 and 250 ms", build = function(ask, context)
  local blocks = { { text = "24 GPUs. Theirs: more than 1,000 functions comply; without swapping at most 500. Smooth "
    .. "arrivals are drawn for all nodes together, so that a node's own are less smooth." } }
  for _, rates in ipairs(context.rates) do append(blocks, cluster(ask, rates)) end
  return blocks
end }

-- The generator ------------------------------------------------------------------------------------------------------

local SHOWN = { 0.05, 0.25, 0.5, 0.75, 0.95 }

local function fit_row(name, figures)
  local row = { name, ("%.2f"):format(figures.mean) }
  for _, each in ipairs { { figures.means, "%.1f" }, { figures.spreads, "%.2f" } } do
    local texts = {}
    for k, value in ipairs(each[1]) do texts[k] = each[2]:format(value) end
    row[#row + 1] = table.concat(texts, "  ")
  end
  row[#row + 1] = ("%.3f"):format(figures.variation)
  return row
end

local function points_of(figures, key)
  local points = {}
  for i, value in ipairs(figures[key]) do
    points[i] = { key == "minutes" and i or 100 * trace.fitted.shares[i], value }
  end
  return points
end

local function fit_charts(lists)
  local blocks = {}
  for _, each in ipairs {
    { "means", "Functions' mean rates", "% of functions", "requests a minute" },
    { "spreads", "Functions' spreads", "% of functions", "variance over mean" },
    { "minutes", "What the minutes have in common", "minute", "total over the mean" } } do
    local lines = {}
    for i, list in ipairs(lists) do
      lines[i] = { name = list.name, colour = list.colour, points = points_of(list.figures, each[1]) }
    end
    blocks[#blocks + 1] = { title = each[2],
      figure = chart.lines(each[2], { x = each[3], y = each[4], low = 0 }, lines) }
  end
  return blocks
end

sections[8] = { id = "fit", title = "The generator and the trace", build = function(_, context)
  local rows, lists = { { "rates", "mean", "means: 5, 25, 50, 75, 95 %", "spreads: 5, 25, 50, 75, 95 %",
    "variation of the minutes" } }, {}
  if context.rows then
    rows[2] = fit_row(("the file, %d functions"):format(#context.rows), fit.of(context.rows, SHOWN))
    lists[1] = { name = "the file", colour = "red", figures = fit.of(context.rows, trace.fitted.shares) }
  end
  for _, count in ipairs { 120, 5000 } do
    local made = trace.generate(count, context.seed)
    rows[#rows + 1] = fit_row(("generated, %d functions"):format(count), fit.of(made, SHOWN))
    lists[#lists + 1] = { name = ("generated, %d"):format(count), colour = count == 120 and "teal" or "blue",
      figures = fit.of(made, trace.fitted.shares) }
  end
  if not context.rows then
    table.insert(lists, 1, { name = "published, 120", colour = "red", figures = trace.fitted })
  end
  local blocks = { { text = "The generator is fitted to the published minute counts of 120 functions: quantiles of "
    .. "their means, of their spread (variance over mean), the rank correlation of the two, and what the minutes have "
    .. "in common." }, { table = rows } }
  append(blocks, fit_charts(lists))
  return blocks
end }

sections.lines = { torpor_smooth = TORPOR_SMOOTH, torpor = TORPOR, tide = TIDE, native = NATIVE, ablations = ABLATIONS }
sections.bases = { one_gpu = ONE_GPU, one_model = ONE_MODEL, cluster = CLUSTER }
sections.spec_of, sections.comply, sections.seeds = spec_of, comply, SEEDS

return sections
