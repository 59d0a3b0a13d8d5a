--- From a model's file to its first answer, in a process of its own each time: without a packed image, then with the
--- one that a run before has left; with --peer ort beside ONNX Runtime, which reads the same file. Parameters are used
--- where they lie in the mapped image; a node's device has memory of its own, which --copies stands for. With --node
--- the same on a node, from the deploy to the first answer.
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local first_node = require "tidepool.bench.first_node"
local json = require "tidepool.json"
local native = require "tidepool.native"
local ort = require "tidepool.bench.ort"
local output = require "tidepool.cli.output"
local subject = require "tidepool.bench.subject"
local summary = require "tidepool.bench.summary"

-- What a first answer's time goes into, in order.
local PHASES = { "read", "hash", "rewrite", "image", "compile", "bind", "run" }

-- What a process of our own does: one model, once.
local function once(options)
  local inputs = json.decode(files.need(options.once))
  for _, input in ipairs(inputs) do input.data = files.need(input.file) end
  local result, message = native.first(options.files[1], options.threads, inputs, options.cache,
    options.copies)
  if not result then failure.raise("%s", message) end
  return result
end

local function write_inputs(model, folder)
  local list = {}
  for index, tensor in ipairs(model.ordered) do
    list[index] = { shape = tensor.shape, file = ("%s/%d.in"):format(folder, index) }
    local file = assert(io.open(list[index].file, "wb"))
    file:write(tostring(tensor.data))
    file:close()
  end
  local path = folder .. "/inputs.json"
  local file = assert(io.open(path, "w"))
  file:write(json.encode(list))
  file:close()
  return path
end

local function run(model, options, inputs, cache)
  local text = files.capture(("%s bench first %s --threads %d --once %s %s %s --json"):format(
    files.quote(files.capture "readlink /proc/$PPID/exe"), files.quote(model.path), options.threads, inputs,
    cache and "--cache " .. cache or "", options.copies and "--copies" or ""))
  local ok, result = pcall(json.decode, text or "")
  if not ok then failure.raise("%s: it could not be loaded", model.name) end
  return result
end

local function median_of(results, key)
  local times = {}
  for index, result in ipairs(results) do times[index] = result[key .. "_us"] end
  return summary.of(times)
end

local function phases_of(results)
  local phases = {}
  for _, phase in ipairs(PHASES) do phases[phase .. "_us"] = median_of(results, phase).p50 end
  return phases
end

local function measure(path, options)
  local model, folder = subject.new(path, options.open), files.capture "mktemp -d"
  local inputs, cold, warm, theirs = write_inputs(model, folder), {}, {}, {}
  local peer = options.peer and ort.new(model)
  os.execute("mkdir " .. folder .. "/cache")
  run(model, options, inputs, folder .. "/cache")
  for round = 1, options.samples do
    cold[round] = run(model, options, inputs)
    warm[round] = run(model, options, inputs, folder .. "/cache")
    local result = peer and peer:run(options.threads, 1)
    if result then theirs[round] = result.load_us + result.first_us end
  end
  if peer then peer:stop() end
  os.execute("rm -rf " .. folder)
  local row = {
    model = model.name, bytes = model.bytes, cold_us = median_of(cold, "all"), warm_us = median_of(warm, "all"),
    cold = phases_of(cold), warm = phases_of(warm),
  }
  if peer then
    row.peer_us = summary.of(theirs)
    row.ratio, row.warm_ratio = row.cold_us.p50 / row.peer_us.p50, row.warm_us.p50 / row.peer_us.p50
  end
  return row
end

local function phase_rows(rows)
  local heads, lines = { "MODEL", "" }, {}
  for index, phase in ipairs(PHASES) do heads[index + 2] = phase:upper() end
  for _, row in ipairs(rows) do
    for _, kind in ipairs { "cold", "warm" } do
      local line = { row.model, kind == "cold" and "packing" or "packed" }
      for index, phase in ipairs(PHASES) do line[index + 2] = output.duration(row[kind][phase .. "_us"]) end
      lines[#lines + 1] = line
    end
  end
  return output.rows(heads, lines)
end

local function to_text(result)
  local rows = {}
  for index, row in ipairs(result.rows) do
    rows[index] = {
      row.model, output.bytes(row.bytes), output.duration(row.cold_us.p50), output.duration(row.warm_us.p50),
    }
    if row.peer_us then
      rows[index][5], rows[index][6] = output.duration(row.peer_us.p50), ("%.2f"):format(row.ratio)
      rows[index][7] = ("%.2f"):format(row.warm_ratio)
    end
  end
  local text = output.rows({ "MODEL", "BYTES", "PACKING", "PACKED", "ORT", "RATIO", "RATIO PACKED" }, rows)
  return result.phases and text .. "\n" .. phase_rows(result.rows) or text
end

return {
  summary = "From a model's file to its first answer, with and without a packed image.",
  options = function(parser)
    parser:argument("files", "ONNX files."):args "+"
    parser:option("--samples", "Runs of each kind."):argname "N":convert(tonumber):default "3"
    parser:option("--open", "Size that open dimensions are given."):argname "N":convert(tonumber):default "1"
    parser:option("--threads", "Threads to run with."):argname "N":convert(tonumber):default "2"
    parser:flag("--phases", "Also show where the time goes.")
    parser:flag("--copies", "Copy the parameters before the run, as into a device's memory.")
    parser:flag("--node", "Deploy it on a node of its own instead, and call it at once.")
    parser:option("--peer", "What to measure beside it, in turns."):choices { "ort" }
    parser:option("--cache", "With --once: folder for packed images."):argname "DIR"
    parser:option("--once", "Do one run on the inputs that the file lists, in this process."):argname "FILE"
  end,
  run = function(options)
    if options.once then return once(options), function(result) return output.duration(result.all_us) end end
    local rows, take = {}, options.node and first_node.measure or measure
    for index, file in ipairs(options.files) do rows[index] = take(file, options) end
    return { rows = rows, phases = options.phases }, options.node and first_node.to_text or to_text
  end,
}
