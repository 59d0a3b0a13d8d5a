-- A real node for path specs: node.start(config) runs the tidepool program of the same build as spec-runner, with a
-- state folder of its own, on a Unix socket and on a TCP port of 127.0.0.1.
--
--   local running = node.start { limits = { frame = "1M" } }
--   local c = running:connect()
--   running:stop()
--
-- Fields: address (the Unix socket), tcp, pid, folder. After stop() or kill() restart() brings the node back with the
-- same state; folders go, and nodes that were left running end, when the specs end.
local ffi = require "ffi"
local client = require "tidepool.client"
local kind = require "spec.support.kind"
local socket = require "tidepool.client.socket"

ffi.cdef [[
int fileno(void *file);
int kill(int pid, int signal);
long read(int fd, void *data, size_t bytes);
char *realpath(const char *path, char *resolved);
]]

local SIGKILL, SIGTERM = 9, 15
-- Seconds that a node may take to start and to stop; sanitizers are slow.
local PATIENCE = 30

local Node = {}
Node.__index = Node
local M = {}

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function program(name)
  local own = ffi.new "char[4096]"
  assert(ffi.C.realpath("/proc/self/exe", own) ~= nil)
  return ffi.string(own):match "^.*/" .. (name or "tidepool")
end

-- The Lua text of a value of a configuration.
local function text_of(value)
  if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
  local parts = {}
  for key, item in pairs(value) do
    parts[#parts + 1] = ("[%s] = %s"):format(text_of(key), text_of(item))
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function read_file(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

local function temporary_folder()
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir -m 700 " .. folder) == 0)
  -- Removed when the Lua state ends.
  local guard = newproxy(true)
  getmetatable(guard).__gc = function() os.execute("rm -rf " .. folder) end
  return folder, guard
end

-- Ends what still runs when the node is collected. Finalizers run in reverse order of creation: made behind the pipe of
-- io.popen, which waits for the process when it is closed, this goes first.
local function new_ending()
  local guard = newproxy(true)
  local ending = { guard = guard }
  getmetatable(guard).__gc = function()
    if ending.pid then ffi.C.kill(ending.pid, SIGKILL) end
  end
  return ending
end

-- The next line of the process' standard output that matches; nil at its end or the deadline.
function Node:read_line(pattern, deadline)
  local chunk = ffi.new "char[4096]"
  local wait = ffi.new "struct tidepool_pollfd[1]"
  while true do
    for line in self.output:gmatch "[^\n]*\n" do
      if line:find(pattern) then return line end
    end
    wait[0].fd, wait[0].events = self.fd, 1
    local left = math.ceil((deadline - socket.now()) * 1000)
    if left <= 0 or ffi.C.poll(wait, 1, left) == 0 then return nil end
    local got = tonumber(ffi.C.read(self.fd, chunk, 4096))
    if got <= 0 then return nil end
    self.output = self.output .. ffi.string(chunk, got)
  end
end

-- What the node wrote on standard error so far, over all its runs.
function Node:log() return read_file(self.folder .. "/log") end

local function run(self)
  local deadline = socket.now() + PATIENCE
  self.output = ""
  -- The shell's own word about a process that was killed is not wanted.
  local command = "{ %s serve --config %s 2>>%s & pid=$!; echo pid=$pid; wait $pid; echo status=$?; } 2>/dev/null"
  self.process = io.popen(command:format(
    quoted(program(self.program)), self.folder .. "/node.lua", self.folder .. "/log"))
  self.ending = new_ending()
  self.fd = ffi.C.fileno(self.process)
  local pid = self:read_line("^pid=", deadline)
  self.pid = pid and tonumber(pid:match "%d+")
  self.ending.pid = self.pid
  local ready = self:read_line("^tidepool ready ", deadline)
  if not ready then
    self:kill()
    local why = ("the node did not start: %s%s"):format(self.output, self:log())
    os.execute("rm -rf " .. self.folder)
    error(why, 3)
  end
  self.tcp = ready:match "tcp=(%S+)"
  return self
end

-- The devices of a configuration, host ones replaced by the kind that specs run on.
local function devices_of(config)
  local devices = {}
  for i, device in ipairs(config.devices or { { kind = "host" } }) do
    devices[i] = {}
    for key, value in pairs(device) do devices[i][key] = value end
    if device.kind == "host" then devices[i].kind = kind end
  end
  return devices
end

-- Start a node. config: keys of the configuration file; listen and state are set here unless given. program_name:
-- "tidepool" unless given.
function M.start(config, program_name)
  local folder, guard = temporary_folder()
  local self = setmetatable({
    folder = folder, address = folder .. "/node.sock", guard = guard, program = program_name,
  }, Node)
  -- Groups of a certain size: what is measured depends on what else the machine does.
  local whole = { listen = { "127.0.0.1:0", self.address }, state = folder .. "/state", group = "2M" }
  for key, value in pairs(config or {}) do whole[key] = value end
  if kind ~= "host" then whole.devices = devices_of(whole) end
  local file = assert(io.open(folder .. "/node.lua", "w"))
  file:write("return ", text_of(whole), "\n")
  file:close()
  return run(self)
end

-- A client on the Unix socket; options as for client.connect.
function Node:connect(options) return assert(client.connect(self.address, options)) end

-- The exit status, 128 + the signal when one ended it; nil while it runs still after so many seconds.
function Node:wait(seconds)
  if not self.process then return self.status end
  local line = self:read_line("^status=", socket.now() + (seconds or PATIENCE))
  if not line then return nil end
  self.process:close()
  self.process, self.pid, self.ending.pid = nil, nil, nil
  self.status = tonumber(line:match "%d+")
  return self.status
end

-- End it as an operator would, SIGTERM; raises unless it ends by itself and in time. The exit status.
function Node:stop()
  if not self.process then return self.status end
  ffi.C.kill(self.pid, SIGTERM)
  local status = self:wait()
  if not status then
    self:kill()
    error("the node did not end in time: " .. self:log(), 2)
  end
  return status
end

-- kill -9.
function Node:kill()
  if self.pid then ffi.C.kill(self.pid, SIGKILL) end
  return self:wait()
end

-- Run it again on the same state; it is stopped first if it runs.
function Node:restart()
  self:stop()
  return run(self)
end

return M
