local failure = require "tidepool.cli.failure"

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

return {
  summary = "Run the experiments of the paper in the simulator and write a page of them.",
  examples = { "tidepool paper --out build/paper", "tidepool paper --trace rates.csv --out build/paper" },
  options = function(parser)
    parser:option("--out", "Folder for index.html and paper.md; it must exist."):default "."
    parser:option("--trace", "File of requests a minute, a row a function.")
    parser:option("--seed", "Another number, other arrivals."):default "1":convert(tonumber)
  end,
  run = function(options)
    local native, paper = require "tidepool.native", require "tidepool.sim.paper"
    local rows, source = read_rows(options.trace)
    local sources = {}
    for _, name in ipairs { "torpor", "tide" } do sources[name] = native.embedded("policies/" .. name .. ".lua") end
    local list = paper.run {
      profile = require "tidepool.sim.profiles.v100", rows = rows, seed = options.seed, sources = sources,
      said = function(text) io.stderr:write(text, "\n") end,
    }
    local text = paper.markdown(list, source)
    write(options.out .. "/paper.md", text)
    write(options.out .. "/index.html", paper.html(list, source))
    return list, function() return text end
  end,
}
