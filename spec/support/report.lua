-- busted's plain report, and the counts of the run in the file that TIDEPOOL_COUNTS names, for cmake/test.sh to add up.
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.plainTerminal"(options)

  busted.subscribe({ "suite", "end" }, function()
    local path = os.getenv "TIDEPOOL_COUNTS"
    if not path then return nil, true end
    local file = assert(io.open(path, "w"))
    local failed = handler.failuresCount + handler.errorsCount
    file:write(("%d %d %d\n"):format(handler.successesCount, failed, handler.pendingsCount))
    file:close()
    return nil, true
  end)
  return handler
end
