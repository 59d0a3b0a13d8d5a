--- Load for one connection with as little of the client's own cost as LuaJIT allows: requests are encoded once, a slot
--- of the window each (its id is the slot's number); what one read answers is asked again in one write; answers are
--- found by the framer and checked by their first bytes.
local ffi = require "ffi"
local framer = require "tidepool.client.framer"
local msgpack = require "tidepool.msgpack"
local socket = require "tidepool.client.socket"
local summary = require "tidepool.bench.summary"

local now = socket.now

-- Latencies that are kept; a run with more calls keeps its first ones.
local SAMPLES_MAX = 2 ^ 20
-- Seconds without any answer after which a run is given up.
local PATIENCE = 10

local Load = {}
Load.__index = Load

-- The id at the answer's third byte, and where the byte after it lies.
local function read_id(at)
  local tag = at[2]
  if tag < 0x80 then return tag, 3 end
  if tag == 0xcc then return at[3], 4 end
  if tag == 0xcd then return at[3] * 256 + at[4], 5 end
  error "an answer with an id that was not asked"
end

-- The slot that an answer belongs to; raises unless it is one that waits, and its answer no error.
local function slot_of(self, at, length)
  if at[0] ~= 0x94 or at[1] ~= 1 then error "a message that is no answer" end
  local slot, rest = read_id(at)
  if slot >= self.window or self.busy[slot] == 0 then error "an answer to no request" end
  if at[rest] ~= 0xc0 then
    local answer = msgpack.decode(at, length)
    error(("an error for an answer: %s"):format(tostring(answer[3][2])))
  end
  return slot
end

-- Take one read's worth of answers; the slots that are free again, in self.free[0 … count).
local function take_answers(self, received)
  local count = 0
  self.last = self.last + received
  while self.first < self.last do
    local length, broken = self.framer:scan(self.input + self.first, self.last - self.first)
    if broken then error(broken) end
    if not length then break end
    self.free[count] = slot_of(self, self.input + self.first, length)
    self.busy[self.free[count]] = 0
    count = count + 1
    self.first = self.first + length
  end
  if self.first == self.last then
    self.first, self.last = 0, 0
  elseif self.room - self.last < 4096 then
    ffi.copy(self.input, self.input + self.first, self.last - self.first)
    self.first, self.last = 0, self.last - self.first
  end
  return count
end

local function record(self, count, time)
  for i = 0, count - 1 do
    if self.samples < SAMPLES_MAX then
      self.latency[self.samples] = time - self.started[self.free[i]]
      self.samples = self.samples + 1
    end
  end
end

-- Ask again in the slots self.free[0 … count), in one write.
local function ask(self, count, time)
  local at = 0
  for i = 0, count - 1 do
    local slot = self.free[i]
    ffi.copy(self.output + at, self.requests + self.offset[slot], self.length[slot])
    at = at + self.length[slot]
    self.started[slot] = time
    self.busy[slot] = 1
  end
  assert(self.socket:send(self.output, at, time + PATIENCE))
end

-- Keep the window full for so many seconds, then let it run empty; answers, and the seconds until the last one.
local function drive(self, seconds)
  local began = now()
  local time, answers, waiting = began, 0, self.window
  for slot = 0, self.window - 1 do self.free[slot] = slot end
  ask(self, self.window, time)
  while waiting > 0 do
    local received = assert(self.socket:receive(self.input + self.last, self.room - self.last, time + PATIENCE))
    local count = take_answers(self, received)
    time = now()
    record(self, count, time)
    answers, waiting = answers + count, waiting - count
    if count > 0 and time < began + seconds then
      ask(self, count, time)
      waiting = waiting + count
    end
  end
  return answers, time - began
end

local function encode_requests(self, method, params)
  local texts, at = {}, 0
  for slot = 0, self.window - 1 do
    local text = msgpack.encode { 0, slot, method, msgpack.array(params) }
    texts[slot + 1] = text
    self.offset[slot], self.length[slot] = at, #text
    at = at + #text
  end
  self.requests = ffi.new("uint8_t[?]", at)
  ffi.copy(self.requests, table.concat(texts), at)
  self.output = ffi.new("uint8_t[?]", at)
end

local function new(connected, window, method, params)
  local self = setmetatable({
    socket = connected, window = window, framer = framer.new(2 ^ 26), room = 2 ^ 20, first = 0, last = 0, samples = 0,
    input = ffi.new("uint8_t[?]", 2 ^ 20), busy = ffi.new("uint8_t[?]", window), free = ffi.new("int32_t[?]", window),
    offset = ffi.new("int32_t[?]", window), length = ffi.new("int32_t[?]", window),
    started = ffi.new("double[?]", window), latency = ffi.new("double[?]", SAMPLES_MAX),
  }, Load)
  encode_requests(self, method, params)
  return self
end

local function latencies_us(self)
  local list = {}
  for i = 0, self.samples - 1 do list[i + 1] = self.latency[i] * 1e6 end
  return summary.of(list)
end

local M = {}

--- Call method(params…) at the node at address with so many requests (at most 65536) always under way, for so many
--- seconds: { answers, seconds, per_second, latency_us = { p50, p99, … } }. Raises when an answer is an error.
function M.run(address, window, seconds, method, params)
  local connected = assert(socket.connect(address, PATIENCE))
  local self = new(connected, window, method, params)
  -- Long enough for LuaJIT to have compiled the loop, and for the node to have its workers.
  drive(self, math.min(0.3, seconds))
  self.samples = 0
  local answers, took = drive(self, seconds)
  connected:close()
  return { answers = answers, seconds = took, per_second = answers / took, latency_us = latencies_us(self) }
end

return M
