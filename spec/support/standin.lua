-- The stand-in for CUDA (spec/standin/README.md), for specs that tell it what to do: `standin.lib` has standin.h's
-- functions when the spec runs on it, that is by BUILD/standin/spec-runner; else nil, and `standin.reason` says so.
local ffi = require "ffi"
require "spec.support.c"("spec/standin/standin.h")

ffi.cdef [[
char *realpath(const char *path, char *resolved);
void __tsan_init(void);
]]

local M = {}

local own = ffi.new "char[4096]"
assert(ffi.C.realpath("/proc/self/exe", own) ~= nil)
local folder = ffi.string(own):match "^.*/"

-- The program that runs, and whether ThreadSanitizer is in it.
M.runner = ffi.string(own)
M.is_tsan = pcall(function() return ffi.C.__tsan_init end)

if folder:match "/standin/$" then
  -- The file that the loader of devices finds, so that both see the same machine.
  M.lib = ffi.load(folder .. "tidepool-cuda.so")
else
  M.reason = "needs the stand-in for CUDA: run by standin/spec-runner of the build"
end

-- A spec file's `it` (and `pending`) for what only the stand-in can show.
function M.it_does(it, pending)
  return function(what, body)
    it(what, function()
      if not M.lib then return pending(M.reason) end
      body()
    end)
  end
end

-- cudaError_t's numbers, from the stand-in's header.
M.errors = setmetatable({}, {
  __index = function(_, name)
    local file = assert(io.open "spec/standin/include/cuda_runtime_api.h")
    local value = file:read "*a":match("\n\t" .. name .. " = (%d+),")
    file:close()
    return tonumber(value) or error("no " .. name)
  end,
})

return M
