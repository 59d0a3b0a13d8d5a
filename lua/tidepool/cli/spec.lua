local ffi = require "ffi"
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"

ffi.cdef "int setenv(const char *name, const char *value, int overwrite);"

-- busted's own command line. Its .busted may name an interpreter; this one runs already.
local function arguments_of(options)
  local list = { [0] = "tidepool spec", "--ignore-lua" }
  local flags = { filter = options.filter, output = options.output or (options.json and "json" or nil) }
  for name, value in pairs(flags) do list[#list + 1] = ("--%s=%s"):format(name, value) end
  for _, path in ipairs(options.paths) do list[#list + 1] = path end
  if #options.paths == 0 then list[#list + 1] = "." end
  return list
end

return {
  summary = "Run specs of functions with busted, their handlers in real workers.",
  examples = {
    "tidepool spec greet",
    "tidepool spec greet/function_spec.lua --filter 'says hello'",
    "tidepool spec --output TAP",
  },
  options = function(parser)
    parser:argument("paths", "Files or folders of specs; *_spec.lua below this folder."):args "*"
    parser:option("--filter", "Only specs whose names this Lua pattern matches."):argname "PATTERN"
    parser:option("--output", "busted's way of printing: utfTerminal, TAP, json, junit …"):argname "NAME"
  end,
  run = function(options)
    local found = pcall(require, "busted.core")
    if not found then
      failure.raise "busted is not there: install Debian's lua-busted, or luarocks --lua-version=5.1 install busted"
    end
    -- The node that the specs ask is of this program.
    ffi.C.setenv("TIDEPOOL", files.capture "readlink /proc/$PPID/exe", 0)
    _G.arg = arguments_of(options)
    io.stdout:setvbuf "line"
    -- It ends the process itself, or raises nil where specs failed.
    local ok, raised = pcall(require "busted.runner", { standalone = false })
    if not ok and raised ~= nil then error(raised, 0) end
    return nil, nil, ok and 0 or 1
  end,
}
