--- What a function's file declares, read without running its handler: name, and the files behind its models and files.
--
-- The node reads the declaration again, in a worker; this one only says what must be sent along.
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local script_names = require "tidepool.cli.script_names"

local manifest = {}

-- Stands for the worker's library while a file is read: any field is a function, any call gives the same again.
local inert = setmetatable({}, { __index = function(self) return self end, __call = function(self) return self end })

-- The globals of a worker's script, as far as they do nothing; randomness is as good as any.
local function environment()
  local env = { require = function() return inert end, print = function() end }
  for name, fields in pairs(script_names.globals) do
    if type(fields) == "table" then
      env[name] = {}
      for field in pairs(fields) do env[name][field] = _G[name][field] end
    elseif env[name] == nil then
      env[name] = _G[name]
    end
  end
  env._G = env
  return env
end

--- What the script returns, in an environment where the library does nothing.
function manifest.evaluate(source, chunk)
  local loaded, message = load(source, "@" .. chunk, "t", environment())
  if not loaded then failure.raise("%s", message) end
  local ok, declared = pcall(loaded)
  if not ok then failure.raise("%s", tostring(declared)) end
  if type(declared) ~= "table" then failure.raise("%s: must return a table, returns a %s", chunk, type(declared)) end
  return declared
end

-- The first of the folders that has the file.
local function find(name, folders, chunk, key)
  if name:sub(1, 1) == "/" and files.exists(name) then return name end
  for _, folder in ipairs(folders) do
    local path = folder .. "/" .. name
    if files.exists(path) then return path end
  end
  failure.raise("%s: %s: no file \"%s\" in %s (a fetched one is made by: tidepool fetch %s)", chunk, key, name,
    table.concat(folders, " or "), files.folder_of(chunk))
end

-- {local name = path} of a table that the file declares.
local function find_all(declared, kind, folders, chunk)
  local found = {}
  if declared[kind] == nil then return found end
  if type(declared[kind]) ~= "table" then failure.raise("%s: %s: must be a table", chunk, kind) end
  for name, file in pairs(declared[kind]) do
    local key = ("%s.%s"):format(kind, tostring(name))
    if type(file) ~= "string" then failure.raise("%s: %s: must be a file's name", chunk, key) end
    found[name] = find(file, folders, chunk, key)
  end
  return found
end

--- The script that a path stands for: the file itself, or function.lua in the folder.
function manifest.script_of(path)
  return path:find "%.lua$" and path or path:gsub("/+$", "") .. "/function.lua"
end

--- Read FOLDER/function.lua, or the file itself. Files that it names are looked for beside it, then in `fetched`/NAME,
--- where NAME is the folder's. Gives {name, chunk, source, models = {name = path}, files = {name = path}}.
function manifest.read(path, fetched)
  local chunk = manifest.script_of(path)
  local source = files.need(chunk)
  local declared = manifest.evaluate(source, chunk)
  local folder = files.folder_of(chunk)
  local folders = { folder }
  local folder_name = files.base_name(files.absolute(folder) or folder)
  if fetched then folders[2] = fetched .. "/" .. folder_name end
  local is_named_file = not chunk:find "function%.lua$"
  return {
    name = declared.name or (is_named_file and files.base_name(chunk):gsub("%.lua$", "") or folder_name),
    chunk = chunk,
    source = source,
    models = find_all(declared, "models", folders, chunk),
    files = find_all(declared, "files", folders, chunk),
  }
end

return manifest
