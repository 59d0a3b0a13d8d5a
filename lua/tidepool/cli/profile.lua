local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local output = require "tidepool.cli.output"

local function whole_numbers(text)
  local list = {}
  for word in text:gmatch "[^,]+" do
    local value = tonumber(word)
    if not value or value < 1 or value % 1 ~= 0 then failure.usage("'%s' is not a list of whole numbers", text) end
    list[#list + 1] = value
  end
  return list
end

-- The file deployed as a function, for tidepool.profile.measure.
local function deploy(connection, path, open)
  local subject = require "tidepool.bench.subject"
  local model = subject.new(path, open)
  model:deploy(connection)
  local port_shapes, is_open = {}, true
  for name, tensor in pairs(model.inputs) do port_shapes[name] = tensor end
  for _, each in ipairs(assert(connection:call "model.list")) do
    if each.name == model:model_name() then
      for _, port in ipairs(each.inputs) do is_open = is_open and (port.shape[1] or 0) < 0 end
    end
  end
  local made = {}
  local function inputs(rows)
    if rows == 1 then return port_shapes end
    if not made[rows] then
      made[rows] = {}
      for name, tensor in pairs(port_shapes) do
        local shape = { unpack(tensor.shape) }
        shape[1] = shape[1] * rows
        made[rows][name] = { datatype = tensor.datatype, shape = shape,
          data = client.bin(tostring(tensor.data):rep(rows)) }
      end
    end
    return made[rows]
  end
  return { name = model.name, entry = model:model_name(), inputs = inputs, is_open = is_open }
end

local function measure(options, config)
  local node = require "tidepool.bench.node"
  return node.with(config, function(started)
    local connection = started:connect()
    local models = {}
    for i, path in ipairs(options.files) do models[i] = deploy(connection, path, options.open) end
    local device = assert(connection:call "node.status").devices[1].name
    local profile = require("tidepool.profile.measure").node(connection, models,
      { samples = options.samples, batches = options.batches, has_peers = not options.no_peers })
    connection:close()
    return profile, device
  end)
end

local function to_text(profile)
  local rows = {}
  for i, model in ipairs(profile.models) do
    local batches = {}
    for count, ms in pairs(model.batch_ms) do batches[#batches + 1] = { count, ms } end
    table.sort(batches, function(a, b) return a[1] < b[1] end)
    for k, batch in ipairs(batches) do batches[k] = ("%d: %.2f"):format(batch[1], batch[2]) end
    rows[i] = { model.name, output.bytes(model.bytes), ("%.2f"):format(model.resident_ms),
      ("%.2f"):format(model.load_ms), ("%.2f"):format(model.swapped_ms), table.concat(batches, ", ") }
  end
  local node = profile.node
  local text = output.rows({ "MODEL", "BYTES", "RUN MS", "LOAD MS", "SWAPPED MS", "BATCHES MS" }, rows)
    .. ("\n%d device(s), link %.2f GB/s after %.2f ms"):format(node.devices, node.link_rate / 1e9, node.copy_latency_ms)
  if node.switch_rate then
    text = text .. (", a switch's %d together %.2f GB/s"):format(node.devices_per_switch, node.switch_rate / 1e9)
  end
  text = text .. (", a request costs %.2f ms beside its run\n"):format(profile.request_ms)
  if profile.contention then
    text = text .. ("with all devices running a run takes %.2f times as long, beside copies %.2f times\n"):format(
      profile.contention.run, profile.contention.copy)
    if math.max(profile.contention.run, profile.contention.copy) > 1.1 then
      text = text .. "devices hinder each other: the simulator, which takes them for independent, will be too fast\n"
    end
  end
  return text
end

return {
  summary = "Measure devices and models, and write a profile for the simulator.",
  examples = {
    "tidepool profile resnet50.onnx bert_base.onnx --config node.lua --out mine.lua",
    "tidepool sim --profile mine.lua --functions 50,100 --policy tide",
  },
  options = function(parser)
    parser:argument("files", "ONNX files."):args "+"
    parser:option("--config", "Configuration of the node whose devices are measured; a node of its own is started.")
      :argname "FILE"
    parser:option("--out", "Write the profile to this file."):argname "FILE"
    parser:option("--name", "What the profile is called."):argname "NAME":default "measured"
    parser:option("--batches", "Numbers of rows whose runs are measured."):argname "N,N":convert(whole_numbers)
      :default "1,2,4,8"
    parser:option("--open", "Size that open dimensions are given; the first times the rows."):argname "N"
      :convert(tonumber):default "1"
    parser:option("--samples", "Of each figure, of which the median counts."):argname "N":convert(tonumber):default "15"
    parser:flag("--no-peers", "Measure no copies between devices.")
  end,
  run = function(options)
    local text = require "tidepool.profile.text"
    local profile, device = measure(options, options.config and files.need(options.config) or nil)
    text.complete(profile, options.name)
    if options.out then
      local file = io.open(options.out, "w")
      if not file then failure.raise("%s: cannot be written", options.out) end
      file:write(text.of(profile, { date = os.date "%Y-%m-%d", device = device, samples = options.samples }))
      file:close()
    end
    return profile, to_text
  end,
}
