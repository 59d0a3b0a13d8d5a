-- Temporary files of a run of specs: a folder of its own, removed with all that is in it when the Lua state ends.
-- os.tmpname, `mktemp` and programs that heed TMPDIR make their files there, so that two runs at once never meet and
-- nothing stays behind.
local ffi = require "ffi"

ffi.cdef "int setenv(const char *name, const char *value, int overwrite);"

local M = {}

local process = assert(io.popen "mktemp -d -t tidepool-specs-XXXXXX")
M.folder = assert(process:read "*l")
process:close()
ffi.C.setenv("TMPDIR", M.folder, 1)

-- Finalizers run in reverse order of creation: what specs leave running ends before this.
M.guard = newproxy(true)
getmetatable(M.guard).__gc = function() os.execute("rm -rf '" .. M.folder .. "'") end

local made = 0

--- A path at which nothing is yet.
function M.path()
  made = made + 1
  return M.folder .. "/" .. made
end

--- An empty file, as C's tmpnam gives it.
function os.tmpname() -- luacheck: ignore 122
  local path = M.path()
  assert(io.open(path, "w")):close()
  return path
end

return M
