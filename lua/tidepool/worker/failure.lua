-- Errors with a code, as clients see them: { code = "INVALID_ARGUMENT", message = "…" }. A handler raises one with
-- tide.error; anything else that it raises is UNKNOWN.
local ffi = require "ffi"
local C = require "tidepool.worker.native"
local readable = require "tidepool.worker.readable"
local shown = require "tidepool.shown"

local M = {}
local Failure = { __tostring = function(self) return self.code .. ": " .. self.message end }
Failure.__index = Failure

-- What LuaJIT raises at the memory limit.
M.NO_MEMORY = "not enough memory"

function M.new(code, message)
  if type(code) ~= "string" or C.error_code_from_name(code) <= 0 then
    error(("tide.error: code: must be one of INVALID_ARGUMENT, NOT_FOUND, …, is %s"):format(shown(code)), 3)
  end
  return setmetatable({ code = code, message = message == nil and "the handler says no more" or tostring(message) },
    Failure)
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
  local ok, text = pcall(readable, problem)
  if not ok then return 2, "the script raised something that has no text" end
  if type(problem) == "string" then return 2, text end
  return 2, "the script raised " .. text
end

return M
