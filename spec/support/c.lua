-- The C of core/ for specs: `local C = require "spec.support.c" "base/arena.h"` reads that header, and the headers of
-- ours that it includes, as they are and declares them to the FFI. No copies of declarations, so none that drift.
-- "spec/support/probe.h" is what specs bring in C themselves.
--
-- What a header may hold is therefore plain: declarations, enums, comments, #pragma once, #include and macros that no
-- declaration uses, save the error-code list, which is expanded here.
local ffi = require "ffi"

-- A mutex as large as the system's, which only C looks into.
ffi.cdef "typedef union { char bytes[40]; long align; } pthread_mutex_t;"

local declared = {}

local function read(path)
  local file = assert(io.open("core/" .. path) or io.open(path), "no header " .. path)
  local text = file:read "*a"
  file:close()
  return text
end

local function expand_error_codes(text)
  local list = text:match "#define ERROR_CODES%(X%)(.-)\n\n"
  if not list then return text end
  local values = list:gsub("\\\n", "\n"):gsub("X%((%w+[_%w]*), (%d+)%)", "ERR_%1 = %2,")
  return (text:gsub("#define X%(name, number%) ERR_##name = number,\n%s*ERROR_CODES%(X%)\n#undef X",
    function() return values end))
end

local function strip_directives(text)
  text = text:gsub("\\\n", " ")
  text = text:gsub("/%*.-%*/", " ")
  text = ("\n" .. text):gsub("\n[ \t]*#[^\n]*", "\n")
  text = text:gsub("_Atomic%(([^()]*)%)", "%1"):gsub("_Atomic ", "")
  text = text:gsub("atomic_int", "int"):gsub("atomic_bool", "bool")
  return (text:gsub("_Alignas%b()", ""))
end

local function declare(path)
  if declared[path] then return end
  declared[path] = true
  local text = read(path)
  for include in text:gmatch '#include "([^"]+)"' do declare(include) end
  local ok, message = pcall(ffi.cdef, strip_directives(expand_error_codes(text)))
  if not ok then error(path .. ": " .. message, 0) end
end

return function(...)
  for _, path in ipairs { ... } do declare(path) end
  return ffi.C
end
