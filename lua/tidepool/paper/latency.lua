--- The latency of one request on a simulated node, alone or beside another: the model on the device, brought from the
--- host, or brought from another device.
local core = require "tidepool.sim.core"
local ffi = require "ffi"

local MS = 1e6
-- Runs job after job, each where the list in config says: {device, source, peer}, by index and by enum view_source.
local DIRECTED = [=[
local directed = {}
directed.__index = directed
local function new(node, config)
  return setmetatable({ node = node, list = config, first = 1, last = 0, jobs = {}, given = 0 }, directed)
end
function directed:submit(job)
  self.last = self.last + 1
  self.jobs[self.last] = job
end
function directed:dispatch()
  local to = self.list[self.given + 1]
  local device = to and self.node.devices[to[1]]
  if self.first > self.last or not device or device.idle == 0 then return nil end
  self.first, self.given = self.first + 1, self.given + 1
  return self.jobs[self.first - 1], device, to[2], to[3] and self.node.devices[to[3]]
end
function directed.done() end
function directed.evict() return nil end
return { name = "directed", new = new }
]=]
local RESIDENT, HOST, PEER = 0, 1, 2
-- Requests that a neighbour has: longer than the largest model's swap.
local NEIGHBOURS = 12

local latency = {}

local function open(profile, orders)
  local node, rates, config = profile.node, {}, {}
  for to = 1, node.devices do
    for from = 1, node.devices do rates[#rates + 1] = node.peers[to][from] end
  end
  for i, order in ipairs(orders) do config[i] = ("{ %d, %d, %s }"):format(order[1], order[2], tostring(order[3])) end
  return core.new({ nodes = 1, devices = node.devices, devices_per_switch = node.devices_per_switch,
    memory_bytes = node.memory, link_rate = node.link_rate, switch_rate = node.switch_rate,
    copy_latency_ns = node.copy_latency_ms * MS, policy_name = "directed", policy_source = DIRECTED,
    policy_config = "{ " .. table.concat(config, ", ") .. " }", span_room = 0 }, rates)
end

local function add(simulation, model)
  local number = simulation:add_model { name = model.name, bytes = model.bytes, group_bytes = 0,
    run_ns = model.resident_ms * MS }
  return simulation:add_function { node = 0, model = number, slo_percentile = 0.98, slo_ns = 0 }
end

-- Functions called at that time, all at once, and what each took, ms.
local function call(simulation, functions, at_ms)
  local count, took = #functions, {}
  local times, indices = ffi.new("double[?]", count), ffi.new("uint32_t[?]", count)
  for i, index in ipairs(functions) do times[i - 1], indices[i - 1] = at_ms * MS, index end
  simulation:forget()
  simulation:run({ count = count, times = times, functions = indices }, (at_ms + 5000) * MS)
  for i, index in ipairs(functions) do took[i] = simulation:counts(index).mean_ns / MS end
  return unpack(took)
end

--- ms of a request of the model: swapped, resident, and from the device with the fastest link to the first.
function latency.alone(profile, model)
  local simulation = open(profile, { { 1, HOST }, { 1, RESIDENT }, { profile.node.devices, PEER, 1 } })
  local fn = add(simulation, model)
  local swapped = call(simulation, { fn }, 0)
  local resident = call(simulation, { fn }, 10000)
  local from_peer = call(simulation, { fn }, 20000)
  simulation:close()
  return swapped, resident, from_peer
end

--- ms of a request of the model that is swapped in while the device behind the same switch swaps in one `other` model
--- after the other.
function latency.beside(profile, model, other)
  local orders, functions = { { 1, HOST } }, {}
  for i = 2, 1 + NEIGHBOURS do orders[i] = { 2, HOST } end
  local simulation = open(profile, orders)
  for i = 1, 1 + NEIGHBOURS do functions[i] = add(simulation, i == 1 and model or other) end
  local took = call(simulation, functions, 0)
  simulation:close()
  return took
end

return latency
