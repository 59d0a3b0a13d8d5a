local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local output = require "tidepool.cli.output"

local PROFILES = { v100 = true }
-- Of a node, enough for the seconds that a timeline shows.
local SPANS = 5000

local function list_of(convert, what)
  return function(text)
    local list = {}
    for word in text:gmatch "[^,]+" do
      local value = convert(word)
      if value == nil then failure.usage("%s: '%s' cannot be one of them", what, word) end
      list[#list + 1] = value
    end
    if #list == 0 then failure.usage("%s: nothing", what) end
    return list
  end
end

local function whole(text)
  local value = tonumber(text)
  if value and value >= 1 and value % 1 == 0 then return value end
end

local function positive(what)
  return function(text)
    return whole(text) or failure.usage("%s: '%s' is not a whole number from 1", what, text)
  end
end

-- A profile by name or file: a Lua file that returns a table.
local function read_profile(name)
  if PROFILES[name] then return require("tidepool.sim.profiles." .. name) end
  local chunk, message = loadfile(name, "t", {})
  if not chunk then failure.raise("profile: %s", message) end
  local ok, profile = pcall(chunk)
  if not ok then failure.raise("profile: %s", profile) end
  if type(profile) ~= "table" or type(profile.node) ~= "table" or type(profile.models) ~= "table" then
    failure.raise("profile: %s does not return a table with node and models", name)
  end
  return profile
end

-- A policy by the name of a built-in one or by file.
local function read_policy(name, config)
  local text = require("tidepool.native").embedded("policies/" .. name .. ".lua")
  return { name = name:match "([^/]+)%.lua$" or name, source = text or files.need(name), config = config,
    folder = not text and (name:match "^(.*)/" or ".") or nil }
end

local function make_rows(options, count)
  local trace = require "tidepool.sim.trace"
  if options.rate then return trace.constant(options.rate, options.minutes or 31, count) end
  local rows
  if options.trace then
    local ok, read = pcall(trace.read, options.trace)
    if not ok then failure.raise("trace: %s", read) end
    rows = trace.sample(read, count, options.seed)
  else
    rows = trace.generate(count, options.seed)
  end
  return options.minutes and trace.cut(rows, options.minutes) or rows
end

-- One run: {result, functions, spans}.
local function simulate(options, profile, task)
  local result, functions, spans = require("tidepool.sim.run").simulate {
    profile = profile, policy = task.policy, rows = make_rows(options, task.count), arrivals = options.arrivals,
    batch = options.batch and { max = options.batch, window_ms = options.window } or nil,
    seed = options.seed, cold = options.cold, nodes = options.nodes, devices = options.gpus, models = options.models,
    spans = options.plot and SPANS or 0,
    group_bytes = options.group, native = options.native, memory = options.native and profile.native_memory or nil,
  }
  return { result = result, functions = functions, spans = spans }
end

-- A run for each policy and count, in that order.
local function tasks_of(options)
  local tasks = {}
  for _, name in ipairs(#options.policy > 0 and options.policy or { "fifo" }) do
    local policy = read_policy(name, options.config)
    for _, count in ipairs(options.functions) do tasks[#tasks + 1] = { policy = policy, count = count } end
  end
  return tasks
end

-- Several runs go to as many processes as there are processors; one alone needs none.
local function simulate_all(options, profile, tasks)
  local details, complaint = {}, nil
  local function done(i, detail, message)
    details[i], complaint = detail, complaint or message
    if detail and detail.result.faults > 0 then
      io.stderr:write(("tidepool: policy %s was replaced: %s\n"):format(tasks[i].policy.name, detail.result.fault))
    end
  end
  local function work(task) return simulate(options, profile, task) end
  local processes = require "tidepool.sim.processes"
  if #tasks == 1 then
    local ok, detail = pcall(work, tasks[1])
    done(1, ok and detail or nil, not ok and detail or nil)
  else
    processes.each(tasks, options.jobs or processes.count(), work, done)
  end
  if complaint then failure.raise("%s", complaint) end
  return details
end

-- What the page of plots says of the runs.
local function lead_of(options)
  local devices = options.gpus and (" of %d devices"):format(options.gpus) or ""
  return ("Profile %s, %d node%s%s, %s arrivals, rates from %s, seed %d."):format(options.profile, options.nodes,
    options.nodes > 1 and "s" or "", devices, options.arrivals, options.rate and options.rate .. " requests a minute"
    or options.trace and "a trace file" or "the generator", options.seed)
end

local function percent(share) return ("%.1f"):format(100 * share) end

local function table_of(results)
  local rows = {}
  for i, each in ipairs(results) do
    rows[i] = { each.policy, each.functions, each.compliant, percent(each.share), percent(each.in_time_of_admitted),
      percent(each.refused / math.max(each.requests, 1)), ("%.1f"):format(each.mean_ms), ("%.1f"):format(each.p50_ms),
      ("%.1f"):format(each.p98_ms), percent(each.busy), percent(each.floor), percent(each.loads) }
  end
  return output.rows({ "policy", "functions", "comply", "%", "in time %", "refused %", "mean ms", "p50", "p98",
    "busy %", "floor %", "loads %" }, rows)
end

return {
  summary = "Simulate nodes under a trace: the scheduler, memory and policies of a node, in virtual time.",
  examples = {
    "tidepool sim --functions 320,400,480,560 --policy torpor --policy tide --plot compliance.html",
    "tidepool sim --nodes 6 --functions 1000 --trace rates.csv --arrivals smooth --policy my/policy.lua --json",
    "tidepool sim --gpus 1 --functions 210 --models resnet152 --rate 10",
  },
  options = function(parser)
    parser:option("--functions", "How many functions, models in turn; or several counts, a run each.")
      :argname "N,N":default "480":convert(list_of(whole, "--functions"))
    parser:option("--policy", "A built-in policy or a file; more than one may be given."):argname "POLICY":count "*"
    parser:option("--config", "The table for the policies' new(node, config), as text."):argname "LUA"
    parser:option("--profile", "v100, or a file."):argname "PROFILE":default "v100"
    parser:option("--nodes", "Nodes, each with functions of its own.")
      :argname "N":default "1":convert(positive "--nodes")
    parser:option("--gpus", "Devices of a node; the profile's."):argname "N":convert(positive "--gpus")
    parser:option("--models", "Only these models of the profile, in turn, separated by commas.")
      :argname "NAME,NAME":convert(list_of(tostring, "--models"))
    parser:option("--trace", "File of requests a minute, a row a function; rows are drawn with replacement.")
      :argname "FILE"
    parser:option("--rate", "A constant rate for all functions, requests a minute."):argname "N":convert(tonumber)
    parser:option("--minutes", "Only so many minutes; all of the trace's."):argname "N":convert(positive "--minutes")
    parser:option("--arrivals", "poisson or smooth."):choices { "poisson", "smooth" }:default "poisson"
    parser:option("--seed", "Another number, other arrivals."):argname "N":default "1":convert(tonumber)
    parser:option("--group", "Bytes of a group of a model's image."):argname "BYTES":convert(positive "--group")
    parser:option("--batch", "Run up to so many requests of a function as one; the profile must say what that takes.")
      :argname "MAX":convert(positive "--batch")
    parser:option("--window", "How long the first of them waits for others, ms.")
      :argname "MS":default "0":convert(tonumber)
    parser:option("--plot", "Write plots to this HTML file."):argname "FILE"
    parser:option("--jobs", "Runs at once, where there are several; as many as there are processors.")
      :argname "N":convert(positive "--jobs")
    parser:flag("--cold", "Begin with nothing on the devices, not with warm functions.")
    parser:flag("--native", "Functions are processes of their own: run times and memory accordingly.")
  end,
  run = function(options)
    local details = simulate_all(options, read_profile(options.profile), tasks_of(options))
    if options.plot then require("tidepool.sim.plot").write(options.plot, details, lead_of(options)) end
    local results = {}
    for i, detail in ipairs(details) do results[i] = detail.result end
    return results, table_of
  end,
}
