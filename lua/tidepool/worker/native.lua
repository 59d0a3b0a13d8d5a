-- The C that the worker's library calls: core/script/call.h and child_calls.h, declared from their own text, which the
-- zygote hands over. Outside of a worker there is none, and so no `require "tidepool"`.
local ffi = require "ffi"

local function declare(text)
  text = text:gsub("/%*.-%*/", " ")
  ffi.cdef((("\n" .. text):gsub("\n[ \t]*#[^\n]*", "\n")))
end

local call_h, child_calls_h = rawget(_G, "TIDEPOOL_CALL_H"), rawget(_G, "TIDEPOOL_CHILD_CALLS_H")
if not call_h then
  error("tidepool: this module works inside a function's worker only; a client wants require \"tidepool.client\"", 0)
end
declare(call_h)
declare(child_calls_h)
ffi.cdef [[
void *malloc(size_t bytes);
void free(void *data);
int error_code_from_name(const char *name);
const char *error_code_name(int code);
uint64_t clock_now(void);
]]
_G.TIDEPOOL_CALL_H, _G.TIDEPOOL_CHILD_CALLS_H = nil, nil

return ffi.C
