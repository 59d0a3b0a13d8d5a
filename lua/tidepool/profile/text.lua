--- A measured profile as the Lua file that `tidepool sim --profile` reads.
local text = {}

local HEAD = [[
-- Measured by `tidepool profile` on %s: %d device(s) "%s", %d samples each. Times in ms, rates in bytes/s.
--
-- resident_ms is a run with the model on the device, batch_ms one of several rows, load_ms the copy of all of it from
-- the host, swapped_ms a run that waits for that copy: to be held against what the simulator makes of the others.
-- request_ms is what a request costs around its run, at its client. contention is by what factor runs take longer with
-- all devices running, and beside copies to all others; the simulator takes both for 1. The deadlines are a choice:
-- %d times a swapped run.
]]

local function number(value)
  if value % 1 == 0 then return ("%.0f"):format(value) end
  return ("%.6g"):format(value)
end

local function list_of(map)
  local keys, parts = {}, {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do parts[i] = ("[%d] = %s"):format(key, number(map[key])) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function put(lines, key, value, indent)
  if value ~= nil then lines[#lines + 1] = ("%s%s = %s,"):format(indent, key, value) end
end

local function put_numbers(lines, keys, from, indent)
  for _, key in ipairs(keys) do put(lines, key, from[key] and number(from[key]), indent) end
end

local function put_node(lines, node)
  lines[#lines + 1] = "  node = {"
  put_numbers(lines, { "devices", "devices_per_switch", "memory", "link_rate", "switch_rate", "copy_latency_ms" }, node,
    "    ")
  if node.peers then
    lines[#lines + 1] = "    -- [to][from]\n    peers = {"
    for _, row in ipairs(node.peers) do
      local rates = {}
      for i, rate in ipairs(row) do rates[i] = number(math.floor(rate)) end
      lines[#lines + 1] = "      { " .. table.concat(rates, ", ") .. " },"
    end
    lines[#lines + 1] = "    },"
  end
  lines[#lines + 1] = "  },"
end

local function put_models(lines, models)
  lines[#lines + 1] = "  models = {"
  for _, model in ipairs(models) do
    lines[#lines + 1] = "    {"
    put(lines, "name", ("%q"):format(model.name), "      ")
    put_numbers(lines, { "bytes", "group_bytes", "resident_ms", "swapped_ms", "load_ms", "deadline_ms" }, model,
      "      ")
    if next(model.batch_ms) then put(lines, "batch_ms", list_of(model.batch_ms), "      ") end
    lines[#lines + 1] = "    },"
  end
  lines[#lines + 1] = "  },"
end

-- Deadlines, in swapped runs.
local SLACK = 4

--- Fill in what a profile needs beside what was measured: its name, and objectives.
function text.complete(profile, name)
  local longest = 0
  for _, model in ipairs(profile.models) do
    model.deadline_ms = math.ceil(SLACK * math.max(model.swapped_ms, model.resident_ms))
    longest = math.max(longest, model.deadline_ms)
  end
  profile.name, profile.percentile, profile.deadline_ms = name, 0.98, longest
  return profile
end

--- what: {date, device (its name), samples}.
function text.of(profile, what)
  local lines = { HEAD:format(what.date, profile.node.devices, what.device, what.samples, SLACK) .. "return {" }
  put(lines, "name", ("%q"):format(profile.name), "  ")
  put_node(lines, profile.node)
  put_numbers(lines, { "request_ms", "deadline_ms", "percentile" }, profile, "  ")
  if profile.contention then
    put(lines, "contention", ("{ run = %s, copy = %s }"):format(number(profile.contention.run),
      number(profile.contention.copy)), "  ")
  end
  put_models(lines, profile.models)
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n") .. "\n"
end

return text
