local output = require "tidepool.cli.output"
local session = require "tidepool.cli.session"

local function milliseconds(value)
  return value and value > 0 and ("%.2f"):format(value) or "-"
end

-- "98 % in 50 ms: 99.1 %", as far as there is an objective and a request.
local function objective(each)
  if not each.slo_ms or each.slo_ms == 0 then return "-" end
  local text = ("%g %% in %g ms"):format(each.slo_percentile, each.slo_ms)
  if each.requests == 0 then return text end
  return ("%s: %.1f %%"):format(text, 100 * each.in_time / each.requests)
end

local function to_text(functions)
  local rows = {}
  for index, each in ipairs(functions) do
    rows[index] = {
      each.name, each.generation, table.concat(each.generations, " "), each.handler and each.workers or "none",
      each.requests, each.errors, milliseconds(each.p50_ms), milliseconds(each.p98_ms), objective(each),
    }
  end
  return output.rows(
    { "NAME", "GENERATION", "KEPT", "WORKERS", "REQUESTS", "ERRORS", "P50 MS", "P98 MS", "OBJECTIVE" }, rows)
end

return {
  summary = "List the functions that are deployed.",
  examples = { "tidepool functions", "tidepool functions --json" },
  options = session.options,
  run = function(options)
    return session.call(options, "function.list", {}), to_text
  end,
}
