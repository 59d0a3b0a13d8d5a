-- Where a job's models are, and the plainest answer to where it should run.
local place = {}

-- Bytes that a relay takes of a neighbour's memory, and that must be missing by default for it to be worth the trouble.
local RELAY_ROOM, RELAY_WORTH = 6 * 2 ^ 20, 16 * 2 ^ 20

-- True when all groups of the model are on the device or on their way.
function place.has(node, model, device)
  return node.groups(model, device) == model.group_count
end

-- The job's model number i, from 0: the node's view of it, so that no object is made for one that is passed on.
function place.model(node, job, i)
  return node.models[job.models[i].id] or job.models[i]
end

-- True when the device has all that the job needs.
function place.has_all(node, job, device)
  if job.model_count == 1 then return place.has(node, place.model(node, job, 0), device) end
  for i = 0, job.model_count - 1 do
    if not place.has(node, place.model(node, job, i), device) then return false end
  end
  return true
end

-- Bytes of the job's models.
function place.model_bytes(job)
  if job.model_count == 1 then return job.models[0].bytes end
  local total = 0
  for i = 0, job.model_count - 1 do total = total + job.models[i].bytes end
  return total
end

-- True when the device could hold so many bytes, or none of the node's could: there an error says so.
function place.can_hold(node, bytes, device)
  if bytes <= device.capacity then return true end
  local devices = node.devices
  for i = 1, #devices do
    if bytes <= devices[i].capacity then return false end
  end
  return true
end

function place.may_run(node, job, device)
  if device.idle ~= 1 then return false end
  if job.bound_device >= 0 then return job.bound_device == device.id end
  return place.can_hold(node, place.model_bytes(job), device)
end

-- How many waiting jobs are looked at when the first ones have no place, and those.
local DEPTH = 32
local upcoming = {}

local function search(waiting, choose, policy)
  for i = 1, waiting:first(DEPTH, upcoming) do
    local device, source, peer = choose(policy, upcoming[i])
    if device then return upcoming[i], device, source, peer end
  end
  return nil
end

-- The first waiting job for which choose(policy, job) names a device, taken out of the queue, and what it names. Mostly
-- that is the very first; where devices differ in size it may be too large for those that are idle.
function place.take_first(waiting, choose, policy)
  local job = waiting:peek()
  if not job then return nil end
  local device, source, peer = choose(policy, job)
  if not device then job, device, source, peer = search(waiting, choose, policy) end
  if not job then return nil end
  waiting:remove(job)
  return job, device, source, peer
end

-- When the job should be done: its own deadline or its function's objective, whichever is first; infinite without both.
function place.due(job)
  local due = job.deadline > 0 and job.deadline or math.huge
  local fn = job["function"]
  if fn ~= nil and fn.slo_ns > 0 then due = math.min(due, job.arrived_at + fn.slo_ns) end
  return due
end

local function run_ns_of_all(job)
  local total = 0
  for i = 0, job.model_count - 1 do total = total + job.models[i].run_ns end
  return total
end

-- ns that the job's models run; as measured, so 0 before that. A job that serves several requests runs one model on
-- all of their rows. Most jobs have one model: without a loop, LuaJIT compiles that with whoever asks.
function place.run_ns(job)
  if job.model_count ~= 1 then return run_ns_of_all(job) end
  local model = job.models[0]
  return model.run_ns + (job.rows - 1) * model.row_ns
end

-- ns that the whole model takes from the host to the device: as measured, else by the rate of the link.
function place.load_ns(model, device)
  if model.load_ns > 0 then return model.load_ns end
  if device.link_rate > 0 then return model.bytes / device.link_rate * 1e9 end
  return 0
end

-- Part of the model, 0 to 1, that the device lacks.
function place.missing(node, model, device)
  if model.group_count == 0 then return 0 end
  return 1 - node.groups(model, device) / model.group_count
end

-- Bytes of the job's models that the device lacks.
function place.missing_bytes(node, job, device)
  local total = 0
  for i = 0, job.model_count - 1 do
    total = total + place.missing(node, job.models[i], device) * job.models[i].bytes
  end
  return total
end

-- The device with the fastest link to this one of those where all of the model has arrived; nil when there is none.
function place.peer_with(node, model, device)
  if device.peer_rate == 0 then return nil end
  local best, best_rate = nil, 0
  local devices = node.devices
  for i = 1, #devices do
    local peer = devices[i]
    if peer.id ~= device.id and node.arrived(model, peer) == model.group_count then
      local rate = node.peer_rate(device, peer)
      if rate > best_rate then best, best_rate = peer, rate end
    end
  end
  return best
end

-- An idle neighbour whose link to the host brings part of what the device lacks: a peer on another switch.
function place.neighbour(node, device)
  if device.peer_rate == 0 then return nil end
  local devices = node.devices
  for i = 1, #devices do
    local neighbour = devices[i]
    if neighbour.id ~= device.id and neighbour.idle == 1 and neighbour.loading == 0
      and (neighbour.switch_id < 0 or neighbour.switch_id ~= device.switch_id)
      and neighbour.free_bytes >= RELAY_ROOM and node.peer_rate(device, neighbour) > 0 then
      return neighbour
    end
  end
end

-- Where the job's models come from to the device: nothing missing, or a peer and the host at once, or the host, over a
-- neighbour's link too where that is idle and there is much to bring (worth: so many bytes; false: never).
function place.source(node, job, device, worth)
  local is_complete = true
  for i = 0, job.model_count - 1 do
    local model = place.model(node, job, i)
    if not place.has(node, model, device) then
      local peer = place.peer_with(node, model, device)
      if peer then return node.BOTH, peer end
      is_complete = false
    end
  end
  if is_complete then return node.RESIDENT end
  if worth == nil then worth = RELAY_WORTH end
  local neighbour = worth and place.missing_bytes(node, job, device) >= worth and place.neighbour(node, device)
  if neighbour then return node.RELAY, neighbour end
  return node.HOST
end

-- An idle device that has the job's models; else the idle device with the most free memory, and where to load from
-- (worth: as for place.source).
function place.first_fit(node, job, worth)
  local best
  local devices = node.devices
  for i = 1, #devices do
    local device = devices[i]
    if place.may_run(node, job, device) then
      if place.has_all(node, job, device) then return device, node.RESIDENT end
      if not best or device.free_bytes > best.free_bytes then best = device end
    end
  end
  if not best then return nil end
  return best, place.source(node, job, best, worth)
end

-- Any idle device of the node that the job may run on, each as likely as the others; nil when there is none.
function place.any(node, job)
  local chosen, seen = nil, 0
  local devices = node.devices
  for i = 1, #devices do
    if place.may_run(node, job, devices[i]) then
      seen = seen + 1
      if math.random(seen) == 1 then chosen = devices[i] end
    end
  end
  return chosen
end

return place
