local element = require "tidepool.element"
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local native = require "tidepool.native"

local FUNCTION = [[
local tide = require "tidepool"

return {
  name = "NAME",
  description = "Says hello, and how long the name is.",

  -- models = { net = "net.onnx" },              -- called as ctx.models.net(x)
  -- files = { labels = "labels.txt" },          -- read as ctx.files.labels
  slo = { percentile = 98, ms = 50 },
  limits = { timeout_ms = 1000, memory_mb = 64 },

  -- A new generation must answer these before it serves.
  test = {
    { request = { name = "you" }, expect = { text = "hello you", letters = 3 } },
    { request = {}, error = "INVALID_ARGUMENT" },
  },

  handler = function(_, req)
    if type(req) ~= "table" or type(req.name) ~= "string" then
      tide.error("INVALID_ARGUMENT", "name: must be a string")
    end
    return { text = "hello " .. req.name, letters = #req.name }
  end,
}
]]

local SPEC = [[
local spec = require "tidepool.spec"

describe("NAME", function()
  local call

  setup(function() call = spec.deploy() end)

  it("says hello", function()
    assert.same({ text = "hello world", letters = 5 }, call { name = "world" })
  end)

  it("wants a name", function()
    local _, message, code = call {}
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("name: must be a string", message)
  end)
end)
]]

--- around a model ---------------------------------------------------------------------------------------------------

local MODEL_FUNCTION = [[
local tide = require "tidepool"

-- One of the model's inputs, as clients send tensors: { datatype, shape, data }.
local function input(req, name)
  local tensor = type(req) == "table" and req[name]
  if type(tensor) ~= "table" then
    tide.error("INVALID_ARGUMENT", name .. ": must be a tensor { datatype, shape, data }")
  end
  return tide.tensor(tensor)
end

return {
  name = "NAME",
  description = "Runs MODEL.",
  models = { net = "MODEL" },
  slo = { percentile = 98, ms = 50 },

PORTS
  handler = function(ctx, req)
    local OUTPUTS = ctx.models.net(INPUTS)
    return { REPLY }
  end,
}
]]

local MODEL_SPEC = [[
local spec = require "tidepool.spec"

describe("NAME", function()
  local call

  setup(function() call = spec.deploy() end)

  it("runs its model, here on zeros", function()
    local reply = assert(call {
REQUEST
    })
CHECKS
  end)

  it("wants every input", function()
    local _, _, code = call {}
    assert.equal("INVALID_ARGUMENT", code)
  end)
end)
]]

-- A key of a table in Lua's text: name, or ["na me"].
local function key_of(name)
  return name:find "^[%a_][%w_]*$" and name or ("[%q]"):format(name)
end

-- [1, 4] as "1, 4", open sizes as `open`.
local function sizes(port, open)
  local list = {}
  for i, size in ipairs(port.shape) do list[i] = size < 0 and open or tostring(size) end
  return table.concat(list, ", ")
end

local function describe(title, ports)
  local lines = {}
  for i, port in ipairs(ports) do
    lines[i] = ("  -- %s %s: %s[%s]"):format(title, port.name, port.datatype, sizes(port, "?"))
  end
  return table.concat(lines, "\n")
end

-- A line of the spec's request: zeros, open sizes being 1.
local function zeros(port)
  local bytes = element.types[port.datatype].bytes
  for _, size in ipairs(port.shape) do bytes = bytes * math.max(size, 1) end
  return ('      %s = spec.tensor("%s", { %s }, ("\\0"):rep(%d)),'):format(key_of(port.name), port.datatype,
    sizes(port, "1"), bytes)
end

local function each(ports, format)
  local list = {}
  for i, port in ipairs(ports) do list[i] = format(port, i) end
  return list
end

-- What stands for the capitals of the two texts.
local function words_of(model, file)
  local request = each(model.inputs, zeros)
  return {
    MODEL = file,
    PORTS = describe("input", model.inputs) .. "\n" .. describe("output", model.outputs),
    OUTPUTS = table.concat(each(model.outputs, function(_, i) return "y" .. i end), ", "),
    INPUTS = table.concat(each(model.inputs, function(port) return ("input(req, %q)"):format(port.name) end), ", "),
    REPLY = table.concat(each(model.outputs, function(port, i) return key_of(port.name) .. " = y" .. i end), ", "),
    REQUEST = table.concat(request, "\n"),
    CHECKS = table.concat(each(model.outputs, function(port)
      return ('    assert.equal("%s", reply[%q].datatype)'):format(port.datatype, port.name)
    end), "\n"),
  }
end

--- the command --------------------------------------------------------------------------------------------------------

local function write(path, text, words)
  local file, message = io.open(path, "w")
  if not file then failure.raise("%s", message) end
  file:write((text:gsub("%u%u+", words)))
  file:close()
end

-- The model's description, and what its file is called in the folder.
local function read_model(path)
  local model, message = native.import(path)
  if not model then failure.raise("%s", message) end
  return model, path:match "[^/]+$"
end

local function copy(from, to)
  if not files.capture(("cp -- %s %s"):format(files.quote(from), files.quote(to))) then
    failure.raise("%s cannot be written", to)
  end
end

return {
  summary = "Make a folder with a function and its spec, to begin with.",
  examples = { "tidepool new greet", "tidepool new models/greet", "tidepool new classify --model resnet50.onnx" },
  options = function(parser)
    parser:argument("name", "The folder to make; the function is named after it.")
    parser:option("--model", "Make a function that runs this model; the file is copied."):argname "FILE"
  end,
  run = function(options)
    local folder = options.name:gsub("/+$", "")
    local name = files.base_name(folder)
    if not name:find "^[%w_%-][%w._%-]*$" then
      failure.raise("'%s' is no name: letters, digits, '.', '_' or '-'", name)
    end
    if files.exists(folder) then failure.raise("%s is there already", folder) end
    local model, file
    if options.model then model, file = read_model(options.model) end
    if not files.capture("mkdir -p -- " .. files.quote(folder)) then failure.raise("%s cannot be made", folder) end
    local words = model and words_of(model, file) or {}
    words.NAME = name
    local made = { folder .. "/function.lua", folder .. "/function_spec.lua" }
    write(made[1], model and MODEL_FUNCTION or FUNCTION, words)
    write(made[2], model and MODEL_SPEC or SPEC, words)
    if model then copy(options.model, folder .. "/" .. file) end
    return { name = name, files = made }, function()
      return ("made %s and %s\nnext: tidepool check %s, tidepool spec %s, tidepool deploy %s"):format(
        made[1], made[2], folder, folder, folder)
    end
  end,
}
