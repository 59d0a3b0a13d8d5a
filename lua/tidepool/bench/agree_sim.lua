--- The simulated side of `tidepool bench agree`.
local core = require "tidepool.sim.core"
local ffi = require "ffi"

local MS, S = 1e6, 1e9
-- Between the warm-up and the requests: all is over by then.
local REST_NS = 5 * S

local agree_sim = {}

local function flatten(matrix)
  if not matrix then return nil end
  local list = {}
  for _, row in ipairs(matrix) do
    for _, rate in ipairs(row) do list[#list + 1] = rate end
  end
  return list
end

local function open(profile, policy, functions, requests)
  local node = profile.node
  local simulation = core.new({ nodes = 1, devices = node.devices, devices_per_switch = node.devices_per_switch,
    memory_bytes = node.memory, link_rate = node.link_rate, switch_rate = node.switch_rate or 0,
    copy_latency_ns = node.copy_latency_ms * MS, policy_name = policy.name, policy_source = policy.source,
    span_room = requests }, flatten(node.peers))
  local numbers = {}
  for i, model in ipairs(profile.models) do
    numbers[i] = simulation:add_model { name = model.name, bytes = model.bytes, group_bytes = model.group_bytes,
      run_ns = model.resident_ms * MS }
  end
  for i = 0, functions - 1 do
    local at = i % #profile.models + 1
    simulation:add_function { node = 0, model = numbers[at], slo_percentile = 0.98,
      slo_ns = profile.models[at].deadline_ms * MS }
  end
  return simulation
end

-- From `start` on, until all is over.
local function play(simulation, requests, start)
  local times, functions = ffi.new("double[?]", #requests), ffi.new("uint32_t[?]", #requests)
  for i, request in ipairs(requests) do times[i - 1], functions[i - 1] = start + request[1] * S, request[2] end
  local last = times[#requests - 1]
  simulation:run({ count = #requests, times = times, functions = functions }, last)
  simulation:settle(last + 600 * S)
  return last
end

--- As agree_node's serve, of a node that is like the profile.
function agree_sim.run(profile, policy, functions, warm, requests)
  local simulation = open(profile, policy, functions, #requests)
  local last = play(simulation, warm, 0)
  simulation:forget()
  play(simulation, requests, last + REST_NS)
  local latencies, count, spans = {}, simulation:spans()
  for i = 0, count - 1 do latencies[i + 1] = (spans[i].to_ns - spans[i].arrived_ns) / MS + profile.request_ms end
  simulation:close()
  return latencies
end

return agree_sim
