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
  local file = options.data:match "^@(.*)$"
  local decoded, problem = json.decode(file and files.need(file) or options.data)
  if decoded == nil then failure.usage(("--data: %s%s"):format(file and file .. ": " or "", problem)) end
  local value, message = values.from_json(decoded)
  if value == nil then failure.usage("--data: " .. message) end
  return value
end

-- A part of a stream: text as it is, so that a text that comes in parts reads as one; else a line of its own.
local function write_part(part, as_json)
  if as_json then
    output.json(part)
  elseif type(part) == "string" and values.is_text(part) then
    io.stdout:write(part)
  else
    output.text(output.value(part))
  end
  io.stdout:flush()
  return part
end

-- Print parts as they come; the result.
local function stream(options, request, call_options)
  local connection = session.connect(options)
  local parts, last = connection:stream(options.name, request, call_options), nil
  for part in parts do last = write_part(part, options.json) end
  local result, message, name = parts:result()
  if type(last) == "string" and not options.json and last:sub(-1) ~= "\n" then io.stdout:write "\n" end
  connection:close()
  if message then session.fail(message, name) end
  return result
end

-- The result alone; that there were parts is said.
local function whole(options, request, call_options)
  local connection, parts = session.connect(options), 0
  connection:on("stream", function() parts = parts + 1 end)
  local result, message, name = connection:call("invoke", options.name, request, call_options)
  connection:close()
  if parts > 0 then
    io.stderr:write(("tidepool: the function sent %d parts before this; --stream prints them\n"):format(parts))
  end
  if message then session.fail(message, name) end
  return result
end

-- The bytes that a function returned, in a file.
local function save(path, bytes)
  if type(bytes) ~= "string" then
    failure.raise("--out: the function returned a %s, no bytes", bytes == nil and "null" or type(bytes))
  end
  local file, message = io.open(path, "wb")
  if not file then failure.raise("--out: %s", message) end
  file:write(bytes)
  file:close()
  return { file = path, bytes = #bytes }, function() return ("%d bytes in %s"):format(#bytes, path) end
end

return {
  summary = "Call a function and print what it returns.",
  examples = {
    "tidepool invoke filetype --file README.md",
    "tidepool invoke filetype --data - < README.md",
    "tidepool invoke thumbnail --file photo.jpg --out small.png",
    "tidepool invoke greet --data '{\"name\": \"Ann\"}'",
    "tidepool invoke tell --data '\"once\"' --stream",
    "tidepool invoke net --data '{\"datatype\": \"FP32\", \"shape\": [1, 2], \"data\": [0.5, 1]}' --json",
  },
  options = function(parser)
    parser:argument("name", "The function.")
    parser:mutex(
      parser:option("-d --data", "The request: JSON, @FILE for a file of it, or - for the bytes of standard input.")
        :argname "JSON",
      parser:option("-f --file", "The request: the bytes of a file."):argname "FILE")
    parser:option("--timeout", "Give up after so many milliseconds."):argname "MS":convert(tonumber)
    parser:option("--priority", "Larger goes first, for policies that heed it."):argname "N":convert(tonumber)
    parser:option("-o --out", "Write the bytes that it returns to this file."):argname "FILE"
    parser:flag("-s --stream", "Print the parts that the function sends as they come, then what it returns.")
    session.options(parser)
  end,
  run = function(options)
    local call_options = client.map {}
    if options.timeout then call_options.timeout_us = math.floor(options.timeout * 1000) end
    call_options.priority = options.priority
    local request = read_request(options)
    if options.out then return save(options.out, whole(options, request, call_options)) end
    if options.stream then return stream(options, request, call_options), output.value end
    return whole(options, request, call_options), output.value
  end,
}
