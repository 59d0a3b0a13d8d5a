local output = require "tidepool.cli.output"
local session = require "tidepool.cli.session"

-- The stages of the path, in order.
local stages = { "accept", "decode", "admit", "handle", "schedule", "swap", "execute", "reply" }

local function devices(list)
  local rows = {}
  for index, each in ipairs(list) do
    rows[index] = { each.id, each.kind, each.name, each.state, output.bytes(each.memory_bytes),
      output.bytes(each.used_bytes), each.jobs, output.duration(each.busy_us) }
  end
  return output.rows({ "DEVICE", "KIND", "NAME", "STATE", "MEMORY", "USED", "JOBS", "BUSY" }, rows)
end

local function path(hops)
  local rows = {}
  for _, stage in ipairs(stages) do
    local hop = hops[stage]
    if hop then
      rows[#rows + 1] = { stage, hop.count, output.duration(hop.mean_us), output.duration(hop.p50_us),
        output.duration(hop.p99_us) }
    end
  end
  return output.rows({ "STAGE", "COUNT", "MEAN", "P50", "P99" }, rows)
end

-- "3 running, 17 started; violations: 2 timeout, 1 memory; long ones leave a processor to the others"
local function workers(figures)
  local broken = {}
  for kind, count in pairs(figures.violations) do
    if count > 0 then broken[#broken + 1] = ("%d %s"):format(count, kind) end
  end
  table.sort(broken)
  return ("workers: %d running, %d started; violations: %s%s"):format(figures.running, figures.started,
    #broken > 0 and table.concat(broken, ", ") or "none",
    figures.apart and "; long ones leave a processor to the others" or "")
end

-- "images: 1.2 MiB of 2.9 GiB in host memory; 3 on disk, 4.6 MiB of 64.0 GiB"
local function images(store, cache)
  return ("images: %s of %s in host memory; %d on disk, %s of %s"):format(output.bytes(store.used_bytes),
    output.bytes(store.budget_bytes), cache.images, output.bytes(cache.used_bytes), output.bytes(cache.budget_bytes))
end

-- "batches: 812 ran as 3 programs, 4 call by call"
local function batches(figures)
  return ("batches: %d ran as %d programs, %d call by call"):format(figures.hits, figures.programs, figures.misses)
end

local function to_text(status)
  return table.concat({
    ("tidepool %s, process %d, up %s, policy %s"):format(status.version, status.pid,
      output.duration(status.uptime_ms * 1000), status.policy),
    ("%s, %s, %s; %s, %s, %d under way"):format(output.count(status.functions, "function"),
      output.count(status.models, "model"), output.count(status.connections, "connection"),
      output.count(status.requests, "request"), output.count(status.errors, "error"), status.requests_under_way),
    workers(status.workers),
    images(status.store, status.cache),
    batches(status.fusion),
    "isolation: " .. tostring(status.isolation),
    "",
    devices(status.devices),
    "",
    path(status.path),
  }, "\n")
end

return {
  summary = "Show what the node is doing: devices, memory, counts, latency.",
  examples = { "tidepool status", "tidepool status --json" },
  options = session.options,
  run = function(options)
    return session.call(options, "node.status", {}), to_text
  end,
}
