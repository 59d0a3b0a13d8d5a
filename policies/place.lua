-- Where a job's models are, and the plainest answer to where it should run.
local place = {}

-- True when all groups of the model are on the device or on their way.
function place.has(node, model, device)
  return node.residency(model, device).groups == model.group_count
end

-- True when the device has all that the job needs.
function place.has_all(node, job, device)
  for i = 0, job.model_count - 1 do
    if not place.has(node, job.models[i], device) then return false end
  end
  return true
end

function place.may_run(job, device)
  return device.idle == 1 and (job.bound_device < 0 or job.bound_device == device.id)
end

-- An idle device that has the job's models; else the idle device with the most free memory, and the host to load from.
function place.first_fit(node, job)
  local best
  local devices = node.devices
  for i = 1, #devices do
    local device = devices[i]
    if place.may_run(job, device) then
      if place.has_all(node, job, device) then return device, node.RESIDENT end
      if not best or device.free_bytes > best.free_bytes then best = device end
    end
  end
  return best, node.HOST
end

return place
