-- Runs in C (core/main.c); this is its help.
local failure = require "tidepool.cli.failure"

return {
  summary = "Run a node.",
  examples = {
    "tidepool serve",
    "tidepool serve --listen /run/tidepool.sock --state /var/lib/tidepool",
    "tidepool serve --watch models",
    "tidepool serve --config node.lua --check-config",
  },
  options = function(parser)
    parser:option("-c --config", "Configuration: a Lua file that returns a table."):argname "FILE"
    parser:option("-l --listen", "Listen here instead: HOST:PORT, or the path of a Unix socket."):argname "ADDRESS"
    parser:option("-s --state", "Keep functions, models and the policy in this folder instead."):argname "FOLDER"
    parser:option("-w --watch", "Deploy the functions of this folder, and again when their files are saved.")
      :argname "FOLDER"
    parser:flag("--check-config", "Check the configuration, say what is wrong with it, and end.")
  end,
  run = function()
    failure.usage "serve must be the first argument"
  end,
}
