--- Charts as SVG: lines, bars, and lanes of time. Colours and text follow the page's (tidepool.sim.page).
local chart = {}

local WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 320, 52, 44, 18, 172
local LANE, LANE_GAP = 20, 4

-- Colours of the page by name, with what they are where there is no page.
local COLOURS = { blue = "#1f6fb4", red = "#c8434f", green = "#3a7d44", grey = "#8a8f98", orange = "#c2741a",
  violet = "#7d55a8", teal = "#2f8f8f" }
local ORDER = { "blue", "red", "green", "orange", "violet", "teal", "grey" }

function chart.escape(text)
  return (tostring(text):gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

local escape = chart.escape

local function colour_of(series, index)
  return COLOURS[series.colour or ORDER[(index - 1) % #ORDER + 1]]
end

-- Round numbers between low and high, about five.
local function ticks(low, high)
  local step = 10 ^ math.floor(math.log10(math.max(high - low, 1e-9) / 5))
  for _, factor in ipairs { 2, 2.5, 2 } do
    if (high - low) / step > 7 then step = step * factor end
  end
  local list = {}
  for value = math.ceil(low / step) * step, high + step / 1e6, step do list[#list + 1] = value end
  return list
end

local function svg(title, height, parts)
  return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" role="img" aria-label="%s"'
    .. ' font-family="system-ui,sans-serif" font-size="12" fill="#6b7280">%s</svg>')
    :format(WIDTH, height, WIDTH, escape(title), table.concat(parts))
end

-- Where the values of the axes lie: x_of(x), y_of(y). low and high of both.
local function scales(low_x, high_x, low_y, high_y)
  if high_x <= low_x then high_x = low_x + 1 end
  if high_y <= low_y then high_y = low_y + 1 end
  return function(x) return LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT) end,
    function(y) return HEIGHT - BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - BOTTOM - TOP) end, high_x, high_y
end

local function text_at(x, y, anchor, text)
  return ('<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>'):format(x, y, anchor, escape(text))
end

local function add_rules(out, y_of, low, high)
  for _, y in ipairs(ticks(low, high)) do
    out[#out + 1] = ('<path d="M%d %.1fH%d" stroke="#9ca3af" stroke-opacity=".3"/>')
      :format(LEFT, y_of(y), WIDTH - RIGHT)
    out[#out + 1] = text_at(LEFT - 8, y_of(y) + 4, "end", ("%g"):format(y))
  end
end

local function add_titles(out, axes)
  out[#out + 1] = text_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "middle", axes.x)
  out[#out + 1] = text_at(4, 12, "start", axes.y)
end

local function add_key(out, series, index, dash)
  local y = TOP + 20 * index
  local colour = colour_of(series, index)
  out[#out + 1] = ('<path d="M%d %dh22" stroke="%s" stroke-width="2.5"%s/>')
    :format(WIDTH - RIGHT + 14, y - 4, colour, dash)
  out[#out + 1] = ('<text x="%d" y="%d" fill="%s">%s</text>'):format(WIDTH - RIGHT + 42, y, colour, escape(series.name))
end

-- The line and, where points are few, a dot for each that says what it is.
local function add_line(out, line, index, x_of, y_of)
  local colour, path = colour_of(line, index), {}
  local dash = line.dashed and ' stroke-dasharray="6 4"' or ""
  for i, point in ipairs(line.points) do
    path[i] = ("%s%.1f %.1f"):format(i == 1 and "M" or "L", x_of(point[1]), y_of(point[2]))
  end
  if #path == 0 then return end
  out[#out + 1] = ('<path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"%s/>')
    :format(table.concat(path), colour, dash)
  for _, point in ipairs(#path <= 16 and line.points or {}) do
    out[#out + 1] = ('<circle cx="%.1f" cy="%.1f" r="3.2" fill="%s"><title>%s: %g, %.4g</title></circle>')
      :format(x_of(point[1]), y_of(point[2]), colour, escape(line.name), point[1], point[2])
  end
  add_key(out, line, index, dash)
end

local function bounds(lines, axes)
  local low_x, high_x, low_y, high_y = math.huge, -math.huge, axes.low or math.huge, axes.high or -math.huge
  for _, line in ipairs(lines) do
    for _, point in ipairs(line.points) do
      low_x, high_x = math.min(low_x, point[1]), math.max(high_x, point[1])
      low_y, high_y = math.min(low_y, point[2]), math.max(high_y, point[2])
    end
  end
  if high_x < low_x then low_x, high_x = 0, 1 end
  if high_y < low_y then low_y, high_y = 0, 1 end
  return low_x, high_x, low_y, high_y
end

--- Lines: a list of {name, points = {{x, y}, …}, colour (a name) or nil, dashed}. axes: {x, y (texts), low and high of
--- y or nil, mark (a y that matters, with a rule of its own) or nil}.
function chart.lines(title, axes, lines)
  local low_x, high_x, low_y, high_y = bounds(lines, axes)
  local x_of, y_of
  x_of, y_of, high_x, high_y = scales(low_x, high_x, low_y, high_y)
  local out = {}
  add_rules(out, y_of, low_y, high_y)
  for _, x in ipairs(ticks(low_x, high_x)) do
    out[#out + 1] = text_at(x_of(x), HEIGHT - BOTTOM + 18, "middle", ("%g"):format(x))
  end
  if axes.mark then
    out[#out + 1] = ('<path d="M%d %.1fH%d" stroke="#6b7280" stroke-dasharray="2 3"/>'):format(LEFT, y_of(axes.mark),
      WIDTH - RIGHT)
  end
  for index, line in ipairs(lines) do add_line(out, line, index, x_of, y_of) end
  add_titles(out, axes)
  return svg(title, HEIGHT, out)
end

--- Groups of bars: names of the groups, and a list of {name, values (one a group), colour or nil}.
function chart.bars(title, axes, groups, series)
  local high = 0
  for _, each in ipairs(series) do
    for i = 1, #groups do high = math.max(high, each.values[i] or 0) end
  end
  local _, y_of, _, top = scales(0, 1, 0, high * 1.05)
  local slot, out = (WIDTH - LEFT - RIGHT) / #groups, {}
  local wide = slot * 0.8 / #series
  add_rules(out, y_of, 0, top)
  for i, name in ipairs(groups) do
    local from = LEFT + (i - 0.9) * slot
    out[#out + 1] = text_at(LEFT + (i - 0.5) * slot, HEIGHT - BOTTOM + 14 + (i % 2) * 13, "middle", name)
    for k, each in ipairs(series) do
      local value = each.values[i] or 0
      out[#out + 1] = ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s, %s: %.4g</title>'
        .. '</rect>')
        :format(from + (k - 1) * wide, y_of(value), wide - 1, y_of(0) - y_of(value), colour_of(each, k), escape(name),
          escape(each.name), value)
    end
  end
  for k, each in ipairs(series) do add_key(out, each, k, "") end
  out[#out + 1] = text_at(4, 12, "start", axes.y)
  return svg(title, HEIGHT, out)
end

--- Lanes of time: a list of {name, pieces = {{from, to, colour, text}, …}} in ms from 0 to `span`, and what the colours
--- mean: {{colour, text}, …}.
function chart.lanes(title, span, lanes, key)
  local out, scale = {}, (WIDTH - LEFT - 8) / span
  local bottom = #lanes * LANE
  for i, lane in ipairs(lanes) do
    out[#out + 1] = text_at(LEFT - 8, i * LANE - 6, "end", lane.name)
    for _, piece in ipairs(lane.pieces) do
      out[#out + 1] = ('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"><title>%s</title></rect>')
        :format(LEFT + piece[1] * scale, (i - 1) * LANE + LANE_GAP / 2,
          math.max((piece[2] - piece[1]) * scale - 0.4, 0.4), LANE - LANE_GAP, COLOURS[piece[3]], escape(piece[4]))
    end
  end
  for _, ms in ipairs(ticks(0, span)) do
    out[#out + 1] = text_at(LEFT + ms * scale, bottom + 16, ms + 1 > span and "end" or "middle", ("%g ms"):format(ms))
  end
  for i, each in ipairs(key) do
    local x = LEFT + (i - 1) * 190
    out[#out + 1] = ('<rect x="%d" y="%d" width="12" height="12" fill="%s"/>'):format(x, bottom + 26, COLOURS[each[1]])
    out[#out + 1] = text_at(x + 18, bottom + 36, "start", each[2])
  end
  return svg(title, bottom + 44, out)
end

return chart
