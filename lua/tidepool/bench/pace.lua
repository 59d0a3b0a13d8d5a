--- Requests at given times, or at an even rate, whatever the answers take: each is due at its own time, and its latency
--- counts from then, so that a node that stalls is seen to stall. One connection, answers in any order.
local socket = require "tidepool.client.socket"
local summary = require "tidepool.bench.summary"

local now = socket.now

-- Seconds after the last request in which its answer must have come.
local PATIENCE = 10
-- Longest wait for answers before the clock is looked at again, in seconds.
local POLL = 0.002

local pace = {}

-- Send what is due by now, in one write; seconds from the start until the next is.
local function send_due(self, time)
  local due = self.at(self.sent + 1)
  if not due or self.began + due > time then return due end
  self.connection:batch(function()
    while due and self.began + due <= time do
      self.sent = self.sent + 1
      local pending = self.send(self.sent)
      pending.due, pending.index = self.began + due, self.sent
      self.open[#self.open + 1] = pending
      due = self.at(self.sent + 1)
    end
  end)
  return due
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

-- When requests of an even rate are due.
local function evenly(rate, seconds)
  local total = math.floor(rate * seconds)
  return function(i) return i <= total and (i - 1) / rate or nil end
end

--- Send requests on the connection: send(i) gives the i-th, under way (client:send), when it is due: at(i) seconds
--- from the start, nil after the last; or rate a second for so many seconds. answer(pending, i, latency in us) is
--- called with each that has come, tick(seconds since the start) in between, some thousand times a second; true from
--- it ends the sending. Returns { sent, lost, latency_us = summary }; lost ones have had no answer so many seconds
--- (patience, 10) after the last was sent.
function pace.run(connection, options)
  local self = { connection = connection, at = options.at or evenly(options.rate, options.seconds), sent = 0,
    open = {}, latency = {}, send = options.send, answer = options.answer, began = now() }
  local patience, time = options.patience or PATIENCE, self.began
  local next_due, last_sent = self.at(1), time
  while (next_due or #self.open > 0) and time < last_sent + patience do
    local sent = self.sent
    next_due = next_due and send_due(self, time)
    if self.sent > sent or next_due then last_sent = time end
    if options.tick and options.tick(time - self.began) then next_due = nil end
    local wait = next_due and self.began + next_due - now() or POLL
    local count, message = connection:poll(math.max(0, math.min(POLL, wait)))
    if not count then error("the connection has ended: " .. tostring(message), 0) end
    time = now()
    settle(self, time)
  end
  return { sent = self.sent, lost = #self.open, latency_us = summary.of(self.latency) }
end

return pace
