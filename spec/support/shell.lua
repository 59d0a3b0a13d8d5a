-- The tidepool program as a shell runs it: shell.run(arguments, environment) gives what it printed on standard output
-- and standard error, and its exit status. The program is the one of the same build as spec-runner.
local ffi = require "ffi"

ffi.cdef "long readlink(const char *path, char *buffer, size_t bytes);"

local M = {}

local buffer = ffi.new "char[4096]"
local own = ffi.string(buffer, ffi.C.readlink("/proc/self/exe", buffer, 4096))
M.program = own:match "^.*/" .. "tidepool"

function M.run(arguments, environment)
  local errors = os.tmpname()
  local pipe = io.popen(("%s %s %s 2>%s; echo $?"):format(environment or "", M.program, arguments, errors))
  local text = pipe:read "*a"
  pipe:close()
  local file = io.open(errors)
  local complaint = file:read "*a"
  file:close()
  os.remove(errors)
  local printed, status = text:match "^(.-)(%d+)\n$"
  return printed, complaint, tonumber(status)
end

return M
