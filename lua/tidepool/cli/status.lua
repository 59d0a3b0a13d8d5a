local output = require "tidepool.cli.output"
local session = require "tidepool.cli.session"

return {
  summary = "Show what the node is doing: devices, memory, counts, latency.",
  examples = { "tidepool status", "tidepool status --json" },
  options = session.options,
  run = function(options)
    return session.call(options, "node.status", {}), output.value
  end,
}
