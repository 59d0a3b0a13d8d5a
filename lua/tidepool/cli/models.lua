local client = require "tidepool.client"
local files = require "tidepool.cli.files"
local failure = require "tidepool.cli.failure"
local output = require "tidepool.cli.output"
local session = require "tidepool.cli.session"

-- "resident host": what each device has of it.
local function where(devices)
  local states = {}
  for index, device in ipairs(devices) do
    states[index] = device.state == "partial" and ("%d groups"):format(device.groups) or device.state
  end
  return table.concat(states, " ")
end

local function measured(microseconds)
  return microseconds > 0 and output.duration(microseconds) or "-"
end

local function to_text(models)
  local rows = {}
  for index, each in ipairs(models) do
    rows[index] = { each.name, output.bytes(each.bytes), each.groups, each.prefix_groups, each.users,
      measured(each.load_us), measured(each.run_us), where(each.devices) }
  end
  return output.rows({ "NAME", "BYTES", "GROUPS", "PREFIX", "USERS", "LOAD", "RUN", "DEVICES" }, rows)
end

local function load_model(options)
  local request = { name = options.name or files.base_name(options.file):gsub("%.onnx$", "") }
  if session.is_local(options) and not options.upload then
    request.path = files.absolute(options.file)
    if not request.path then failure.raise("%s: no such file", options.file) end
  else
    request.data = client.bin(files.need(options.file))
  end
  return session.call(options, "model.load", request), function() return "loaded " .. request.name end
end

return {
  summary = "List the node's models; load, unload and trim them.",
  examples = {
    "tidepool models",
    "tidepool models load resnet50.onnx --name resnet",
    "tidepool models unload resnet",
    "tidepool models trim resnet --keep 10",
  },
  options = function(parser)
    parser:command_target "action"
    parser:require_command(false)
    session.options(parser)
    local load = parser:command("load", "Give the node an ONNX file.")
    load:argument("file", "The ONNX file.")
    load:option("--name", "Its name on the node; the file's name without .onnx."):argname "NAME"
    load:flag("--upload", "Send the bytes even to a node of this machine, which would read the file itself.")
    parser:command("unload", "Take a model from the node."):argument("name", "The model.")
    local trim = parser:command("trim", "Take a model from a device, in whole or in part; requests bring it back.")
    trim:argument("name", "The model.")
    trim:option("--device", "Number of the device."):argname "N":convert(tonumber):default "0"
    trim:option("--keep", "Groups that stay."):argname "N":convert(tonumber):default "0"
    parser:command("list", "List the models (the default).")
  end,
  run = function(options)
    if options.action == "load" then return load_model(options) end
    if options.action == "unload" then
      return session.call(options, "model.unload", { name = options.name }),
        function() return "unloaded " .. options.name end
    end
    if options.action == "trim" then
      local request = { name = options.name, device = options.device, keep = options.keep }
      return session.call(options, "model.trim", request),
        function(freed) return ("%s of device memory given back"):format(output.bytes(freed)) end
    end
    return session.call(options, "model.list", {}), to_text
  end,
}
