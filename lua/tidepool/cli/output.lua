--- What commands print.
local json = require "tidepool.json"
local values = require "tidepool.cli.values"

-- Elements of a list of numbers that are shown.
local FLAT_MAX = 16

local output = {}

--- One JSON value on a line of standard output.
function output.json(value)
  io.stdout:write(assert(json.encode(values.to_json(value))), "\n")
end

function output.text(text)
  if text == "" then return end
  io.stdout:write(text, text:sub(-1) == "\n" and "" or "\n")
end

--- Rows under a heading, columns aligned: the first to the left, numbers to the right.
function output.rows(heading, rows)
  local widths, numeric = {}, {}
  for column, title in ipairs(heading) do
    widths[column] = #title
    numeric[column] = #rows > 0
    for _, row in ipairs(rows) do
      local cell = tostring(row[column] == nil and "" or row[column])
      widths[column] = math.max(widths[column], #cell)
      numeric[column] = numeric[column] and cell:find "^%-?[%d.]*%d" ~= nil
    end
  end
  local lines = {}
  for index = 0, #rows do
    local row, cells = index == 0 and heading or rows[index], {}
    for column = 1, #heading do
      local cell = tostring(row[column] == nil and "" or row[column])
      local padding = (" "):rep(widths[column] - #cell)
      cells[column] = numeric[column] and padding .. cell or cell .. padding
    end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end

--- 2, "worker" as "2 workers".
function output.count(number, noun) return ("%d %s%s"):format(number, noun, number == 1 and "" or "s") end

--- 1536 as "1.5 KiB".
function output.bytes(count)
  local units, unit = { "B", "KiB", "MiB", "GiB", "TiB" }, 1
  count = tonumber(count) or 0
  while count >= 1024 and unit < #units do count, unit = count / 1024, unit + 1 end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(count, units[unit])
end

--- Microseconds as "85 µs", "1.52 ms" or "3.1 s".
function output.duration(microseconds)
  if microseconds < 1000 then return ("%.0f µs"):format(microseconds) end
  if microseconds < 1e6 then return ("%.2f ms"):format(microseconds / 1000) end
  return ("%.1f s"):format(microseconds / 1e6)
end

-- JSON of something short, or of a list of numbers and the like, which is cut when it is long. What is empty is a list:
-- handlers seldom answer with an empty map.
local function one_line(item)
  if type(item) == "table" and next(item) == nil then return "[]" end
  if type(item) ~= "table" or #item <= FLAT_MAX then return assert(json.encode(item)) end
  local start = {}
  for index = 1, FLAT_MAX do start[index] = item[index] end
  return assert(json.encode(start)):gsub("%]$", (",… %d in all]"):format(#item))
end

--- A result of any shape, to be read by people: strings as they are, the rest as indented JSON, long lists cut.
function output.value(value)
  if type(value) == "string" and values.is_text(value) then return value end
  local lines = {}
  local function write(item, indent, prefix, suffix)
    if type(item) ~= "table" or next(item) == nil or values.is_flat(item) then
      lines[#lines + 1] = indent .. prefix .. one_line(item) .. suffix
      return
    end
    local is_array, keys = #item > 0, {}
    for key in pairs(item) do keys[#keys + 1] = key end
    table.sort(keys, function(a, b)
      if type(a) == type(b) then return a < b end
      return tostring(a) < tostring(b)
    end)
    lines[#lines + 1] = indent .. prefix .. (is_array and "[" or "{")
    for position, key in ipairs(keys) do
      local name = is_array and "" or assert(json.encode(tostring(key))) .. ": "
      write(item[key], indent .. "  ", name, position < #keys and "," or "")
    end
    lines[#lines + 1] = indent .. (is_array and "]" or "}") .. suffix
  end
  write(values.to_json(value), "", "", "")
  return table.concat(lines, "\n")
end

return output
