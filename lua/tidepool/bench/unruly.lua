--- Bad policies of every kind put in force under load: each must be refused, or replaced by the last good one, with no
--- request lost, failed or wrong, and the node standing still for less than 100 ms.
local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local misrule = require "tidepool.bench.misrule"
local node = require "tidepool.bench.node"
local onnx = require "tidepool.bench.onnx"
local output = require "tidepool.cli.output"
local pace = require "tidepool.bench.pace"
local socket = require "tidepool.client.socket"
local summary = require "tidepool.bench.summary"

-- Three models of 4 MiB on a device that holds one or two, so that policies are asked to evict.
local CONFIG = "return { devices = { { kind = 'host', memory = '12M', threads = 1 } } }"
local SIZE, MODELS = 1024, 3
-- One request in so many runs one of these, the others a model of one addition.
local LARGE_EVERY = 8
-- Seconds that a bad policy is given to show itself, and between two kinds.
local PATIENCE, REST = 5, 0.05

local function deploy(connection, name, bytes)
  local _, message = connection:call("function.deploy", {
    name = name, source = "return { models = { net = 'net.onnx' } }", models = { net = { data = client.bin(bytes) } },
  })
  if message then failure.raise("%s: %s", name, message) end
end

-- What is asked: requests { name, value, output bytes }.
local function prepare(connection)
  local one = client.tensor("FP32", { 1 }, { 1 })
  deploy(connection, "sum", onnx.sum())
  local small = { "sum", { a = one, b = one }, client.tensor("FP32", { 1 }, { 2 }).data }
  local ones, large = {}, {}
  for i = 1, SIZE do ones[i] = 1 end
  for k = 1, MODELS do
    local expected = {}
    for i = 1, SIZE do expected[i] = SIZE * k end
    deploy(connection, "dense" .. k, onnx.dense(SIZE, k))
    large[k] = { "dense" .. k, { x = client.tensor("FP32", { 1, SIZE }, ones) },
      client.tensor("FP32", { 1, SIZE }, expected).data }
  end
  return function(index)
    if index % LARGE_EVERY ~= 0 then return small end
    return large[index / LARGE_EVERY % MODELS + 1]
  end
end

-- Bytes of a tensor's data, however the client holds them.
local function bytes_of(data) return type(data) == "table" and data[1] or data end

-- The script of the run, a coroutine that is resumed some thousand times a second: puts each kind in force and sees
-- what becomes of it.
local Trial = {}
Trial.__index = Trial

local function pause(condition)
  local deadline = socket.now() + PATIENCE
  while not condition() do
    if socket.now() > deadline then return false end
    coroutine.yield()
  end
  return true
end

function Trial:load(name, source)
  local pending = self.connection:send("policy.load", { name = name, source = source })
  if not pause(function() return pending.done end) then failure.raise("%s: policy.load has no answer", name) end
  return pending
end

function Trial:try(kind)
  self:load("good", misrule.good "good")
  self.worst, self.event = 0, nil
  local began = socket.now()
  local loaded = self:load("bad", kind.source)
  local ended, why = "in force", nil
  if loaded.message then
    ended, why = "refused", loaded.message
  else
    local after = loaded
    if kind.ends == "handing over" then after = self:load("next", misrule.good "next") end
    if pause(function() return self.event ~= nil end) then
      ended = kind.ends == "handing over" and after.message == nil and "handing over" or "replaced"
      why = self.event.detail
    end
  end
  local took = socket.now() - began
  local rest = socket.now() + REST
  pause(function() return socket.now() > rest end)
  return { kind = kind.name, ended = ended, why = why, as_expected = ended == kind.ends, took_ms = took * 1e3,
    stall_ms = self.worst / 1e3 }
end

local function run_kinds(self, kinds)
  return coroutine.wrap(function()
    local rest = socket.now() + REST * 4
    pause(function() return socket.now() > rest end)
    for _, kind in ipairs(kinds) do self.rows[#self.rows + 1] = self:try(kind) end
    self.finished = true
    while true do coroutine.yield() end
  end)
end

-- The kinds whose names match one of the patterns; all when there is none.
local function choose(patterns)
  local chosen = {}
  for _, kind in ipairs(misrule.kinds()) do
    local wanted = #patterns == 0
    for _, pattern in ipairs(patterns) do wanted = wanted or kind.name:find(pattern) ~= nil end
    if wanted then chosen[#chosen + 1] = kind end
  end
  if #chosen == 0 then failure.raise "--only: no kind's name is like that" end
  return chosen
end

local function measure(started, options)
  local connection, request_of = started:connect(), prepare(started:connect())
  local trial = setmetatable({ connection = started:connect(), rows = {}, worst = 0 }, Trial)
  local watcher = started:connect()
  watcher:on("event", function(event) if event.kind == "policy_replaced" then trial.event = event end end)
  assert(watcher:call "watch")
  local resume = run_kinds(trial, choose(options.only))
  local counts = { failed = 0, wrong = 0 }
  local result = pace.run(connection, {
    rate = options.rate, seconds = 3600,
    send = function(index)
      local request = request_of(index)
      local pending = connection:send("invoke", request[1], request[2])
      pending.expected = request[3]
      return pending
    end,
    answer = function(pending, _, latency)
      trial.worst = math.max(trial.worst, latency)
      if pending.message then
        counts.failed, counts.example = counts.failed + 1, counts.example or pending.message
      elseif bytes_of(pending.result.y.data) ~= bytes_of(pending.expected) then
        counts.wrong = counts.wrong + 1
      end
    end,
    tick = function()
      trial.connection:poll(0)
      watcher:poll(0)
      resume()
      return trial.finished
    end,
  })
  local stalls = {}
  for index, row in ipairs(trial.rows) do stalls[index] = row.stall_ms end
  result.rate, result.kinds, result.stall_ms = options.rate, trial.rows, summary.of(stalls)
  for kind, count in pairs(counts) do result[kind] = count end
  return result
end

local function to_text(result)
  local rows, strange = {}, 0
  for index, row in ipairs(result.kinds) do
    strange = strange + (row.as_expected and 0 or 1)
    rows[index] = { row.kind, row.as_expected and row.ended or row.ended .. " (!)", ("%.1f ms"):format(row.stall_ms),
      (row.why or ""):match("^[^\n]*"):sub(1, 70) }
  end
  return ("%d requests at %d/s under %d kinds of bad policies: lost %d, failed %d, wrong %d; %d kinds ended otherwise "
    .. "than expected.\n\n"):format(result.sent, result.rate, #rows, result.lost, result.failed, result.wrong, strange)
    .. output.rows({ "KIND", "ENDED", "SLOWEST REQUEST", "WHY" }, rows)
end

return {
  summary = "Bad policies of every kind under load.",
  options = function(parser)
    parser:option("--rate", "Requests a second."):argname "N":convert(tonumber):default "2000"
    parser:option("--only", "Kinds whose names match this Lua pattern, or another given so."):argname "PATTERN"
      :count "*"
  end,
  run = function(options)
    local result = node.with(CONFIG, function(started) return measure(started, options) end)
    return result, to_text
  end,
}
