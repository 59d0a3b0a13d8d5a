--- A node of one's own for a measurement: this program's `serve`, on a Unix socket in a temporary folder.
local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"

local Node = {}
Node.__index = Node

-- Seconds that a node has to start and to end.
local PATIENCE = 20

local function sleep(seconds) os.execute("sleep " .. seconds) end

-- Calls f until it gives something, for PATIENCE seconds.
local function wait_for(f)
  for _ = 1, PATIENCE * 20 do
    local result = f()
    if result then return result end
    sleep(0.05)
  end
end

local Started = {}

--- Start a node; config is the text of a configuration file, if any.
function Started.start(config)
  local folder = files.capture "mktemp -d"
  local self = setmetatable({ folder = folder, address = folder .. "/tidepool.sock" }, Node)
  local program = files.capture "readlink /proc/$PPID/exe"
  local command = { "exec", files.quote(program), "serve", "--listen", self.address, "--state", folder .. "/state" }
  if config then
    local file = assert(io.open(folder .. "/node.lua", "w"))
    file:write(config)
    file:close()
    command[#command + 1] = "--config " .. folder .. "/node.lua"
  end
  self.pid = tonumber(files.capture(("(%s) 2>%s/log >/dev/null & echo $!"):format(table.concat(command, " "), folder)))
  local connected = wait_for(function()
    local connection = client.connect(self.address)
    if connection then connection:close() end
    return connection or (not self:is_running() and "ended")
  end)
  if connected == "ended" or not connected then
    local log = files.read(folder .. "/log")
    self:stop()
    failure.raise("the node did not start: %s", log or "it says nothing")
  end
  return self
end

-- A process that has ended and that nobody has waited for does not run.
function Node:is_running()
  local stat = files.read(("/proc/%d/stat"):format(self.pid))
  return stat ~= nil and not stat:find "%) Z "
end

--- Start a node, call f with it, and end it whatever happens; what f gives, two values.
function Started.with(config, f)
  local started = Started.start(config)
  local ok, result, more = xpcall(f, function(raised)
    return failure.is(raised) and raised or debug.traceback(tostring(raised), 2)
  end, started)
  started:stop()
  if not ok then error(result, 0) end
  return result, more
end

function Node:connect() return assert(client.connect(self.address)) end

local function children(pid)
  local list = {}
  local text = files.read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""
  for child in text:gmatch "%d+" do list[#list + 1] = tonumber(child) end
  return list
end

local function private_bytes(pid)
  local text = files.read(("/proc/%d/smaps_rollup"):format(pid))
  if not text then return nil end
  local bytes = 0
  for kibibytes in text:gmatch "Private_%a+: +(%d+) kB" do bytes = bytes + kibibytes * 1024 end
  return bytes
end

--- Private memory of the node's own process, in bytes.
function Node:private_memory() return private_bytes(self.pid) end

--- Private memory of each worker, in bytes: the node's child is the zygote's keeper, its child the zygote.
function Node:worker_memory()
  local memory = {}
  for _, keeper in ipairs(children(self.pid)) do
    for _, zygote in ipairs(children(keeper)) do
      for _, worker in ipairs(children(zygote)) do memory[#memory + 1] = private_bytes(worker) end
    end
  end
  return memory
end

--- End it, and remove its folder.
function Node:stop()
  os.execute(("kill %d 2>/dev/null"):format(self.pid))
  if not wait_for(function() return not self:is_running() end) then
    os.execute(("kill -9 %d 2>/dev/null"):format(self.pid))
  end
  os.execute("rm -rf " .. files.quote(self.folder))
end

return Started
