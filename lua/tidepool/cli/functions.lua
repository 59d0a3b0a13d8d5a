local output = require "tidepool.cli.output"
local session = require "tidepool.cli.session"

local function to_text(functions)
  local rows = {}
  for index, each in ipairs(functions) do
    rows[index] = { each.name, each.generation, each.requests, each.errors, each.workers }
  end
  return output.rows({ "NAME", "GENERATION", "REQUESTS", "ERRORS", "WORKERS" }, rows)
end

return {
  summary = "List the functions that are deployed.",
  examples = { "tidepool functions", "tidepool functions --json" },
  options = session.options,
  run = function(options)
    return session.call(options, "function.list", {}), to_text
  end,
}
