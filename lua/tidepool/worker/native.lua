-- The C that the worker's library calls: core/script/call.h and child_calls.h, core/image/image.h, core/text/unicode.h,
-- declared from their own text, which the zygote hands over. Outside of a worker there is none, and so no
-- `require "tidepool"`.
local ffi = require "ffi"

local function declare(text)
  text = text:gsub("/%*.-%*/", " ")
  ffi.cdef((("\n" .. text):gsub("\n[ \t]*#[^\n]*", "\n")))
end

-- In this order.
local headers = { "TIDEPOOL_CALL_H", "TIDEPOOL_CHILD_CALLS_H", "TIDEPOOL_IMAGE_H", "TIDEPOOL_UNICODE_H" }
if not rawget(_G, headers[1]) then
  error("tidepool: this module works inside a function's worker only; a client wants require \"tidepool.client\"", 0)
end
for _, name in ipairs(headers) do
  declare(rawget(_G, name))
  rawset(_G, name, nil)
end
ffi.cdef [[
void *malloc(size_t bytes);
void free(void *data);
int error_code_from_name(const char *name);
const char *error_code_name(int code);
/* As base/error.h has it. */
struct error { int code; char message[1024]; const char *file; int line; };
const struct error *error_last(void);
uint64_t clock_now(void);
]]

return ffi.C
