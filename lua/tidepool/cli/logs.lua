local failure = require "tidepool.cli.failure"
local session = require "tidepool.cli.session"

-- Seconds between two looks at the logs.
local PERIOD = 0.2

-- Lines of each function that the follower has not seen. places: how far it has read, by name.
local function new_lines(connection, name, places)
  local result, message, code = connection:call("function.logs", { name = name, after = places[name] or 0 })
  if not result then
    if code == "UNAVAILABLE" then failure.connect(message) end
    return nil, message, code
  end
  places[name] = result.next
  return result.lines
end

local function print_lines(lines, prefix)
  for _, line in ipairs(lines) do io.stdout:write(prefix, line, "\n") end
  io.stdout:flush()
end

local function deployed_names(connection)
  local list, message, name = connection:call "function.list"
  if not list then session.fail(message, name) end
  local names = {}
  for i, each in ipairs(list) do names[i] = each.name end
  return names
end

-- Print what is logged until the node goes, or SIGINT comes; the lines that are there first. Without names all
-- functions are followed, those too that are deployed meanwhile.
local function follow(options)
  local connection, places = session.connect(options), {}
  while true do
    local names = #options.names > 0 and options.names or deployed_names(connection)
    for _, name in ipairs(names) do
      local lines, message, code = new_lines(connection, name, places)
      -- One of all may have been removed since they were listed.
      if not lines and not (code == "NOT_FOUND" and #options.names == 0) then session.fail(message, code) end
      print_lines(lines or {}, #options.names == 1 and "" or name .. ": ")
    end
    connection:poll(PERIOD)
  end
end

-- The last lines, { name = lines } of several functions.
local function last(options)
  local connection = session.connect(options)
  local names = #options.names > 0 and options.names or deployed_names(connection)
  local result = {}
  for _, name in ipairs(names) do
    local lines, message, code = connection:call("function.logs", { name = name })
    if not lines then session.fail(message, code) end
    result[name] = lines
  end
  connection:close()
  return names, result
end

return {
  summary = "Print the last lines that functions logged, and go on with -f.",
  examples = {
    "tidepool logs filetype",
    "tidepool logs filetype -f",
    "tidepool logs greet filetype",
    "tidepool logs -f",
  },
  options = function(parser)
    parser:argument("names", "The functions, all without one; of several each line begins with the name."):args "*"
    parser:flag("-f --follow", "Print further lines as they come.")
    session.options(parser)
  end,
  run = function(options)
    if options.follow then return follow(options) end
    local names, lines = last(options)
    if #options.names == 1 then
      return lines[names[1]], function(list) return table.concat(list, "\n") end
    end
    return lines, function()
      local all = {}
      for _, name in ipairs(names) do
        for _, line in ipairs(lines[name]) do all[#all + 1] = name .. ": " .. line end
      end
      return table.concat(all, "\n")
    end
  end,
}
