--- What `tidepool top` shows of figures (tidepool.cli.figures): lines that fit the width, and the height.
local output = require "tidepool.cli.output"

-- Columns of a name at least, and lines of a table at least when the height is short.
local NAME_MIN, ROWS_MIN = 14, 3

local frame = {}

local function fit(text, width)
  if #text > width then return text:sub(1, width - 1) .. "~" end
  return text .. (" "):rep(width - #text)
end

local function right(text, width)
  return #text >= width and text:sub(1, width) or (" "):rep(width - #text) .. text
end

local function rate(value) return (value < 10 and "%.1f" or "%.0f"):format(value) end

local function milliseconds(value)
  if value == 0 then return "-" end
  return (value < 10 and "%.2f" or value < 1000 and "%.1f" or "%.0f"):format(value)
end

local function duration(microseconds)
  if microseconds == 0 then return "-" end
  -- ASCII only: widths are counted in bytes.
  return (output.duration(microseconds):gsub("µ", "u"))
end

-- "[||||      45 %]" in so many columns.
local function bar(share, label, width)
  local cells = width - 2
  local filled = math.floor(math.max(0, math.min(1, share)) * cells + 0.5)
  local strokes = ("|"):rep(filled) .. (" "):rep(cells - filled)
  label = label:sub(1, cells)
  return "[" .. strokes:sub(1, cells - #label) .. label .. "]"
end

local function header(figures, order, width)
  local node = figures.node
  return {
    (("tidepool %s, up %s, policy %s, last %.1f s, functions by %s"):format(node.version,
      duration(node.uptime_ms * 1000), node.policy, figures.seconds, order):sub(1, width)),
    (("%s requests/s, %s errors/s, %s refused/s; %d under way, %s, %s"):format(
      rate(figures.requests_per_s), rate(figures.errors_per_s), rate(figures.refused_per_s),
      node.requests_under_way, output.count(node.jobs, "job"), output.count(node.workers.running, "worker"))
      :sub(1, width)),
  }
end

-- Columns left over beside the bars go to them; below 96 the rarer rates are left out.
local function device_lines(devices, width)
  local counts = { { "JOBS/S", "jobs_per_s" } }
  if width >= 96 then
    for _, each in ipairs { { "LOADS/S", "loads_per_s" }, { "EVICT/S", "evictions_per_s" } } do
      counts[#counts + 1] = each
    end
  end
  local each_bar = math.floor((width - 17 - 7 - 9 * #counts - 3) / 3)
  local title = ("%-6s %-4s %-5s "):format("DEVICE", "KIND", "STATE")
  for _, name in ipairs { "BUSY", "COPYING", "MEMORY" } do title = title .. fit(name, each_bar) .. " " end
  title = title .. right("IDLE", 6)
  for _, count in ipairs(counts) do title = title .. right(count[1], 9) end
  local lines = { title }
  for _, device in ipairs(devices) do
    local line = ("%6d %-4s %-5s %s %s %s %s"):format(device.id, device.kind, device.state,
      bar(device.busy_percent / 100, (" %.0f %%"):format(device.busy_percent), each_bar),
      bar(device.copying_percent / 100, (" %.0f %%"):format(device.copying_percent), each_bar),
      bar(device.used_bytes / math.max(1, device.memory_bytes), " " .. output.bytes(device.used_bytes), each_bar),
      right(("%.0f %%"):format(device.idle_percent), 6))
    for _, count in ipairs(counts) do line = line .. right(rate(device[count[2]]), 9) end
    lines[#lines + 1] = line
  end
  return lines
end

local function objective(each)
  return each.slo_ms > 0 and ("%g%% %gms"):format(each.slo_percentile, each.slo_ms) or "-"
end

local function in_time(each)
  if each.slo_ms == 0 or each.requests == 0 then return "-" end
  return ("%.1f%%%s"):format(each.in_time_percent, each.complies and " " or "!")
end

-- { title, width, cell(element) }; what comes late is left out first where the width is short.
local function_columns = {
  { "REQ/S", 7, function(each) return rate(each.requests_per_s) end },
  { "REQUESTS", 9, function(each) return ("%d"):format(each.requests) end },
  { "P50 MS", 7, function(each) return milliseconds(each.p50_ms) end },
  { "P98 MS", 7, function(each) return milliseconds(each.p98_ms) end },
  { "IN TIME", 8, in_time },
  { "OBJECTIVE", 12, objective },
  { "REFUSED", 8, function(each) return ("%d"):format(each.refused) end },
  { "ERRORS", 7, function(each) return ("%d"):format(each.errors) end },
  { "P99 MS", 7, function(each) return milliseconds(each.p99_ms) end },
  { "WORKERS", 8, function(each) return each.handler and ("%d"):format(each.workers) or "none" end },
}

-- "0:all 1:3/12" of the devices that hold some; where nothing does, the nearest that it is.
local function where(model)
  local places, nearest = {}, "disk"
  for index, device in ipairs(model.devices) do
    if device.state == "failed" then
      places[#places + 1] = ("%d:failed"):format(index - 1)
    elseif device.groups > 0 then
      local whole = device.state == "resident" and "all" or ("%d/%d"):format(device.groups, model.groups)
      places[#places + 1] = ("%d:%s"):format(index - 1, whole)
    elseif device.state ~= "disk" then
      nearest = device.state
    end
  end
  return #places > 0 and table.concat(places, " ") or nearest
end

local model_columns = {
  { "BYTES", 10, function(each) return output.bytes(each.bytes) end },
  { "RUN", 9, function(each) return duration(each.run_us) end },
  { "LOAD", 9, function(each) return duration(each.load_us) end },
  { "RUNS/S", 7, function(each) return rate(each.runs_per_s) end },
  { "JOBS", 5, function(each) return ("%d"):format(each.jobs) end },
  { "WHERE", 16, where },
  { "PREFIX", 8, function(each) return ("%d/%d"):format(each.prefix_groups, each.groups) end },
  { "PREFIX LOAD", 12, function(each) return duration(each.prefix_us) end },
}

-- At most `rows` of the list; the last line says how many more there are.
local function table_lines(name, list, columns, width, rows)
  local used, shown = NAME_MIN, {}
  for _, column in ipairs(columns) do
    if used + column[2] + 1 > width then break end
    used, shown[#shown + 1] = used + column[2] + 1, column
  end
  local name_width = width - used + NAME_MIN
  local title = fit(name, name_width)
  for _, column in ipairs(shown) do title = title .. " " .. right(column[1], column[2]) end
  local lines, count = { title }, #list > rows and rows - 1 or #list
  for index = 1, count do
    local line = fit(list[index].name, name_width)
    for _, column in ipairs(shown) do line = line .. " " .. right(column[3](list[index]), column[2]) end
    lines[#lines + 1] = line
  end
  if count < #list then lines[#lines + 1] = ("and %d more"):format(#list - count) end
  return lines
end

-- Rows for functions and for models in what the height leaves: half each, and what one does not need is the other's.
local function share_rows(left, functions, models)
  local half = math.max(ROWS_MIN, math.floor(left / 2))
  local for_functions = math.max(half, left - models)
  local for_models = math.max(ROWS_MIN, left - math.min(functions, for_functions))
  return for_functions, for_models
end

--- Lines of figures that are sorted already, and a set of the numbers of those that are headings. rows: math.huge for
--- no bound; below a dozen or so the end is cut.
function frame.lines(figures, order, width, rows)
  local lines, headings = header(figures, order, width), {}
  local function add(more)
    lines[#lines + 1] = ""
    headings[#lines + 1] = true
    for _, line in ipairs(more) do lines[#lines + 1] = line end
  end
  add(device_lines(figures.devices, width))
  local left = rows == math.huge and rows or rows - #lines - 4
  local for_functions, for_models = share_rows(left, #figures.functions, #figures.models)
  add(table_lines("FUNCTION", figures.functions, function_columns, width, for_functions))
  add(table_lines("MODEL", figures.models, model_columns, width, for_models))
  while #lines > rows do lines[#lines] = nil end
  return lines, headings
end

return frame
