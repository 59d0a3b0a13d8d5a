-- The worker hop alone, without client and sockets: `build/dev/spec-runner spec/bench/worker_bench.lua`. Prints calls
-- one at a time and 64 in flight, cold starts, and the private memory of idle workers.
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
local worker = require "spec.support.worker"

local C = worker.C
local NIL = "\192"

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)], list[1], list[#list]
end

local function calls(rig, script, in_flight, total)
  local runs = {}
  for i = 1, 5 do
    runs[i] = tonumber(C.rig_bench(rig.rig, script, NIL, #NIL, total, in_flight)) / total / 1000
  end
  local middle, least = median(runs)
  print(("%2d in flight: %.2f us a call, least %.2f (%.0f calls/s)"):format(in_flight, middle, least, 1e6 / middle))
end

local function cold_starts(rig, count)
  local times = {}
  for i = 1, count do
    local request = assert(rig:invoke(rig:handler "return req", i))
    rig:run(i)
    times[i] = tonumber(C.rig_time(rig.rig, request)) / 1e6
  end
  print(("cold start: %.3f ms, least %.3f, most %.3f"):format(median(times)))
end

local function private_kib(pid)
  local file, sum = io.open("/proc/" .. pid .. "/smaps_rollup"), 0
  if not file then return nil end
  for line in file:lines() do sum = sum + (tonumber(line:match "^Private_%a+:%s+(%d+)") or 0) end
  file:close()
  return sum
end

local function memory()
  local list = {}
  for pid in io.popen("pgrep -x tidepool-worker"):lines() do list[#list + 1] = private_kib(pid) end
  local middle, least, most = median(list)
  print(("private memory: %d KiB, least %d, most %d (%d workers)"):format(middle, least, most, #list))
end

local rig = worker.rig()
local script = rig:handler ""
calls(rig, script, 1, 20000)
calls(rig, script, 64, 200000)
cold_starts(rig, 200)
memory()
rig:delete()
