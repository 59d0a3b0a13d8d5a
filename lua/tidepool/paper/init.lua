--- The experiments of "Torpor" (USENIX ATC 2025), again: theirs, its policy here, ours; and a page of them.
local claims = require "tidepool.paper.claims"
local page = require "tidepool.sim.page"
local runs = require "tidepool.paper.runs"
local sections = require "tidepool.paper.sections"

local paper = {}

local TITLE = "The paper again"
-- Where docs/paper.md finds its figures.
local FIGURES = "paper"

local NOTES = {
  "A function complies when its own 98th percentile, queueing included, is within its deadline: 80 ms, BERT 200 ms (on "
    .. "six nodes 150 and 250 ms). Calls that a policy refuses, and those never answered, count as missed.",
  "Functions are warm: each was called twice before anything is counted.",
  "The floor is the sum of the run times over the devices' time: what they are busy with when nothing has to be "
    .. "copied. No copies: the same requests under `tide` with links so fast that copies take no time, so that only "
    .. "queueing is left.",
  "Smooth: gaps between all arrivals as the paper's artifact draws them, a Poisson distributed number of milliseconds. "
    .. "Poisson: every function is a Poisson process.",
  "Scheduler, memory pool, residency and policies are those of a serving node, on simulated devices with the rates of "
    .. "`lua/tidepool/sim/profiles/v100.lua`.",
}

--- The sections' names, for --only.
function paper.names()
  local names = {}
  for i, section in ipairs(sections) do names[i] = section.id end
  return names
end

-- The runs that those parts of the page want, by key.
local function collect(parts, context)
  local specs = {}
  local function ask(spec) specs[runs.key(spec)] = spec end
  for _, part in ipairs(parts) do part.build(ask, context) end
  return specs
end

-- Of the runs that the sections want those that the claims are about.
local function of_claims(wanted, context)
  local specs = {}
  for key, spec in pairs(collect({ claims }, context)) do
    if wanted[key] then specs[key] = spec end
  end
  return specs
end

local function has_results(section, context, memory)
  local wanted, known = 0, 0
  for key in pairs(collect({ section }, context)) do
    wanted = wanted + 1
    if memory:get(key) then known = known + 1 end
  end
  return known > 0 or wanted == 0
end

local function blocks_of(context, memory)
  local function ask(spec) return memory:get(runs.key(spec)) end
  local blocks = claims.build(ask, context)
  blocks[#blocks + 1] = { list = NOTES }
  for _, section in ipairs(sections) do
    if has_results(section, context, memory) then
      blocks[#blocks + 1] = { heading = section.title }
      for _, block in ipairs(section.build(ask, context)) do blocks[#blocks + 1] = block end
    end
  end
  return blocks
end

-- How the page was made, and of how many of its runs the results are known.
local function lead_of(context, memory)
  local known, count, seconds = 0, 0, 0
  for key in pairs(collect(sections, context)) do
    local result = memory:get(key)
    count = count + 1
    if result and not result.failed then known, seconds = known + 1, seconds + result.seconds end
  end
  return ("What \"Torpor\" (USENIX ATC 2025) reports, its policy in the simulator (`torpor`), and ours (`tide`). Made "
    .. "by `%s` on %s, seed %d: %s runs, %.1f minutes of processor time, %d at once."):format(context.command,
    os.date "%Y-%m-%d", context.seed, known < count and ("%d of %d"):format(known, count) or count, seconds / 60,
    context.at_once)
end

local function is_chosen(section, only)
  if not only then return true end
  for _, name in ipairs(only) do
    if name == section.id then return true end
  end
  return false
end

--- Run what is not known yet, first what the claims are about, and make the page. context:
---   profile   of tidepool.sim.profiles
---   rows      of a trace file, or nil
---   rates     list of {id, name}: "generated", and "file" when there are rows
---   seed, at_once (processes), only (names of sections, or nil: all), said(text), command (what was typed)
--- memory: of tidepool.paper.runs. Returns {blocks, lead, failed (how many runs)}; the page shows all that is known.
function paper.make(context, memory)
  local chosen = {}
  for _, section in ipairs(sections) do
    if is_chosen(section, context.only) then chosen[#chosen + 1] = section end
  end
  local wanted = collect(chosen, context)
  memory:fill(of_claims(wanted, context), context, context.at_once, context.said)
  memory:fill(wanted, context, context.at_once, context.said)
  local failed = 0
  for _ in pairs(memory.failed) do failed = failed + 1 end
  return { blocks = blocks_of(context, memory), lead = lead_of(context, memory), failed = failed }
end

function paper.html(made)
  return page.html(TITLE, made.lead, made.blocks)
end

function paper.markdown(made)
  return page.markdown(TITLE, made.lead, made.blocks, FIGURES)
end

return paper
