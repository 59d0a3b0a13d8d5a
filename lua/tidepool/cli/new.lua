local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"

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

local function write(path, text, name)
  local file, message = io.open(path, "w")
  if not file then failure.raise("%s", message) end
  file:write((text:gsub("NAME", name)))
  file:close()
end

return {
  summary = "Make a folder with a function and its spec, to begin with.",
  examples = { "tidepool new greet", "tidepool new models/greet" },
  options = function(parser)
    parser:argument("name", "The folder to make; the function is named after it.")
  end,
  run = function(options)
    local folder = options.name:gsub("/+$", "")
    local name = files.base_name(folder)
    if not name:find "^[%w_%-][%w._%-]*$" then
      failure.raise("'%s' is no name: letters, digits, '.', '_' or '-'", name)
    end
    if files.exists(folder) then failure.raise("%s is there already", folder) end
    if not files.capture("mkdir -p -- " .. files.quote(folder)) then failure.raise("%s cannot be made", folder) end
    local made = { folder .. "/function.lua", folder .. "/function_spec.lua" }
    write(made[1], FUNCTION, name)
    write(made[2], SPEC, name)
    return { name = name, files = made }, function()
      return ("made %s and %s\nnext: tidepool check %s, tidepool spec %s, tidepool deploy %s"):format(
        made[1], made[2], folder, folder, folder)
    end
  end,
}
