local failure = require "tidepool.cli.failure"
local output = require "tidepool.cli.output"
local session = require "tidepool.cli.session"
local trace = require "tidepool.trace"

local function write(answer, path)
  if path == "-" then
    trace.write(answer, io.write)
    return
  end
  local file, message = io.open(path, "wb")
  if not file then failure.raise("%s", message) end
  trace.write(answer, function(text) file:write(text) end)
  file:close()
end

local function to_text(result)
  local rows = {}
  for index, row in ipairs(result.rows) do
    local share = row.busy_us / result.seconds / 1e4
    rows[index] = { row.owner, row.row, row.events, row.busy_us > 0 and output.duration(row.busy_us) or "-",
      row.busy_us > 0 and ("%.1f %%"):format(share) or "-",
      row.waiting_us > 0 and output.duration(row.waiting_us) or "-" }
  end
  local written = ("%s: %d events of %.2f s%s; open it at https://ui.perfetto.dev or chrome://tracing"):format(
    result.file, result.events, result.seconds,
    result.dropped > 0 and (", %d more did not fit (--events)"):format(result.dropped) or "")
  if #rows == 0 then return written end
  return written .. "\n\n" .. output.rows({ "OWNER", "ROW", "EVENTS", "BUSY", "SHARE", "WAITED" }, rows)
end

return {
  summary = "Watch a node's streams, jobs and requests for a while, and write a picture of it (Chrome trace JSON).",
  examples = {
    "tidepool trace",
    "tidepool trace --seconds 5 --out busy.json",
    "tidepool trace --out - > busy.json",
  },
  options = function(parser)
    session.options(parser)
    parser:option("--seconds", "How long to watch, up to 60."):argname "N":convert(tonumber):default "1"
    parser:option("--events", "Events that are kept, up to 1048576."):argname "N":convert(tonumber):default "200000"
    parser:option("-o --out", "File to write; - for standard output."):argname "FILE":default "trace.json"
  end,
  run = function(options)
    local answer = session.call(options, "trace",
      { ms = math.floor(options.seconds * 1000 + 0.5), events = options.events })
    write(answer, options.out)
    if options.out == "-" then return nil end
    return {
      file = options.out, events = #answer.events, dropped = tonumber(answer.dropped),
      seconds = tonumber(answer.ns) / 1e9, rows = trace.summary(answer),
    }, to_text
  end,
}
