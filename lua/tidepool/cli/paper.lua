local failure = require "tidepool.cli.failure"
local json = require "tidepool.json"

local function write(path, text)
  local file, message = io.open(path, "w")
  if not file then failure.raise("%s", message) end
  file:write(text)
  file:close()
end

local function read_rows(path)
  if not path then return nil, "the generator fitted to the paper's trace" end
  local ok, rows = pcall(require("tidepool.sim.trace").read, path)
  if not ok then failure.raise("trace: %s", rows) end
  return rows, ("a trace file of %d functions"):format(#rows)
end

-- Sum of a text's bytes, each with the place it has: what tells one version of a policy from another.
local function sum_of(text)
  local sum = 0
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 2 ^ 32 end
  return ("%08x"):format(sum)
end

-- Results of runs in a file, so that a page that was interrupted goes on where it was.
local function open_memory(path, sources, about)
  local known, file = {}, io.open(path, "r")
  for line in file and file:lines() or function() end do
    local entry = json.decode(line)
    known[entry.key] = entry.result
  end
  if file then file:close() end
  local function full(key, policy) return ("%s, %s, %s"):format(key, sum_of(sources[policy]), about) end
  return {
    get = function(key, policy) return known[full(key, policy)] end,
    put = function(key, policy, result)
      local out, message = io.open(path, "a")
      if not out then failure.raise("%s", message) end
      out:write(json.encode { key = full(key, policy), result = result }, "\n")
      out:close()
    end,
  }
end

return {
  summary = "Run the experiments of the paper in the simulator and write a page of them.",
  examples = { "tidepool paper --out build/paper", "tidepool paper --trace rates.csv --out build/paper" },
  options = function(parser)
    parser:option("--out", "Folder for index.html, paper.md and what was run already; it must exist."):default "."
    parser:option("--trace", "File of requests a minute, a row a function.")
    parser:option("--seed", "Another number, other arrivals."):default "1":convert(tonumber)
  end,
  run = function(options)
    local native, paper = require "tidepool.native", require "tidepool.sim.paper"
    local rows, source = read_rows(options.trace)
    local sources, helpers = {}, ""
    for _, name in ipairs { "torpor", "tide" } do sources[name] = native.embedded("policies/" .. name .. ".lua") end
    for _, name in ipairs { "heap", "lru", "place", "queue" } do
      helpers = helpers .. native.embedded("policies/" .. name .. ".lua")
    end
    local list, results = paper.run {
      profile = require "tidepool.sim.profiles.v100", rows = rows, seed = options.seed, sources = sources,
      memory = open_memory(options.out .. "/runs.json", sources, ("%s, seed %d, %s"):format(source,
        options.seed, sum_of(helpers))),
      said = function(text) io.stderr:write(text, "\n") end,
    }
    local text = paper.markdown(list, source)
    write(options.out .. "/paper.md", text)
    write(options.out .. "/index.html", paper.html(list, results, source))
    return list, function() return text end
  end,
}
