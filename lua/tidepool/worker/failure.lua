-- Errors with a code, as clients see them: { code = "INVALID_ARGUMENT", message = "…" }. A handler raises one with
-- tide.error; anything else that it raises is UNKNOWN.
local ffi = require "ffi"
local C = require "tidepool.worker.native"

local M = {}
local Failure = { __tostring = function(self) return self.code .. ": " .. self.message end }
Failure.__index = Failure

-- What LuaJIT raises at the memory limit.
M.NO_MEMORY = "not enough memory"

function M.new(code, message)
  if type(code) ~= "string" or C.error_code_from_name(code) <= 0 then
    error(("error: code %s is none (INVALID_ARGUMENT, NOT_FOUND, …)"):format(tostring(code)), 3)
  end
  return setmetatable({ code = code, message = tostring(message) }, Failure)
end

-- From the core's number.
function M.of_number(code, message)
  return setmetatable({ code = ffi.string(C.error_code_name(code)), message = message }, Failure)
end

function M.is(value) return getmetatable(value) == Failure end

-- Number and message of whatever was raised.
function M.parts(problem)
  if M.is(problem) then
    local number = type(problem.code) == "string" and C.error_code_from_name(problem.code) or -1
    return number > 0 and number or 2, tostring(problem.message)
  end
  if problem == M.NO_MEMORY then
    return 8, ("the handler went over its memory limit of %d bytes"):format(tonumber(C.child_memory_limit()))
  end
  local ok, text = pcall(tostring, problem)
  return 2, ok and text or "the handler raised something that has no text"
end

return M
