local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local json = require "tidepool.json"
local output = require "tidepool.cli.output"
local session = require "tidepool.cli.session"
local values = require "tidepool.cli.values"

-- What --data and --file stand for on the wire.
local function read_request(options)
  if options.file then return client.bin(files.need(options.file)) end
  if options.data == "-" then return client.bin(io.read "*a") end
  if not options.data then return client.null end
  local decoded, problem = json.decode(options.data)
  if decoded == nil then failure.usage("--data: " .. problem) end
  local value, message = values.from_json(decoded)
  if value == nil then failure.usage("--data: " .. message) end
  return value
end

return {
  summary = "Call a function and print what it returns.",
  examples = {
    "tidepool invoke filetype --file README.md",
    "tidepool invoke filetype --data - < README.md",
    "tidepool invoke greet --data '{\"name\": \"Ann\"}'",
    "tidepool invoke net --data '{\"datatype\": \"FP32\", \"shape\": [1, 2], \"data\": [0.5, 1]}' --json",
  },
  options = function(parser)
    parser:argument("name", "The function.")
    parser:mutex(
      parser:option("-d --data", "The request: JSON, or - for the bytes of standard input."):argname "JSON",
      parser:option("-f --file", "The request: the bytes of a file."):argname "FILE")
    parser:option("--timeout", "Give up after so many milliseconds."):argname "MS":convert(tonumber)
    parser:option("--priority", "Larger goes first, for policies that heed it."):argname "N":convert(tonumber)
    session.options(parser)
  end,
  run = function(options)
    local call_options = client.map {}
    if options.timeout then call_options.timeout_us = math.floor(options.timeout * 1000) end
    call_options.priority = options.priority
    return session.call(options, "invoke", options.name, read_request(options), call_options), output.value
  end,
}
