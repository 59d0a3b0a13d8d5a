--- Files and folders, by what LuaJIT and the shell offer.
local failure = require "tidepool.cli.failure"

local files = {}

--- The whole file; nil and a message.
function files.read(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local bytes, problem = file:read "*a"
  file:close()
  -- A folder opens and cannot be read.
  if not bytes then return nil, ("%s: %s"):format(path, problem) end
  return bytes
end

--- The whole file, or the command fails.
function files.need(path)
  local bytes, message = files.read(path)
  if not bytes then failure.raise("%s", message) end
  return bytes
end

function files.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

--- A word for the shell.
function files.quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- First line of what a shell command prints; nil when it fails.
function files.capture(command)
  local pipe = assert(io.popen(command .. " && echo +", "r"))
  local text = pipe:read "*a"
  pipe:close()
  return text:match "^(.-)\n?%+\n$"
end

--- The path as the node can open it: absolute, without links; nil when there is no such file.
function files.absolute(path)
  return files.capture("realpath -e -- " .. files.quote(path) .. " 2>/dev/null")
end

--- "b" for "a/b" and "a/b/".
function files.base_name(path) return (path:gsub("/+$", ""):match "[^/]*$") end

function files.folder_of(path) return path:match "^(.*)/[^/]*$" or "." end

return files
