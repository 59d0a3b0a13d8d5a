--- Three ways for a handler's calls to reach the device: each waited for before the next (synchronous), each sent alone
--- while the handler goes on (asynchronous), and all up to the first wait as one batch, which is what handlers get
--- unless they ask for something else.
local failure = require "tidepool.cli.failure"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local socket = require "tidepool.client.socket"
local summary = require "tidepool.bench.summary"

-- Ten operators a round on one row of 64 numbers: so little to compute that the way there is what is seen.
local SOURCE = [[
local tide = require "tidepool"
local weights, row = {}, {}
for i = 1, 64 * 64 do weights[i] = ((i * 37) % 101 - 50) / 400 end
for i = 1, 64 do row[i] = i / 64 end
local after = { synchronous = tide.wait, asynchronous = tide.flush, batched = function() end }
return { handler = function(_, req)
  local w, b = tide.tensor("FP32", { 64, 64 }, weights), tide.tensor("FP32", { 64 }, row)
  local x, sent = tide.tensor("FP32", { 1, 64 }, row), after[req.way]
  for _ = 1, req.rounds do
    x = x:matmul(w) sent()
    x = x + b       sent()
    x = x:relu()    sent()
    x = x * b       sent()
    x = x:softmax() sent()
    x = x - b       sent()
    x = x:tanh()    sent()
    x = x:abs()     sent()
    x = x:maximum(b) sent()
    x = x:sqrt()    sent()
  end
  return x:get():totable()
end }
]]
local CALLS_A_ROUND = 10
local WAYS = { "synchronous", "asynchronous", "batched" }

-- Microseconds of one call of the program, and what it answers.
local function call(connection, way, rounds)
  local before = socket.now()
  local result, message = connection:invoke("redirect", { way = way, rounds = rounds })
  if message then failure.raise("%s: %s", way, message) end
  return (socket.now() - before) * 1e6, result
end

local function check_same(way, result, reference)
  for index, value in ipairs(reference) do
    if result[index] ~= value then failure.raise("%s: the program answers something else", way) end
  end
end

-- Every way in every round, so that all meet the same machine.
local function measure(connection, options)
  local rounds = math.max(1, math.floor(options.calls / CALLS_A_ROUND))
  local samples, reference = {}, nil
  for index = 1, options.samples + 3 do
    for _, way in ipairs(WAYS) do
      local took, result = call(connection, way, rounds)
      reference = reference or result
      check_same(way, result, reference)
      samples[way] = samples[way] or {}
      -- The first ones compile.
      if index > 3 then table.insert(samples[way], took) end
    end
  end
  local rows = {}
  for index, way in ipairs(WAYS) do rows[index] = { way = way, call_us = summary.of(samples[way]) } end
  for _, row in ipairs(rows) do row.speedup = rows[1].call_us.p50 / row.call_us.p50 end
  return { calls = rounds * CALLS_A_ROUND, rows = rows }
end

local function to_text(result)
  local rows = {}
  for index, row in ipairs(result.rows) do
    rows[index] = { row.way, output.duration(row.call_us.min), output.duration(row.call_us.p50),
      output.duration(row.call_us.p99), ("%.2f us"):format(row.call_us.p50 / result.calls),
      ("%.1fx"):format(row.speedup) }
  end
  return ("A handler with %d calls of operators on 64 numbers, median of %d:\n\n"):format(
    result.calls, result.rows[1].call_us.count)
    .. output.rows({ "REDIRECTION", "LEAST", "P50", "P99", "A CALL", "SPEED-UP" }, rows)
end

return {
  summary = "A handler's calls waited for one by one, sent one by one, and batched.",
  options = function(parser)
    parser:option("--calls", "Operators that the handler calls, in tens."):argname "N":convert(tonumber):default "200"
    parser:option("--samples", "Requests of each kind, in turns."):argname "N":convert(tonumber):default "200"
  end,
  run = function(options)
    local result = node.with(nil, function(started)
      local connection = started:connect()
      local _, message = connection:call("function.deploy", {
        name = "redirect", source = SOURCE, chunk = "redirect.lua",
      })
      if message then failure.raise("%s", message) end
      return measure(connection, options)
    end)
    return result, to_text
  end,
}
