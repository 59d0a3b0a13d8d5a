local files = require "tidepool.cli.files"
local output = require "tidepool.cli.output"
local session = require "tidepool.cli.session"

local function load_policy(options)
  local name = options.name or files.base_name(options.file):gsub("%.lua$", "")
  local source = files.need(options.file)
  return session.call(options, "policy.load", { name = name, source = source }),
    function() return "policy " .. name .. " is in force" end
end

return {
  summary = "Show, list or replace the scheduling policy.",
  examples = {
    "tidepool policy",
    "tidepool policy list",
    "tidepool policy load policies/edf.lua",
  },
  options = function(parser)
    parser:command_target "action"
    parser:require_command(false)
    session.options(parser)
    local load = parser:command("load", "Put a policy in force; the old one stays when it is refused.")
    load:argument("file", "The policy's Lua file.")
    load:option("--name", "Its name; the file's name without .lua."):argname "NAME"
    parser:command("current", "Show the policy in force (the default).")
    parser:command("list", "List the policies that the node has.")
  end,
  run = function(options)
    if options.action == "load" then return load_policy(options) end
    if options.action == "list" then return session.call(options, "policy.list", {}), output.value end
    return session.call(options, "policy.current", {}), output.value
  end,
}
