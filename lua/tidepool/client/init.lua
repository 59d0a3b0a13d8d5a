-- The Tidepool client: MessagePack-RPC over TCP or a Unix socket, in plain Lua for LuaJIT.
--
--   local client = require "tidepool.client"
--   local c = assert(client.connect("127.0.0.1:7420"))
--   print(c:invoke("filetype", { data = client.bin(bytes) }).label)
--
-- What can go wrong returns nil, "NAME: message", "NAME", details, with the names of gRPC's codes; misuse raises. A
-- result that is nil comes without a message. A connection is for one thread of Lua; coroutines may share it.
local ffi = require "ffi"
local framer = require "tidepool.client.framer"
local msgpack = require "tidepool.msgpack"
local socket = require "tidepool.client.socket"
local tensor = require "tidepool.client.tensor"

local now = socket.now

local M = {
  null = msgpack.null,
  -- A string that goes out as bin, and a table that goes out as a map or as an array, whatever its keys.
  bin = msgpack.bin,
  map = msgpack.map,
  array = msgpack.array,
  -- tensor(datatype, shape, data) for requests; what to make of a tensor in a result.
  tensor = tensor.make,
  to_array = tensor.array,
  to_list = tensor.list,
}

-- Seconds a call waits unless connect was told otherwise.
local TIMEOUT = 60
-- Bytes of one message that the client takes.
local MESSAGE_BYTES_MAX = 2 ^ 31 - 1

local REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2

local Client = {}
Client.__index = Client

-- One request that was sent: wait() for its answer.
local Pending = {}
Pending.__index = Pending

-- An answer that comes in parts: what stream() gives.
local Stream = {}
Stream.__index = Stream

local function new_client(connected, options)
  local self = setmetatable({
    socket = connected,
    address = connected.address,
    timeout = options.timeout or TIMEOUT,
    -- Pending by id, and functions by method of notification.
    pending = {},
    handlers = {},
    last_id = 0,
    -- What has come in and is not decoded: input[first … last).
    input = ffi.new("uint8_t[?]", 65536),
    room = 65536,
    first = 0,
    last = 0,
    framer = framer.new(options.message_bytes or MESSAGE_BYTES_MAX),
    -- Requests that wait for the end of batch().
    held = nil,
  }, Client)
  self.drain = function() return self:receive(now()) end
  return self
end

-- Connect to "HOST:PORT", "[::1]:PORT", "unix:PATH" or "/PATH". options: token for nodes that want one, timeout in
-- seconds (of connecting, and of each call), message_bytes that one answer may have.
function M.connect(address, options)
  options = options or {}
  local connected, message, name = socket.connect(address, options.timeout or TIMEOUT)
  if not connected then return nil, message, name end
  local self = new_client(connected, options)
  if options.token then
    local _, refusal, code = self:call("hello", { token = options.token })
    if refusal then
      self:close()
      return nil, refusal, code
    end
  end
  return self
end

-- The connection is of no more use: everything that waits gets that answer.
local function fail(self, message, name)
  self.socket:close()
  self.failure = self.failure or { message, name }
  for id, pending in pairs(self.pending) do
    pending.done, pending.message, pending.name = true, message, name
    self.pending[id] = nil
  end
  return nil, message, name
end

local function next_id(self)
  local id = self.last_id
  repeat id = (id + 1) % 2 ^ 32 until id ~= 0 and not self.pending[id]
  self.last_id = id
  return id
end

local function params(...)
  local list = msgpack.array { ... }
  for i = 1, select("#", ...) do
    if list[i] == nil then list[i] = msgpack.null end
  end
  return list
end

local function transmit(self, bytes)
  local ok, message, name = self.socket:send(bytes, #bytes, now() + self.timeout, self.drain)
  if not ok then return fail(self, message, name) end
  return true
end

-- Send a request and go on: an object whose wait() gives the answer. Any number may be under way; answers come in any
-- order.
function Client:send(method, ...)
  local id = next_id(self)
  local bytes = msgpack.encode { REQUEST, id, method, params(...) }
  local pending = setmetatable({ client = self, id = id, done = false }, Pending)
  if self.failure then
    pending.done, pending.message, pending.name = true, self.failure[1], self.failure[2]
    return pending
  end
  self.pending[id] = pending
  if self.held then
    self.held[#self.held + 1] = bytes
  else
    transmit(self, bytes)
  end
  return pending
end

-- Send a message that has no answer.
function Client:notify(method, ...)
  if self.failure then return nil, self.failure[1], self.failure[2] end
  return transmit(self, msgpack.encode { NOTIFICATION, method, params(...) })
end

-- Call f(self): the requests that it sends go out together, in one write, when it returns.
function Client:batch(f)
  self.held = {}
  local ok, message = pcall(f, self)
  local bytes = table.concat(self.held)
  self.held = nil
  if #bytes > 0 and not self.failure then transmit(self, bytes) end
  if not ok then error(message, 0) end
end

local function settle(pending, failure, result)
  pending.done = true
  if failure == msgpack.null then
    if result ~= msgpack.null then pending.result = result end
  elseif type(failure) == "table" and type(failure[2]) == "string" then
    pending.message = failure[2]
    pending.name = failure[2]:match "^([%u_]+):" or "UNKNOWN"
    if failure[3] ~= msgpack.null then pending.details = failure[3] end
  else
    pending.message, pending.name = "UNKNOWN: " .. tostring(failure), "UNKNOWN"
  end
end

-- A part of the answer to request `id`. Parts for which nobody waits are dropped, as late answers are.
local function take_part(self, id, value)
  local pending = self.pending[id]
  if not pending or not pending.parts then return end
  local parts = pending.parts
  parts.last = parts.last + 1
  parts[parts.last] = value
end

-- One decoded message.
local function take(self, message)
  if type(message) ~= "table" then return end
  if message[1] == RESPONSE then
    local pending = self.pending[message[2]]
    if pending then
      self.pending[message[2]] = nil
      settle(pending, message[3], message[4])
    elseif message[2] == 0 then
      -- No request has that id: the node did not understand what it got, and closes.
      local stray = {}
      settle(stray, message[3])
      return fail(self, stray.message, stray.name)
    end
  elseif message[1] == NOTIFICATION and type(message[3]) == "table" then
    if message[2] == "stream" then take_part(self, message[3][1], message[3][2]) end
    local handler = self.handlers[message[2]]
    if handler then handler(unpack(message[3])) end
  end
end

-- Decode what has come in whole; the number of messages, or nil and why.
local function decode(self)
  local count = 0
  while self.first < self.last do
    local length, broken = self.framer:scan(self.input + self.first, self.last - self.first)
    if broken then return fail(self, "DATA_LOSS: " .. self.address .. ": " .. broken, "DATA_LOSS") end
    if not length then break end
    local start = self.first
    self.first = start + length
    count = count + 1
    local ok, message = pcall(msgpack.decode, self.input, start + length, start)
    if not ok then return fail(self, "DATA_LOSS: " .. self.address .. ": " .. message, "DATA_LOSS") end
    take(self, message)
  end
  if self.first == self.last then self.first, self.last = 0, 0 end
  return count
end

-- Room behind what has come in: the input moves to the front, or to a larger buffer.
local function make_room(self)
  if self.room - self.last >= 4096 then return end
  local have = self.last - self.first
  local larger = self.input
  if have > self.room / 2 then
    self.room = self.room * 2
    larger = ffi.new("uint8_t[?]", self.room)
  end
  ffi.copy(larger, self.input + self.first, have)
  self.input, self.first, self.last = larger, 0, have
end

-- Take in what there is, waiting for the first byte until deadline: the number of whole messages, or nil and why.
function Client:receive(deadline)
  if self.failure then return nil, self.failure[1], self.failure[2] end
  make_room(self)
  local got, message, name = self.socket:receive(self.input + self.last, self.room - self.last, deadline)
  if not got then
    if name ~= "DEADLINE_EXCEEDED" then fail(self, message, name) end
    return nil, message, name
  end
  self.last = self.last + got
  return decode(self)
end

-- The result; or nil, "NAME: message", "NAME", details. When nothing comes within timeout seconds (the connection's
-- unless given), DEADLINE_EXCEEDED; the answer may be waited for again.
function Pending:wait(timeout)
  local deadline
  while not self.done do
    deadline = deadline or now() + (timeout or self.client.timeout)
    local count, message, name = self.client:receive(deadline)
    if not count and not self.done then return nil, message, name end
  end
  if self.message then return nil, self.message, self.name, self.details end
  return self.result
end

-- Ask the node to give the request up: its answer will be CANCELLED, unless it was faster.
function Pending:cancel() return self.client:call("cancel", self.id) end

-- Call a method and wait for its answer: as Pending:wait. An answer that comes too late is dropped.
function Client:call(method, ...)
  local pending = self:send(method, ...)
  local result, message, name, details = pending:wait()
  if name then self.pending[pending.id] = nil end
  return result, message, name, details
end

-- Run the function `name` on value. options: timeout_us, priority, traceparent.
function Client:invoke(name, value, options)
  if options then return self:call("invoke", name, value, options) end
  return self:call("invoke", name, value)
end

-- Run the function `name`, which answers in parts (ctx:send):
--
--   local stream = c:stream("generate", prompt)
--   for part in stream do io.write(part) end
--   local result, message = stream:result()
--
-- A part that is nil comes as null. Parts are taken from the socket as the loop asks for them, so a slow loop makes the
-- function wait. options: as of invoke.
function Client:stream(name, value, options)
  local pending
  if options then
    pending = self:send("invoke", name, value, options)
  else
    pending = self:send("invoke", name, value)
  end
  pending.parts = { first = 1, last = 0 }
  return setmetatable({ pending = pending }, Stream)
end

-- The next part; nil after the last one, or when none came within the connection's timeout.
function Stream:__call()
  local pending = self.pending
  local parts = pending.parts
  local deadline = now() + pending.client.timeout
  while parts.first > parts.last do
    if pending.done then return nil end
    local count, message, name = pending.client:receive(deadline)
    if not count and not pending.done then
      self.failure = { message, name }
      return nil
    end
  end
  local value = parts[parts.first]
  parts[parts.first] = nil
  parts.first = parts.first + 1
  return value
end

-- What the handler returned after its parts; or nil and why there is none. Parts that were not asked for are lost.
function Stream:result(timeout)
  if self.failure then return nil, self.failure[1], self.failure[2] end
  return self.pending:wait(timeout)
end

-- Ask the node to give it up.
function Stream:cancel() return self.pending:cancel() end

-- Call f(params…) for notifications of that method that come while the client waits or polls; nil: no more.
function Client:on(method, f) self.handlers[method] = f end

-- Take in messages for up to timeout seconds, 0: only what is there; ends at the first read that brought any. How many
-- came, or nil and why the connection ended.
function Client:poll(timeout)
  local deadline = now() + (timeout or 0)
  while true do
    local count, message, name = self:receive(deadline)
    if name == "DEADLINE_EXCEEDED" then return 0 end
    if not count then return nil, message, name end
    if count > 0 then return count end
  end
end

-- Requests under way get UNAVAILABLE.
function Client:close()
  fail(self, "UNAVAILABLE: " .. self.address .. ": the connection is closed", "UNAVAILABLE")
end

return M
