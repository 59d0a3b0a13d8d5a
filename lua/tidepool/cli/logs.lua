local session = require "tidepool.cli.session"

return {
  summary = "Print the last lines that a function logged.",
  examples = { "tidepool logs filetype" },
  options = function(parser)
    parser:argument("name", "The function.")
    session.options(parser)
  end,
  run = function(options)
    return session.call(options, "function.logs", { name = options.name }),
      function(lines) return table.concat(lines, "\n") end
  end,
}
