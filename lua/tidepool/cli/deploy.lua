local client = require "tidepool.client"
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local manifest = require "tidepool.cli.manifest"
local session = require "tidepool.cli.session"

-- A node of this machine reads models by their path; any other is sent the bytes.
local function model_entry(path, by_path)
  if not by_path then return { data = client.bin(files.need(path)) } end
  local absolute = files.absolute(path)
  if not absolute then failure.raise("%s: no such file", path) end
  return { path = absolute }
end

local function make_request(options)
  local declared = manifest.read(options.path, options.fetched)
  local by_path = session.is_local(options) and not options.upload
  local request = {
    name = options.name or declared.name,
    source = declared.source,
    chunk = declared.chunk,
    models = client.map {},
    files = client.map {},
  }
  for name, path in pairs(declared.models) do request.models[name] = model_entry(path, by_path) end
  for name, path in pairs(declared.files) do request.files[name] = client.bin(files.need(path)) end
  return request
end

return {
  summary = "Deploy a function, or a new generation of one; a refused one leaves the old one serving.",
  examples = {
    "tidepool deploy models/filetype",
    "tidepool deploy greet.lua --name hello",
    "tidepool deploy models/filetype --address node7:7420 --upload",
  },
  options = function(parser)
    parser:argument("path", "A folder with function.lua, or a Lua file.")
    parser:option("--name", "Its name; what the file says, else the folder's or file's name."):argname "NAME"
    parser:option("--fetched", "Folder that tidepool fetch filled."):argname "FOLDER":default "build/models"
    parser:flag("--upload", "Send models' bytes even to a node of this machine, which would read the files itself.")
    session.options(parser)
  end,
  run = function(options)
    return session.call(options, "function.deploy", make_request(options)), function(result)
      return ("deployed %s, generation %d"):format(result.name, result.generation)
    end
  end,
}
