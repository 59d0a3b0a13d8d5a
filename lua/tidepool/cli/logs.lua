local failure = require "tidepool.cli.failure"
local session = require "tidepool.cli.session"

-- Seconds between two looks at the log.
local PERIOD = 0.2

-- Print what is logged until the node goes, or SIGINT comes; the lines that are there first.
local function follow(options)
  local connection = session.connect(options)
  local after = 0
  while true do
    local result, message, name = connection:call("function.logs", { name = options.name, after = after })
    if not result then
      if name == "UNAVAILABLE" then failure.connect(message) end
      failure.raise("%s", message)
    end
    -- A function that was removed and deployed again counts anew.
    after = result.next < after and 0 or result.next
    for _, line in ipairs(result.lines) do io.stdout:write(line, "\n") end
    io.stdout:flush()
    connection:poll(PERIOD)
  end
end

return {
  summary = "Print the last lines that a function logged, and go on with -f.",
  examples = { "tidepool logs filetype", "tidepool logs filetype -f" },
  options = function(parser)
    parser:argument("name", "The function.")
    parser:flag("-f --follow", "Print further lines as they come.")
    session.options(parser)
  end,
  run = function(options)
    if options.follow then return follow(options) end
    return session.call(options, "function.logs", { name = options.name }),
      function(lines) return table.concat(lines, "\n") end
  end,
}
