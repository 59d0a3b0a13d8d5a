--- A function that is replaced again and again while it serves: every answer must come, be whole, and be at least as
--- new as what was deployed when its request was sent. Every tenth deploy is broken in one way or another, and must
--- change nothing.
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local pace = require "tidepool.bench.pace"
local socket = require "tidepool.client.socket"
local summary = require "tidepool.bench.summary"

-- The number stands at the script's start and end, with much between: an answer that mixes two shows it.
local SCRIPT = [[
local first = %d
local words = {}
for i = 1, 200 do words[i] = "word " .. i end
%s
local last = %d
return {
  test = { { request = 0, expect = { first = %d, last = %d, echo = 0 } } },
  handler = function(_, req) return { first = first, last = last, echo = req, words = #words } end,
}
]]

local function script(number)
  local padding = ("local function pad() return %d end\n"):format(number):rep(60)
  return SCRIPT:format(number, padding, number, number, number)
end

-- Scripts that must be refused: cut off, not a function's, raising, failing their own test.
local broken = {
  function(number) return script(number):sub(1, -30) end,
  function() return "return { handler = 1 }" end,
  function() return "error 'not today'" end,
  function(number) return (script(number):gsub("expect = { first = %d+", "expect = { first = -1")) end,
}
local BROKEN_EVERY = 10

local Deployer = {}
Deployer.__index = Deployer

local function request_of(number, source)
  return { name = "reload", source = source, chunk = ("reload-%d.lua"):format(number) }
end

-- Deploys are sent when due, finished or not; the node makes them one after the other.
function Deployer:start()
  self.number = self.number + 1
  local breaks = self.number % BROKEN_EVERY == 0
  local source = breaks and broken[self.number / BROKEN_EVERY % #broken + 1](self.number) or script(self.number)
  local pending = self.connection:send("function.deploy", request_of(self.number, source))
  pending.number, pending.breaks, pending.started = self.number, breaks, socket.now()
  self.open[#self.open + 1] = pending
end

function Deployer:take()
  while self.open[1] and self.open[1].done do
    local pending = table.remove(self.open, 1)
    self.took[#self.took + 1] = (socket.now() - pending.started) * 1e6
    if pending.breaks ~= (pending.message ~= nil) then
      failure.raise("deploy %d %s: %s", pending.number, pending.breaks and "was not refused" or "failed",
        tostring(pending.message))
    end
    if pending.breaks then self.refused = self.refused + 1 else self.acknowledged = pending.number end
  end
end

function Deployer:tick(time)
  if time >= self.due and time < self.seconds then
    self.due = self.due + self.every
    self:start()
  end
  if self.connection:poll(0) == nil then failure.raise "the deployer's connection has ended" end
  self:take()
end

function Deployer:finish()
  while self.open[1] do
    self.open[1]:wait(30)
    self:take()
  end
end

local function new_deployer(connection, options)
  return setmetatable({
    connection = connection, number = 0, acknowledged = 0, refused = 0, open = {}, took = {},
    due = options.every_ms / 1000, every = options.every_ms / 1000, seconds = options.seconds,
  }, Deployer)
end

-- Counts what is wrong with answers; the first complaint is kept.
local function judge(counts, pending, index)
  local answer = pending.result
  local kind
  if pending.message then
    kind = "failed"
  elseif type(answer) ~= "table" or answer.first ~= answer.last or answer.words ~= 200 then
    kind = "torn"
  elseif answer.echo ~= index then
    kind = "mixed_up"
  elseif answer.first < pending.newest then
    kind = "stale"
  end
  if not kind then return end
  counts[kind] = counts[kind] + 1
  counts.example = counts.example or ("request %d: %s: %s"):format(index, kind, pending.message or "see the counts")
end

local function measure(started, options)
  local connection, deployer = started:connect(), new_deployer(started:connect(), options)
  deployer:start()
  deployer:finish()
  local counts = { failed = 0, torn = 0, mixed_up = 0, stale = 0 }
  local result = pace.run(connection, {
    rate = options.rate, seconds = options.seconds,
    send = function(index)
      local pending = connection:send("invoke", "reload", index)
      pending.newest = deployer.acknowledged
      return pending
    end,
    answer = function(pending, index) judge(counts, pending, index) end,
    tick = function(time) deployer:tick(time) end,
  })
  deployer:finish()
  local stats = assert(connection:call("function.stats", "reload"))
  for kind, count in pairs(counts) do result[kind] = count end
  result.seconds, result.rate = options.seconds, options.rate
  result.deploys, result.refused, result.generation = deployer.number, deployer.refused, stats.generation
  result.deploy_us = summary.of(deployer.took)
  return result
end

local function to_text(result)
  local function row(title, samples)
    return { title, samples.count, output.duration(samples.p50), output.duration(samples.p99),
      output.duration(samples.max) }
  end
  local text = ("%d requests at %d/s over %g s under %d deploys, %d of them broken and refused; generation %d in the "
    .. "end.\nlost %d, failed %d, half-loaded %d, mixed up %d, older than deployed %d\n\n"):format(
    result.sent, result.rate, result.seconds, result.deploys, result.refused, result.generation, result.lost,
    result.failed, result.torn, result.mixed_up, result.stale)
  if result.example then text = text .. result.example .. "\n\n" end
  return text .. output.rows({ "", "COUNT", "P50", "P99", "MOST" },
    { row("request, from when it was due", result.latency_us), row("deploy", result.deploy_us) })
end

return {
  summary = "A function replaced again and again while it serves.",
  options = function(parser)
    parser:option("--seconds", "How long."):argname "S":convert(tonumber):default "10"
    parser:option("--rate", "Requests a second."):argname "N":convert(tonumber):default "2000"
    parser:option("--every-ms", "Between two deploys."):argname "MS":convert(tonumber):default "100"
  end,
  run = function(options)
    local result = node.with(nil, function(started) return measure(started, options) end)
    return result, to_text
  end,
}
