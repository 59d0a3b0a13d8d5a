--- The command line: one file a command beside this one. main(arguments) runs one and returns the exit status.
--
-- A command's file returns
--   summary    a line for the list of commands
--   examples   lines for its --help
--   options    function(parser): declares what it takes (argparse)
--   run        function(options) returns its result, and a function that makes text of it; with --json the result
--              itself is printed. Both may be nil. A third value is the exit status. Failures are raised by
--              tidepool.cli.failure.
local argparse = require "argparse"
local failure = require "tidepool.cli.failure"
local output = require "tidepool.cli.output"
local version = require "tidepool.cli.version"

local cli = {}

local names = {
  "serve", "new", "check", "spec", "deploy", "rollback", "remove", "invoke", "functions", "logs", "models", "devices",
  "policy", "status", "top", "trace", "import", "bench", "profile", "sim", "paper", "fetch", "version",
}

local function add_command(parser, name)
  local command = require("tidepool.cli." .. name)
  local subparser = parser:command(name, command.summary)
  if command.examples then
    subparser:epilog("Examples:\n  " .. table.concat(command.examples, "\n  "))
  end
  if command.options then command.options(subparser) end
  subparser:flag("--json", "Print the result as JSON.")
  return command
end

-- argparse gives each form of an option that takes an argument a line in --help; here they share one:
-- "-a, --address ADDRESS".
local function label_on_one_line(option)
  local label = option:_get_argument_list()
  table.insert(label, 1, table.concat(option._public_aliases, ", "))
  return { table.concat(label, " ") }
end

local function label_options(parser)
  for _, option in ipairs(parser._options) do option._get_label_lines = label_on_one_line end
  for _, command in ipairs(parser._commands) do label_options(command) end
end

local function usage_error(parser, message)
  failure.usage(("%s\nTry: %s --help"):format(message, parser:_get_fullname()))
end

local function print_version()
  local result, to_text = version.run()
  output.text(to_text(result))
  os.exit(0)
end

local function make_parser()
  local parser = argparse("tidepool", "Lua-scriptable inference: functions and their models on one node.")
  parser:epilog [[
Environment:
  TIDEPOOL_ADDRESS  the node, when --address does not say: HOST:PORT, or the path of a Unix socket (127.0.0.1:7420)
  TIDEPOOL_TOKEN    what to present to a node that wants a token
Exit status: 0 done; 1 the node or the command says no; 2 the command line is wrong; 3 the node cannot be reached.]]
  parser:flag("--version", "Print the version and exit."):action(print_version)
  parser:command_target "command"
  parser:usage_max_width(100)
  parser:help_max_width(100)
  parser:help_description_margin(27)
  parser:add_help_command "help"
  parser.error = usage_error
  local commands = {}
  for _, name in ipairs(names) do commands[name] = add_command(parser, name) end
  label_options(parser)
  return parser, commands
end

local function run(arguments)
  local parser, commands = make_parser()
  local options = parser:parse(arguments)
  local result, to_text, status = commands[options.command].run(options)
  if options.json and result ~= nil then
    output.json(result)
  elseif to_text then
    output.text(to_text(result))
  end
  return status or 0
end

--- Run the command that the arguments name.
function cli.main(arguments)
  local ok, status = xpcall(run, function(raised)
    if failure.is(raised) then return raised end
    return failure.new(1, debug.traceback(tostring(raised), 2))
  end, arguments)
  if ok then return status end
  io.stderr:write("tidepool: ", status.message, "\n")
  return status.status
end

return cli
