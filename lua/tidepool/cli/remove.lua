local session = require "tidepool.cli.session"

return {
  summary = "Remove a function; the requests that it has are served to their end.",
  examples = { "tidepool remove filetype" },
  options = function(parser)
    parser:argument("name", "The function.")
    session.options(parser)
  end,
  run = function(options)
    return session.call(options, "function.remove", { name = options.name }),
      function() return "removed " .. options.name end
  end,
}
