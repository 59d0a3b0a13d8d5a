--- Swapping, in parts: against its floor, with prefixes kept, with look-ahead, beside a function that stays, from two
--- sources, again and again, and with narrow parameters.
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local subject = require "tidepool.bench.subject"

local names = { "floor", "prefix", "ahead", "beside", "sources", "cycles", "narrow" }
local parts = {}
for _, name in ipairs(names) do parts[name] = require("tidepool.bench.swap_" .. name) end

-- Compute threads: all cores but one, which stands for the copy engine that a real device has beside its compute.
local function default_threads()
  return math.max(1, tonumber(files.capture "nproc") - 1)
end

local function to_text(result)
  local pieces = { ("%d compute threads"):format(result.options.threads) }
  for _, name in ipairs(names) do
    if result[name] then pieces[#pieces + 1] = parts[name].to_text(result[name], result.options) end
  end
  return table.concat(pieces, "\n\n")
end

return {
  summary = "Models that are on the device and models that are not: what swapping costs, and what hides it.",
  options = function(parser)
    parser:argument("files", "ONNX files."):args "+"
    parser:option("--parts", "What to measure, of " .. table.concat(names, ", ") .. ".")
      :argname "PART,…":default "floor"
    parser:option("--rates", "Rates of the device's link, bytes a second, to try one after the other.")
      :argname "RATE,…":default "12G,3G"
    parser:option("--samples", "Calls of each kind."):argname "N":convert(tonumber):default "15"
    parser:option("--ratio", "prefix, ahead: a link on which copying takes so many times as long as running.")
      :argname "X":convert(tonumber):default "1.5"
    parser:option("--jobs", "ahead: jobs that are timed, about."):argname "N":convert(tonumber):default "40"
    parser:option("--calls", "beside: calls of the model that stays."):argname "N":convert(tonumber):default "200"
    parser:option("--cycles", "cycles: how many."):argname "N":convert(tonumber):default "1000"
    parser:option("--threads", "Compute threads; all cores but one, which copies."):argname "N":convert(tonumber)
    parser:option("--open", "Size that open dimensions are given."):argname "N":convert(tonumber):default "1"
  end,
  run = function(options)
    options.threads = options.threads or default_threads()
    local result = { options = options }
    local models = {}
    for index, path in ipairs(options.files) do models[index] = subject.new(path, options.open) end
    for name in options.parts:gmatch "[^,]+" do
      if not parts[name] then failure.usage(("--parts: there is no %q"):format(name)) end
      result[name] = parts[name].run(options, models)
    end
    return result, to_text
  end,
}
