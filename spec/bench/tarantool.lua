-- The yardstick of `tidepool bench rpc`, run by Tarantool itself: a stored function that does nothing, called over
-- Tarantool's own protocol by its own client.
--
--   tarantool tarantool.lua serve ADDRESS FOLDER     serves there, data in FOLDER; prints "ready"
--   tarantool tarantool.lua call ADDRESS FIBERS SECONDS
--       so many fibers call one after the other on one connection; prints calls, seconds and the least, p50, p90, p99
--       and largest latency in us
--
-- ADDRESS is 127.0.0.1:PORT or unix/:PATH.
-- luacheck: globals box
local clock = require "clock"
local fiber = require "fiber"
local net_box = require "net.box"

local SAMPLES_MAX = 2 ^ 20

local function serve(address, folder)
  box.cfg {
    listen = address, wal_mode = "none", memtx_dir = folder, vinyl_dir = folder, log_level = 2,
    memtx_memory = 64 * 1024 * 1024,
  }
  rawset(_G, "empty", function() end)
  box.schema.func.create("empty", { if_not_exists = true })
  box.schema.user.grant("guest", "execute", "function", "empty", { if_not_exists = true })
  print "ready"
  io.stdout:flush()
end

-- Calls until `stop`; how many were made, their latencies in us appended to samples.
local function call_until(connection, stop, samples)
  local calls = 0
  local before = clock.monotonic()
  while before < stop do
    connection:call("empty", {})
    local after = clock.monotonic()
    calls = calls + 1
    if #samples < SAMPLES_MAX then samples[#samples + 1] = (after - before) * 1e6 end
    before = after
  end
  return calls
end

local function run(connection, fibers, seconds, samples)
  local began = clock.monotonic()
  local calls, done = 0, fiber.channel(fibers)
  for _ = 1, fibers do
    fiber.create(function()
      local own = call_until(connection, began + seconds, samples)
      calls = calls + own
      done:put(true)
    end)
  end
  for _ = 1, fibers do done:get() end
  return calls, clock.monotonic() - began
end

local function call(address, fibers, seconds)
  local connection = net_box.connect(address)
  assert(connection:ping(), "no answer")
  run(connection, fibers, math.min(0.3, seconds), {})
  local samples = {}
  local calls, took = run(connection, fibers, seconds, samples)
  table.sort(samples)
  local function quantile(q) return samples[math.max(1, math.ceil(q * #samples))] end
  print(("%d %.6f %.3f %.3f %.3f %.3f %.3f"):format(calls, took, samples[1], quantile(0.5), quantile(0.9),
    quantile(0.99), samples[#samples]))
  os.exit(0)
end

if arg[1] == "serve" then
  serve(arg[2], arg[3])
else
  call(arg[2], tonumber(arg[3]), tonumber(arg[4]))
end
