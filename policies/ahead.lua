-- Look-ahead: what to bring to a device that is busy, so that the job that runs there next finds its model, or a part
-- of it, when it starts; and which models on a device will be wanted soonest.
local place = require "place"

local ahead = {}

-- How far down the queue to look.
local DEPTH = 8
-- Later than all times.
local AFTER_ALL_TIMES = 2 ^ 60
-- Doubles of that size are no nearer to each other than this.
local STEP = 2 ^ 20

local upcoming = {}
-- Models of the first jobs that wait for the device, by id: how soon, more for sooner.
local soon = {}
local resident = {}

-- Busy devices that are expected to be free before this one. Those that run for an unknown time come by id.
local function rank_of(node, device)
  local rank = 0
  local devices = node.devices
  for i = 1, #devices do
    local other = devices[i]
    if other.idle == 0 and (other.busy_until < device.busy_until
      or other.busy_until == device.busy_until and other.id < device.id) then
      rank = rank + 1
    end
  end
  return rank
end

-- True when another device has all that the job needs: it will run there.
local function is_elsewhere(node, job, device)
  local devices = node.devices
  for i = 1, #devices do
    if devices[i].id ~= device.id and place.has_all(node, job, devices[i]) then return true end
  end
  return false
end

local function first_missing(node, job, device)
  for i = 0, job.model_count - 1 do
    local model = job.models[i]
    if not place.has(node, model, device) then return model end
  end
  return nil
end

-- Note the models of the first `count` upcoming jobs.
local function note_soon(count)
  for id in pairs(soon) do soon[id] = nil end
  for i = count, 1, -1 do
    local job = upcoming[i]
    for m = 0, job.model_count - 1 do soon[job.models[m].id] = count - i + 1 end
  end
end

-- True when the rest of the model fits on the device without a part of what the first `count` upcoming jobs need.
local function fits_beside(node, model, device, count)
  local room = device.free_bytes - place.missing(node, model, device) * model.bytes
  note_soon(count)
  for i = 1, room < 0 and node.resident(device, resident) or 0 do
    local other = resident[i]
    local there = node.residency(other, device)
    if not soon[other.id] and there.groups > 0 then
      room = room + there.bytes * (1 - there.pinned / there.groups)
    end
  end
  return room >= 0
end

-- The model that the device lacks of the first waiting job that will probably run there: jobs that lack something go,
-- in the order of the queue, to the devices that are free first. What other upcoming jobs need does not go for it,
-- unless the very next job needs it and runs longer than it copies: then such copies hide too. nil when there is none.
function ahead.pick(node, waiting, device)
  local rank = rank_of(node, device)
  local count = waiting:upcoming(device, DEPTH, upcoming)
  for i = 1, count do
    local job = upcoming[i]
    local bound = job.bound_device >= 0
    if bound or not is_elsewhere(node, job, device) then
      local model = first_missing(node, job, device)
      if model and (bound or rank == 0) then
        local hides = i == 1 and place.load_ns(model, device) <= model.run_ns
        return (hides or fits_beside(node, model, device, hides and i or count)) and model or nil
      end
      if not bound then rank = math.max(0, rank - 1) end
    end
  end
  return nil
end

-- What a model is worth that is on a device: more the sooner a waiting job needs it, else the later it was used.
local function worth(model)
  local place_in_queue = soon[model.id]
  if place_in_queue then return 2 * AFTER_ALL_TIMES + place_in_queue * STEP end
  return model.jobs > 0 and model.used_at + AFTER_ALL_TIMES or model.used_at
end

-- A score for lru:evict, good for one call of it.
function ahead.worth(waiting, device)
  note_soon(waiting:upcoming(device, DEPTH, upcoming))
  return worth
end

return ahead
