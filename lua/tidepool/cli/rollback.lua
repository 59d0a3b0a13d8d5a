local session = require "tidepool.cli.session"

return {
  summary = "Go back to a kept generation of a function.",
  examples = { "tidepool rollback filetype", "tidepool rollback filetype 3" },
  options = function(parser)
    parser:argument("name", "The function.")
    parser:argument("generation", "A kept one (tidepool functions); without it the newest before the current one.")
      :convert(tonumber):args "?"
    session.options(parser)
  end,
  run = function(options)
    return session.call(options, "function.rollback", { name = options.name, generation = options.generation }),
      function(result) return ("%s is back at generation %d"):format(result.name, result.generation) end
  end,
}
