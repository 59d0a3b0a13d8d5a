--- Why a command ends without success: a message for standard error and the exit status.
local failure = {}

local Failure = { __tostring = function(self) return self.message end }

function failure.new(status, message)
  return setmetatable({ status = status, message = message }, Failure)
end

function failure.is(value) return getmetatable(value) == Failure end

--- The node, or the command itself, says no.
function failure.raise(message, ...)
  error(failure.new(1, select("#", ...) > 0 and message:format(...) or message), 0)
end

--- The command line is wrong.
function failure.usage(message, ...)
  error(failure.new(2, select("#", ...) > 0 and message:format(...) or message), 0)
end

--- The node cannot be reached.
function failure.connect(message) error(failure.new(3, message), 0) end

return failure
