local failure = require "tidepool.cli.failure"
local figures = require "tidepool.cli.figures"
local frame = require "tidepool.cli.frame"
local output = require "tidepool.cli.output"
local session = require "tidepool.cli.session"
local socket = require "tidepool.client.socket"
local terminal = require "tidepool.cli.terminal"

-- Seconds between frames at least.
local INTERVAL_MIN = 0.1

local function look(connection)
  local seen, message, name = figures.look(connection)
  if seen then return seen end
  if name == "UNAVAILABLE" or name == "UNAUTHENTICATED" then failure.connect(message) end
  failure.raise("%s", message)
end

local function sorted(before, now, order)
  local result = figures.between(before, now)
  figures.sort(result, order)
  return result
end

local function to_text(order)
  return function(result)
    local width, rows = terminal.size(), math.huge
    return table.concat((frame.lines(result, order, width, rows)), "\n")
  end
end

-- Frames one after the other, for a file or a pipe, until nobody reads them.
local function print_frames(options, connection)
  local before = look(connection)
  repeat
    connection:poll(options.interval)
    local now = look(connection)
    local result = sorted(before, now, options.sort)
    before = now
    if options.json then output.json(result) else output.text(to_text(options.sort)(result) .. "\n\n") end
  until not io.stdout:flush()
end

local function draw(result, order)
  local width, rows = terminal.size()
  local lines, headings = frame.lines(result, order, width, rows)
  for number in pairs(headings) do
    if lines[number] then lines[number] = "\27[7m" .. lines[number] .. "\27[0m" end
  end
  terminal.draw(lines)
end

local function next_order(order)
  for index, each in ipairs(figures.orders) do
    if each == order then return figures.orders[index % #figures.orders + 1] end
  end
end

-- The screen, until a key or a signal ends it. The first frame is of the time since the node's start.
local function watch(options, connection, screen)
  local order, before = options.sort, nil
  while true do
    local now = look(connection)
    local due = socket.now() + options.interval
    local key
    repeat
      draw(sorted(before, now, order), order)
      key = screen:wait(due - socket.now())
      if key == "q" or key == "quit" then return end
      if key == "s" then order = next_order(order) end
    until not key
    before = now
  end
end

local function run(options)
  local connection = session.connect(options)
  if options.once then
    local before = look(connection)
    connection:poll(options.interval)
    return sorted(before, look(connection), options.sort), to_text(options.sort)
  end
  if options.json or not terminal.is_there() then return print_frames(options, connection) end
  local screen = terminal.open()
  local ok, message = pcall(watch, options, connection, screen)
  screen:close()
  connection:close()
  if not ok then error(message, 0) end
end

local function interval(text)
  local seconds = tonumber(text)
  if seconds and seconds >= INTERVAL_MIN and seconds <= 3600 then return seconds end
  return nil, ("--interval: seconds from %g to 3600"):format(INTERVAL_MIN)
end

return {
  summary = "Watch the node: how busy devices are, functions by rate or objective, models by where they are.",
  examples = { "tidepool top", "tidepool top --sort slo", "tidepool top --once", "tidepool top --once --json" },
  options = function(parser)
    session.options(parser)
    parser:flag("--once", "Print one frame, of the interval that begins now.")
    parser:option("--interval", "Seconds between frames."):argname "SECONDS":convert(interval):default "1"
    parser:option("--sort", "Functions by rate, or by what they lack of their objective; key s changes it.")
      :choices(figures.orders):default "rate"
  end,
  run = run,
}
