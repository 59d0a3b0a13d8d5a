--- Runs of the simulator by what they are of, with a memory: what was found once is kept in a file, so that work that
--- was interrupted goes on where it was.
local json = require "tidepool.json"
local native = require "tidepool.native"
local plot = require "tidepool.sim.plot"
local processes = require "tidepool.sim.processes"
local run = require "tidepool.sim.run"
local trace = require "tidepool.sim.trace"

local MINUTES = 31
-- Points of a distribution that are kept.
local POINTS = 60

local runs = {}

--- A text that is equal for equal runs. spec: policy, config, functions, arrivals, rates ("generated", "file", or
--- requests a minute), and, where they are not the usual, seed, devices, nodes, models (one's name), native,
--- free_copies, minutes, spans (as for tidepool.sim.run).
function runs.key(spec)
  local names, parts = {}, {}
  for name in pairs(spec) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = ("%s=%s"):format(name, tostring(spec[name])) end
  return table.concat(parts, " ")
end

local function rows_of(spec, context)
  local minutes, seed = spec.minutes or MINUTES, spec.seed or context.seed
  if type(spec.rates) == "number" then return trace.constant(spec.rates, minutes, spec.functions) end
  if spec.rates == "file" then return trace.cut(trace.sample(context.rows, spec.functions, seed), minutes) end
  return trace.cut(trace.generate(spec.functions, seed), minutes)
end

-- About POINTS of them, evenly.
local function thin(points)
  local kept, step = {}, math.max(1, #points / POINTS)
  for i = 1, #points, step do kept[#kept + 1] = points[math.floor(i)] end
  kept[#kept + 1] = points[#points]
  return kept
end

local function by_model(functions)
  local models = {}
  for _, each in ipairs(functions) do
    local found = models[each.model] or { functions = 0, compliant = 0 }
    found.functions, found.compliant = found.functions + 1, found.compliant + (each.complies and 1 or 0)
    models[each.model] = found
  end
  return models
end

local function simulate(spec, context)
  local began, source = os.clock(), native.embedded("policies/" .. spec.policy .. ".lua")
  local result, functions, spans = run.simulate {
    profile = context.profile, rows = rows_of(spec, context), seed = spec.seed or context.seed,
    arrivals = spec.arrivals, nodes = spec.nodes, devices = spec.devices, models = spec.models and { spec.models },
    native = spec.native, memory = spec.native and context.profile.native_memory or nil,
    free_copies = spec.free_copies, spans = spec.spans,
    policy = { name = spec.policy, source = source, config = spec.config },
  }
  result.distribution, result.models = thin(plot.distribution(functions)), by_model(functions)
  result.spans = spec.spans and spans or nil
  if result.faults > 0 then error("the policy was replaced: " .. result.fault, 0) end
  result.seconds = os.clock() - began
  return result
end

-- About how long a run takes: functions count twice, for their requests and for what a full device evicts.
local function effort(spec)
  return (spec.minutes or MINUTES) * spec.functions ^ 2 / (spec.nodes or 1) / (spec.devices or 4)
end

local memory = {}
memory.__index = memory

--- What is known. path: of its file, made when it is not there. stamp: {program, trace, seed}; results found under
--- another one do not count, unless it is another program's alone and they are kept.
function runs.remember(path, stamp, keep)
  local self = setmetatable({ path = path, stamp = stamp, known = {}, failed = {} }, memory)
  local file = io.open(path, "r")
  for line in file and file:lines() or function() end do
    local entry = json.decode(line)
    if entry and entry.trace == stamp.trace and entry.seed == stamp.seed
      and (keep or entry.program == stamp.program) then
      self.known[entry.key] = entry.result
    end
  end
  if file then file:close() end
  return self
end

function memory:get(key)
  return self.known[key] or self.failed[key] and { failed = self.failed[key] } or nil
end

local function put(self, key, result)
  local file, message = io.open(self.path, "a")
  if not file then error(message, 0) end
  local stamp = self.stamp
  file:write(json.encode { program = stamp.program, trace = stamp.trace, seed = stamp.seed, key = key,
    result = result }, "\n")
  file:close()
  self.known[key] = result
end

--- Do those of the runs that are not known, the longest first, `at_once` at a time. said(text) is told of each. One
--- that fails is known as {failed = why} until the program ends.
function memory:fill(specs, context, at_once, said)
  local tasks = {}
  for key, spec in pairs(specs) do
    if not self:get(key) then tasks[#tasks + 1] = { key = key, spec = spec } end
  end
  table.sort(tasks, function(a, b)
    local left, right = effort(a.spec), effort(b.spec)
    if left ~= right then return left > right end
    return a.key < b.key
  end)
  local ended = 0
  processes.each(tasks, at_once, function(task) return simulate(task.spec, context) end, function(i, result, message)
    local key = tasks[i].key
    ended = ended + 1
    if result then put(self, key, result) else self.failed[key] = message end
    said(("%d of %d: %s: %s"):format(ended, #tasks, key, result and ("%d comply, %.1f s"):format(result.compliant,
      result.seconds) or "failed: " .. message))
  end)
end

return runs
