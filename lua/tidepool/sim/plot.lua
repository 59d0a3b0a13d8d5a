--- Plots of simulated runs as SVG, and pages of them.
local plot = {}

local COLOURS = { "#1f6fb4", "#d1495b", "#3a7d44", "#8a5fb0", "#c77d1e", "#4a9c9c", "#7a6a58" }
-- What ran where: resident, from the host, from a peer.
local SOURCES = { [0] = "#3a7d44", "#d1495b", "#c77d1e" }
local WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 300, 56, 40, 16, 150

local function escape(text)
  return (tostring(text):gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

-- Ticks at round numbers, about five.
local function ticks(low, high)
  local step = 10 ^ math.floor(math.log10(math.max(high - low, 1e-9) / 5))
  for _, factor in ipairs { 2, 2.5, 2 } do
    if (high - low) / step > 7 then step = step * factor end
  end
  local list = {}
  for value = math.ceil(low / step) * step, high + step / 1e6, step do list[#list + 1] = value end
  return list
end

local function frame(title, body, height)
  return ('<figure><figcaption>%s</figcaption><svg viewBox="0 0 %d %d" width="%d" font-family="sans-serif"'
    .. ' font-size="11">%s</svg></figure>'):format(escape(title), WIDTH, height, WIDTH, body)
end

--- Lines: list of {name, points = {{x, y}, …}}. axes: {x, y (texts), low and high of y or nil}.
function plot.lines(title, axes, lines)
  local low_x, high_x, low_y, high_y = math.huge, -math.huge, axes.low or math.huge, axes.high or -math.huge
  for _, line in ipairs(lines) do
    for _, point in ipairs(line.points) do
      low_x, high_x = math.min(low_x, point[1]), math.max(high_x, point[1])
      low_y, high_y = math.min(low_y, point[2]), math.max(high_y, point[2])
    end
  end
  if high_x == low_x then high_x = low_x + 1 end
  if high_y == low_y then high_y = low_y + 1 end
  local function x_of(x) return LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT) end
  local function y_of(y) return HEIGHT - BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - BOTTOM - TOP) end
  local out = {}
  for _, x in ipairs(ticks(low_x, high_x)) do
    out[#out + 1] = ('<text x="%.1f" y="%d" text-anchor="middle">%g</text>'):format(x_of(x), HEIGHT - BOTTOM + 16, x)
  end
  for _, y in ipairs(ticks(low_y, high_y)) do
    out[#out + 1] = ('<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>')
      :format(LEFT, y_of(y), WIDTH - RIGHT, LEFT - 6, y_of(y) + 4, y)
  end
  for index, line in ipairs(lines) do
    local colour, path = COLOURS[(index - 1) % #COLOURS + 1], {}
    for i, point in ipairs(line.points) do
      path[i] = ("%s%.1f %.1f"):format(i == 1 and "M" or "L", x_of(point[1]), y_of(point[2]))
    end
    out[#out + 1] = ('<path d="%s" fill="none" stroke="%s" stroke-width="2"/>'):format(table.concat(path), colour)
    out[#out + 1] = ('<text x="%d" y="%d" fill="%s">%s</text>')
      :format(WIDTH - RIGHT + 8, TOP + 14 * index, colour, escape(line.name))
  end
  out[#out + 1] = ('<text x="%d" y="%d" text-anchor="middle">%s</text><text x="4" y="12">%s</text>')
    :format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, escape(axes.x), escape(axes.y))
  return frame(title, table.concat(out), HEIGHT)
end

-- Share of compliant functions over their number, a line a policy.
local function compliance(runs)
  local lines, by_policy = {}, {}
  for _, run in ipairs(runs) do
    local line = by_policy[run.result.policy]
    if not line then
      line = { name = run.result.policy, points = {} }
      by_policy[run.result.policy], lines[#lines + 1] = line, line
    end
    line.points[#line.points + 1] = { run.result.functions, 100 * run.result.share }
  end
  for _, line in ipairs(lines) do table.sort(line.points, function(a, b) return a[1] < b[1] end) end
  return plot.lines("Functions that comply", { x = "functions", y = "%", low = 0, high = 100 }, lines)
end

-- Per function p98, as a distribution over the functions, a line a run.
local function latencies(runs)
  local lines = {}
  for _, run in ipairs(runs) do
    local values, points = {}, {}
    for i, each in ipairs(run.functions) do values[i] = each.p98_ms end
    table.sort(values)
    for i, value in ipairs(values) do points[i] = { math.min(value, 500), 100 * i / #values } end
    lines[#lines + 1] = { name = ("%s, %d"):format(run.result.policy, run.result.functions), points = points }
  end
  return plot.lines("98th percentiles of the functions",
    { x = "ms (more than 500 at 500)", y = "% of functions", low = 0, high = 100 }, lines)
end

-- The first seconds of the devices: green runs of what was there, red with a load from the host, yellow from a peer.
local function timeline(run)
  local spans, lanes, count = run.spans, {}, 0
  local lane_height, seconds, from = 18, 3, spans[1].from_ms
  local out = {}
  for _, span in ipairs(spans) do
    if span.from_ms >= from + seconds * 1000 then break end
    local key = span.node .. "." .. span.device
    if not lanes[key] then
      count = count + 1
      lanes[key] = count
      out[#out + 1] = ('<text x="4" y="%d">%s</text>'):format(count * lane_height - 4, key)
    end
    local scale = (WIDTH - LEFT - 8) / (seconds * 1000)
    out[#out + 1] = ('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"><title>f%d</title></rect>')
      :format(LEFT + (span.from_ms - from) * scale, (lanes[key] - 1) * lane_height + 2,
        math.max((span.to_ms - span.from_ms) * scale, 0.5), lane_height - 4, SOURCES[span.source], span["function"])
  end
  return frame(("What ran where, %d s: %s, %d functions"):format(seconds, run.result.policy, run.result.functions),
    table.concat(out), count * lane_height + 8)
end

--- A page: title, and a list of HTML fragments.
function plot.page(title, parts)
  return ('<!doctype html><meta charset="utf-8"><title>%s</title><style>body{font:14px sans-serif;margin:2em auto;'
    .. 'max-width:60em}td,th{padding:.2em .8em;text-align:right}td:first-child,th:first-child{text-align:left}'
    .. '</style><h1>%s</h1>%s\n'):format(escape(title), escape(title), table.concat(parts, "\n"))
end

--- Write the plots of runs ({result, functions, spans}, as tidepool.sim.run gives them) to an HTML file.
function plot.write(path, runs)
  local parts = { compliance(runs), latencies(runs) }
  for _, run in ipairs(runs) do
    if run.spans[1] then parts[#parts + 1] = timeline(run) end
  end
  local file, message = io.open(path, "w")
  if not file then error(message, 0) end
  file:write(plot.page("Simulated nodes", parts))
  file:close()
end

plot.escape = escape

return plot
