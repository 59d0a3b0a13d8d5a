--- Requests at an even rate, whatever the answers take: each is due at its own time, and its latency counts from then,
--- so that a node that stalls is seen to stall. One connection, answers in any order.
local socket = require "tidepool.client.socket"
local summary = require "tidepool.bench.summary"

local now = socket.now

-- Seconds after the last request in which its answer must have come.
local PATIENCE = 10
-- Longest wait for answers before the clock is looked at again, in seconds.
local POLL = 0.002

local pace = {}

-- Send what is due by now, in one write.
local function send_due(self, time)
  local due = math.min(self.total, math.floor((time - self.began) * self.rate) + 1)
  if self.sent >= due then return end
  self.connection:batch(function()
    while self.sent < due do
      self.sent = self.sent + 1
      local pending = self.send(self.sent)
      pending.due, pending.index = self.began + (self.sent - 1) / self.rate, self.sent
      self.open[#self.open + 1] = pending
    end
  end)
end

-- Take answers that have come out of the list of open ones.
local function settle(self, time)
  local open, kept = self.open, 0
  for i = 1, #open do
    local pending = open[i]
    if pending.done then
      local latency = (time - pending.due) * 1e6
      self.latency[#self.latency + 1] = latency
      self.answer(pending, pending.index, latency)
    else
      kept = kept + 1
      open[kept] = pending
    end
  end
  for i = #open, kept + 1, -1 do open[i] = nil end
end

--- Send rate requests a second for so many seconds on the connection: send(i) gives the i-th, under way (client:send);
--- answer(pending, i, latency in us) is called with each that has come, tick(seconds since the start) in between, some
--- thousand times a second; true from it ends the sending. Returns { sent, lost, latency_us = summary }; lost ones have
--- had no answer 10 s after the last was sent.
function pace.run(connection, options)
  local self = {
    connection = connection, rate = options.rate, total = math.floor(options.rate * options.seconds), sent = 0,
    open = {}, latency = {}, send = options.send, answer = options.answer, began = now(),
  }
  local deadline = self.began + options.seconds + PATIENCE
  local time = self.began
  while (self.sent < self.total or #self.open > 0) and time < deadline do
    send_due(self, time)
    if options.tick and options.tick(time - self.began) then
      self.total = self.sent
      deadline = math.min(deadline, time + PATIENCE)
    end
    local count, message = connection:poll(math.min(POLL, 1 / self.rate))
    if not count then error("the connection has ended: " .. tostring(message), 0) end
    time = now()
    settle(self, time)
  end
  return { sent = self.sent, lost = #self.open, latency_us = summary.of(self.latency) }
end

return pace
