-- A function of models/ beside the Python package whose model it runs: what both need to be there, the answers of the
-- package, and a node with the function deployed.
local json = require "tidepool.json"
local node = require "spec.support.node"
local shell = require "spec.support.shell"

local PYTHON = "build/venv/bin/python"
-- A picture's three models take a sanitizer's build half a minute.
local PATIENCE_S = 300

local reference = {}

--- The file's bytes, or nil.
function reference.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local bytes = file:read "*a"
  file:close()
  return bytes
end

--- Why models/NAME cannot be compared here, or nil: packages, separated by commas, or the model's file is missing.
function reference.lacks(name, packages, file)
  if os.execute(("%s -c 'import %s' 2>/dev/null"):format(PYTHON, packages)) ~= 0 then
    return ("build/venv has no %s: cmake/setup.sh test makes it"):format(packages)
  end
  if not reference.read(("build/models/%s/%s"):format(name, file)) then
    return ("build/models/%s is missing: tidepool fetch models/%s makes it"):format(name, name)
  end
end

--- What spec/models/SCRIPT.py answers to these arguments, with input on its standard input if there is any.
function reference.ask(script, arguments, input)
  local command, path = ("%s spec/models/%s.py %s"):format(PYTHON, script, arguments), nil
  if input then
    path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(input)
    file:close()
    command = command .. " < " .. path
  end
  local pipe = io.popen(command)
  local answer = json.decode(pipe:read "*a")
  pipe:close()
  if path then os.remove(path) end
  return assert(answer, script .. ".py gave no answer")
end

--- A node with models/NAME deployed by the command line. Its connect() gives clients that are as patient.
function reference.serve(name)
  local running = node.start { worker = { timeout_ms = PATIENCE_S * 1000, cpu_ms = PATIENCE_S * 1000 } }
  local connect = running.connect
  function running:connect() return connect(self, { timeout = PATIENCE_S }) end
  local _, complaint, status = shell.run(("deploy models/%s --address %s"):format(name, running.address))
  assert(complaint == "" and status == 0, complaint)
  return running
end

return reference
