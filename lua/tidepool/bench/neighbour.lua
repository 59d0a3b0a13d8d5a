--- What callers of a function notice of another function that does what it should not: its latency alone, and beside
--- each kind of attack, in turns.
local failure = require "tidepool.cli.failure"
local load = require "tidepool.bench.load"
local node = require "tidepool.bench.node"
local output = require "tidepool.cli.output"
local summary = require "tidepool.bench.summary"

local neighbour = {}

-- Handlers of the attacks. A driver calls its attack again and again, so that there is one at any time.
local ATTACKS = {
  { name = "loops", body = "while true do end" },
  { name = "memory", body = "local t = {} for i = 1, 1e9 do t[i] = { i } end" },
  { name = "garbage", body = "while true do local s = ('x'):rep(2 ^ 16) .. math.random() end" },
  { name = "log", body = "while true do print(('x'):rep(1000)) end" },
  { name = "reply", body = "return ('x'):rep(2 ^ 22)" },
  { name = "values", body = "local t = {} for i = 1, 2e5 do t[i] = i end return t" },
  { name = "sends", body = "for _ = 1, 4 do ctx.call('echo', ('x'):rep(2 ^ 20)) end return 1" },
  { name = "ends", body = "error(('x'):rep(2 ^ 12))" },
  { name = "calls", body = "for i = 1, 200 do ctx.call('neighbour', i) end return 1" },
}
local ATTACKERS = 2
local LIMITS = "limits = { timeout_ms = 1000, memory_mb = 32, log_kb = 64 },"

local function deploy(connection, name, source)
  local _, message = connection:call("function.deploy", { name = name, source = source, chunk = name .. ".lua" })
  if message then failure.raise("%s", message) end
end

local function deploy_all(connection)
  for _, name in ipairs { "neighbour", "echo" } do
    deploy(connection, name, "return { handler = function(_, req) return req end }")
  end
  for _, attack in ipairs(ATTACKS) do
    deploy(connection, attack.name, ("return { %s handler = function(ctx) %s end }"):format(LIMITS, attack.body))
    deploy(connection, attack.name .. "_driver", ([[
      return { handler = function(ctx)
        while true do pcall(function() return ctx.call(%q):get() end) end
      end }]]):format(attack.name))
  end
end

local function window(started, seconds)
  local result = load.run(started.address, 1, seconds, "invoke", { "neighbour", "x" })
  return result.latency_us
end

-- One window beside an attack, which has begun before and ends after it.
local function attacked(started, connection, attack, seconds)
  local attackers = {}
  for i = 1, ATTACKERS do
    attackers[i] = connection:send("invoke", attack.name .. "_driver", 1, { timeout_us = (seconds + 2) * 1e6 })
  end
  os.execute "sleep 0.2"
  local latency = window(started, seconds)
  for i = 1, ATTACKERS do
    if attackers[i].done then failure.raise("%s: the attack ended early: %s", attack.name, attackers[i].message) end
    attackers[i]:cancel()
    attackers[i]:wait()
  end
  os.execute "sleep 0.1"
  return latency
end

local function median(samples, key)
  local values = {}
  for i, sample in ipairs(samples) do values[i] = sample[key] end
  return summary.of(values).p50
end

local function p99s(samples)
  local values = {}
  for i, sample in ipairs(samples) do values[i] = sample.p99 end
  return values
end

-- The attacks of these names; all when there is none.
local function choose(names)
  local chosen = {}
  for _, attack in ipairs(ATTACKS) do
    local wanted = #names == 0
    for _, name in ipairs(names) do wanted = wanted or name == attack.name end
    if wanted then chosen[#chosen + 1] = attack end
  end
  if #chosen == 0 then failure.raise "--only: there is no attack of that name" end
  return chosen
end

--- Figures of each attack: medians over the rounds of a window's p50 and p99, alone and attacked, in microseconds.
--- names: of attacks; none: all.
function neighbour.measure(started, rounds, seconds, names)
  local connection = started:connect()
  local results = {}
  deploy_all(connection)
  window(started, seconds)
  for index, attack in ipairs(choose(names)) do
    local alone, beside = {}, {}
    for round = 1, rounds do
      alone[round] = window(started, seconds)
      beside[round] = attacked(started, connection, attack, seconds)
    end
    results[index] = {
      attack = attack.name,
      p50_us = median(alone, "p50"), p99_us = median(alone, "p99"),
      attacked_p50_us = median(beside, "p50"), attacked_p99_us = median(beside, "p99"),
      windows = { p99_us = p99s(alone), attacked_p99_us = p99s(beside) },
    }
    results[index].ratio = results[index].attacked_p99_us / results[index].p99_us
  end
  local stats = connection:call("function.stats", "neighbour")
  connection:close()
  return results, stats
end

local function to_text(result)
  local rows = {}
  for index, each in ipairs(result.attacks) do
    rows[index] = { each.attack, output.duration(each.p50_us), output.duration(each.p99_us),
      output.duration(each.attacked_p50_us), output.duration(each.attacked_p99_us), ("%.2f"):format(each.ratio) }
  end
  return output.rows({ "BESIDE", "P50 ALONE", "P99 ALONE", "P50", "P99", "P99 RATIO" }, rows)
end

neighbour.summary = "Latency of a function beside others that loop, eat memory, flood the log."

function neighbour.options(parser)
  parser:option("--rounds", "Windows alone and beside each attack."):argname "N":convert(tonumber):default "5"
  parser:option("--seconds", "Length of a window."):argname "S":convert(tonumber):default "0.5"
  parser:option("--only", "This attack, or another given so."):argname "ATTACK":count "*"
end

function neighbour.run(options)
  return node.with("return { log = 'off' }", function(started)
    local attacks, stats = neighbour.measure(started, options.rounds, options.seconds, options.only)
    return { attacks = attacks, errors = stats.errors }
  end), to_text
end

return neighbour
