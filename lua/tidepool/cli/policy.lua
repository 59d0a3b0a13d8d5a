local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local native = require "tidepool.native"
local session = require "tidepool.cli.session"

-- The source of a file, or of the built-in policy of that name.
local function read_source(file)
  if not file:find("/", 1, true) and not file:find "%.lua$" then
    local source = native.embedded("policies/" .. file .. ".lua")
    if source then return source end
    if not files.exists(file) then
      failure.raise("'%s' is no built-in policy (tidepool policy list) and no file", file)
    end
  end
  return files.need(file)
end

-- Why the last one was replaced: the first line, without where in the policy it was called from.
local function fault_of(current)
  local count = current.faults
  if count == 0 then return "never replaced for a fault" end
  return ("replaced %s for a fault, last: %s"):format(count == 1 and "once" or count .. " times",
    current.last_fault:match "^[^\n]*")
end

local function load_policy(options)
  local name = options.name or files.base_name(options.file):gsub("%.lua$", "")
  local source = read_source(options.file)
  return session.call(options, "policy.load", {
    name = name, source = source, config = options.config,
  }),
    function(current) return ("policy %s is in force"):format(current.name) end
end

return {
  summary = "Show, list or replace the scheduling policy.",
  examples = {
    "tidepool policy",
    "tidepool policy list",
    "tidepool policy load edf",
    "tidepool policy load my/policy.lua --config '{ weight = 50 }'",
    "tidepool policy --json",
  },
  options = function(parser)
    parser:command_target "action"
    parser:require_command(false)
    session.options(parser)
    local load = parser:command("load", "Put a policy in force; the old one stays when it is refused.")
    load:argument("file", "The policy's Lua file, or the name of a built-in one.")
    load:option("--name", "What messages call the file; its name without .lua."):argname "NAME"
    load:option("--config", "The table for its new(node, config), as Lua text."):argname "TABLE"
    parser:command("current", "Show the policy in force (the default).")
    parser:command("list", "List the built-in policies.")
  end,
  run = function(options)
    if options.action == "load" then return load_policy(options) end
    if options.action == "list" then
      return session.call(options, "policy.list", {}), function(names) return table.concat(names, "\n") end
    end
    return session.call(options, "policy.current", {}), function(current)
      return ("%s, %s"):format(current.name, fault_of(current))
    end
  end,
}
