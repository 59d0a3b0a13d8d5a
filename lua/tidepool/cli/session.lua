--- The commands' way to the node: options, connection, calls whose failure ends the command.
local failure = require "tidepool.cli.failure"

local session = {}

local DEFAULT_ADDRESS = "127.0.0.1:7420"
-- Seconds that a call may take: a large model is imported and packed before model.load answers.
local TIMEOUT = 600

--- Declare --address and --token-file.
function session.options(parser)
  parser:option("-a --address", "The node: HOST:PORT, or the path of a Unix socket."):argname "ADDRESS"
  parser:option("--token-file", "File whose first line the node wants for a token."):argname "FILE"
end

local function read_token(options)
  if not options.token_file then return os.getenv "TIDEPOOL_TOKEN" end
  local file, message = io.open(options.token_file)
  if not file then failure.raise("%s", message) end
  local token = file:read "*l"
  file:close()
  return token
end

function session.address(options)
  return options.address or os.getenv "TIDEPOOL_ADDRESS" or DEFAULT_ADDRESS
end

--- True when the node can open files by the paths that this process sees.
function session.is_local(options)
  local address = session.address(options)
  for _, pattern in ipairs { "/", "^unix:", "^127%.", "^localhost:", "^%[::1%]:" } do
    if address:find(pattern) then return true end
  end
  return false
end

--- A client of tidepool.client, connected.
function session.connect(options)
  local client = require "tidepool.client"
  local address = session.address(options)
  local connection, message, name = client.connect(address, { token = read_token(options), timeout = TIMEOUT })
  if not connection and name == "INVALID_ARGUMENT" then failure.usage(message) end
  if not connection then failure.connect(message) end
  return connection
end

--- End the command with what the node said.
function session.fail(message, name)
  if name == "UNAUTHENTICATED" then failure.connect(message) end
  failure.raise("%s", message)
end

--- One call on a connection of its own; its result.
function session.call(options, method, ...)
  local connection = session.connect(options)
  local result, message, name = connection:call(method, ...)
  connection:close()
  if message then session.fail(message, name) end
  return result
end

return session
