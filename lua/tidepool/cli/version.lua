local native = require "tidepool.native"

return {
  summary = "Print the version.",
  run = function()
    return { version = native.version, lua = jit.version },
      function(result) return ("tidepool %s (%s)"):format(result.version, result.lua) end
  end,
}
