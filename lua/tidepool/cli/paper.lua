local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"

local function write(path, text)
  local file, message = io.open(path, "w")
  if not file then failure.raise("%s", message) end
  file:write(text)
  file:close()
end

local function read_rows(path)
  if not path then return nil end
  local ok, rows = pcall(require("tidepool.sim.trace").read, path)
  if not ok then failure.raise("trace: %s", rows) end
  return rows
end

local function hash(text)
  local ffi = require "ffi"
  ffi.cdef "uint64_t XXH3_64bits(const void *bytes, size_t count);"
  return tostring(ffi.C.XXH3_64bits(text, #text))
end

-- What results depend on besides what each run is of.
local function stamp_of(options)
  return { program = hash(files.need "/proc/self/exe"), trace = options.trace and hash(files.need(options.trace)) or "",
    seed = options.seed }
end

local function names_of(text)
  local names = {}
  for name in text:gmatch "[^,]+" do names[#names + 1] = name end
  return names
end

local function check_names(names)
  local known = {}
  for _, name in ipairs(require("tidepool.paper").names()) do known[name] = true end
  for _, name in ipairs(names) do
    if not known[name] then
      failure.usage(("--only: no experiment '%s'; there are %s"):format(name,
        table.concat(require("tidepool.paper").names(), ", ")))
    end
  end
end

local function make_context(options)
  local rows = read_rows(options.trace)
  local rates = { { id = "generated", name = "generated rates" } }
  if rows then rates[2] = { id = "file", name = "the trace file's rates" } end
  if options.only then check_names(options.only) end
  return { profile = require "tidepool.sim.profiles.v100", rows = rows, rates = rates, seed = options.seed,
    at_once = options.jobs or require("tidepool.sim.processes").count(), only = options.only,
    command = options.trace and "make paper TRACE=FILE" or "make paper",
    said = function(text) io.stderr:write(text, "\n") end }
end

local function write_page(folder, made)
  local paper = require "tidepool.paper"
  write(folder .. "/index.html", paper.html(made))
  write(folder .. "/paper.md", paper.markdown(made))
  for _, block in ipairs(made.blocks) do
    if block.figure and block.name then write(("%s/%s.svg"):format(folder, block.name), block.figure) end
  end
end

return {
  summary = "Run the experiments of the paper in the simulator and write a page of them.",
  examples = { "tidepool paper --out build/paper", "tidepool paper --trace rates.csv --out build/paper",
    "tidepool paper --only one,ablations --out build/paper" },
  options = function(parser)
    parser:option("--out", "Folder for index.html, paper.md, figures and what was run already; it must exist.")
      :argname "FOLDER":default "."
    parser:option("--trace", "File of requests a minute, a row a function: the experiments are run with its rates too.")
      :argname "FILE"
    parser:option("--seed", "Another number, other arrivals."):argname "N":default "1":convert(tonumber)
    parser:option("--only", "Run only these experiments, separated by commas: latency, one, same, mixed, seeds,"
      .. " ablations, cluster, fit. The page shows all whose results are known.")
      :argname "NAME,NAME":convert(names_of)
    parser:option("--jobs", "Runs at once; as many as there are processors."):argname "N":convert(tonumber)
    parser:flag("--keep", "Use results that are in the folder whatever program found them.")
  end,
  run = function(options)
    local context = make_context(options)
    local memory = require("tidepool.paper.runs").remember(options.out .. "/runs.json", stamp_of(options),
      options.keep)
    local made = require("tidepool.paper").make(context, memory)
    write_page(options.out, made)
    if made.failed > 0 then failure.raise("%d runs failed; the page says which", made.failed) end
    return made.blocks, function() return options.out .. "/index.html" end
  end,
}
