--- For a function's own busted spec: its handler in a real worker of a real node.
--
--   local spec = require "tidepool.spec"
--   local call = spec.deploy()                  the function beside the spec file; or spec.deploy("path/to/function")
--   local reply = call { name = "you" }         or nil, "CODE: message", "CODE", details
--   call.stream { … }                           the parts that it sends, as a list, and what it returns; or nil and why
--   call.logs()                                 lines that it has logged
--   spec.tensor("FP32", { 2 }, { 1, 2 })        a tensor for a request
--   spec.list(reply.scores)                     the numbers of a tensor in a reply
--   call.client                                 the node's client (tidepool.client), for all else
--
-- One node serves all specs of a process. It runs the program that TIDEPOOL names, else `tidepool`, and ends with the
-- process, however that ends. spec.configure{ … } before the first deploy sets keys of its configuration.
local client = require "tidepool.client"

local spec = {}

local configuration = {}
local running

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function capture(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

local function program() return os.getenv "TIDEPOOL" or "tidepool" end

local function text_of(value)
  if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
  local parts = {}
  for key, item in pairs(value) do parts[#parts + 1] = ("[%s] = %s"):format(text_of(key), text_of(item)) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

-- The shell ends the node when our end of its standard input closes, which is when this process ends.
local LIFE = [[
%s serve --config %s/node.lua 2>%s/log >/dev/null & pid=$!
echo $pid >%s/pid
cat >/dev/null
kill $pid 2>/dev/null
wait $pid 2>/dev/null
rm -rf %s
]]

-- True when the process is gone, or waits for its end to be seen.
local function has_ended(folder)
  local note = io.open(folder .. "/pid")
  local pid = note and note:read "*n"
  if note then note:close() end
  if not pid then return false end
  local stat = io.open(("/proc/%d/stat"):format(pid))
  local state = stat and stat:read("*a"):match "^.*%) (%a)"
  if stat then stat:close() end
  return state == nil or state == "Z" or state == "X"
end

-- level: whom an error blames, as of error().
local function start(level)
  local folder = capture "mktemp -d"
  local settings = { listen = { folder .. "/node.sock" }, state = folder .. "/state" }
  for key, value in pairs(configuration) do settings[key] = value end
  local file = assert(io.open(folder .. "/node.lua", "w"))
  file:write("return ", text_of(settings), "\n")
  file:close()
  local quoted = quote(folder)
  local life = assert(io.popen(LIFE:format(quote(program()), quoted, quoted, quoted, quoted), "w"))
  for _ = 1, 400 do
    local connection = client.connect(folder .. "/node.sock")
    if connection then
      running = { folder = folder, address = folder .. "/node.sock", life = life, client = connection }
      return running
    end
    if has_ended(folder) then break end
    os.execute "sleep 0.05"
  end
  local log = io.open(folder .. "/log")
  local why = log and log:read "*a" or "it says nothing"
  life:close()
  error(("tidepool.spec: the node did not start (%s): %s"):format(program(), why), level + 1)
end

--- Keys of the node's configuration file, for a node that has not started yet.
function spec.configure(keys)
  if running then error("tidepool.spec: configure comes too late, the node runs already", 2) end
  for key, value in pairs(keys) do configuration[key] = value end
end

--- The node that runs, started if there is none: { address, client }.
function spec.node()
  return running or start(2)
end

--- A tensor for a request: its data are numbers in nested or flat tables, or bytes.
function spec.tensor(datatype, shape, data) return client.tensor(datatype, shape, data) end

--- The elements of a tensor in a reply, in a flat list.
function spec.list(tensor) return client.to_list(tensor) end

-- The folder of the spec file that called deploy.
local function calling_folder()
  for level = 3, 10 do
    local info = debug.getinfo(level, "S")
    local path = info and info.source:match "^@(.*)$"
    if path and path:find "_spec%.lua$" then return path:match "^(.*)/[^/]*$" or "." end
  end
  error("tidepool.spec: deploy() without a path works in a *_spec.lua file only", 3)
end

-- What the program says when it is asked to deploy; raises that when it is no.
local function deploy(node, path)
  local text = capture(("%s deploy %s --address %s --json 2>&1; echo status=$?"):format(
    quote(program()), quote(path), quote(node.address)))
  local said, status = text:match "^(.-)%s*status=(%d+)$"
  if status ~= "0" then error(said or text, 3) end
  return said:match '"name":"([^"]+)"'
end

--- Deploy a function, which runs its own tests, and give what calls it. Raises when it is refused.
function spec.deploy(path)
  local node = running or start(2)
  local name = deploy(node, path or calling_folder())
  local call = { name = name, client = node.client }
  function call.stream(request, options)
    local stream, parts = node.client:stream(name, request, options), {}
    for part in stream do parts[#parts + 1] = part end
    local result, message, code = stream:result()
    if message then return nil, message, code end
    return parts, result
  end
  function call.logs() return assert(node.client:call("function.logs", name)) end
  return setmetatable(call, { __call = function(_, request, options)
    return node.client:invoke(name, request, options)
  end })
end

--- End the node now; the next deploy starts another.
function spec.stop()
  if not running then return end
  running.client:close()
  running.life:close()
  running = nil
end

return spec
